package block

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"net/url"
	"os"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	_ "mosn.io/moe/plugins/cel"
	"mosn.io/moe/plugins/internal/plugintest"
)

func host(t testing.TB, config string) *filtertest.Host {
	t.Helper()
	return filtertest.New(t, filtertest.Config{Name: "block", JSON: config})
}

func packed(t *testing.T, text string, codings ...string) string {
	t.Helper()
	for _, c := range codings {
		var b bytes.Buffer
		if c == "gzip" {
			w := gzip.NewWriter(&b)
			_, _ = w.Write([]byte(text))
			_ = w.Close()
		} else {
			w := zlib.NewWriter(&b)
			_, _ = w.Write([]byte(text))
			_ = w.Close()
		}
		text = b.String()
	}
	return text
}

func TestHeadersRules(t *testing.T) {
	for _, c := range []struct {
		name, rule, path string
		header           []string
		denied           bool
	}{
		{name: "path", rule: `{pattern: "^/\\.git(/|$)"}`, path: "/.git/config", denied: true},
		{name: "path that is encoded", rule: `{pattern: "^/\\.git(/|$)"}`, path: "/%2egit/config", denied: true},
		{name: "path with dots", rule: `{prefix: /admin}`, path: "/x/../admin/", denied: true},
		{name: "another path", rule: `{prefix: /admin}`, path: "/administration"},
		{name: "method", rule: `{methods: [GET], prefix: /a}`, path: "/a", denied: true},
		{name: "one condition of two", rule: `{methods: [DELETE], prefix: /a}`, path: "/a"},
		{name: "header", rule: `{headers: [{name: x-evil}]}`, path: "/", header: []string{"x-evil", "1"}, denied: true},
		{name: "query", rule: `{query: "(?i)union\\s+select"}`, path: "/?q=1%20UNION%20select", denied: true},
		{name: "query with plus", rule: `{query: "(?i)union\\s+select"}`, path: "/?q=1+union++select", denied: true},
		{name: "query beside a bad escape", rule: `{query: "(?i)union\\s+select"}`, path: "/?p=%zz&q=union%20select", denied: true},
		{name: "another query", rule: `{query: "(?i)union\\s+select"}`, path: "/?q=select"},
		{name: "no agent", rule: `{agent: {missing: true}}`, path: "/", denied: true},
		{name: "an agent", rule: `{agent: {missing: true}}`, path: "/", header: []string{"user-agent", "x"}},
		{name: "agent by pattern", rule: `{agent: {patterns: ["^bad"]}}`, path: "/", header: []string{"user-agent", "bad/1"}, denied: true},
		{name: "a robot", rule: `{agent: {kinds: [ai-crawler]}}`, path: "/", header: []string{"user-agent", "Mozilla/5.0 (compatible; GPTBot/1.0)"}, denied: true},
		{name: "a robot of another kind", rule: `{agent: {kinds: [seo, ai-crawler]}}`, path: "/", header: []string{"user-agent", "Googlebot/2.1"}},
		{name: "a robot of any kind", rule: `{agent: {kinds: [all]}}`, path: "/", header: []string{"user-agent", "Googlebot/2.1"}, denied: true},
		{name: "an exception", rule: `{agent: {kinds: [all], except: ["Googlebot/"]}}`, path: "/", header: []string{"user-agent", "Googlebot/2.1"}},
		{name: "a browser", rule: `{agent: {kinds: [all], missing: true}}`, path: "/", header: []string{"user-agent", plugintest.Browser[9]}},
		{name: "two agents", rule: `{agent: {kinds: [all]}}`, path: "/", header: []string{"user-agent", "Firefox", "user-agent", "curl/8"}},
		{name: "an agent of 1 MiB", rule: `{agent: {kinds: [all]}}`, path: "/", header: []string{"user-agent", strings.Repeat("a", 1<<20)}},
		{name: "expression", rule: `{when: "request.path.size() > 5"}`, path: "/123456", denied: true},
		{name: "a body where there is none", rule: `{body: "x"}`, path: "/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(t, `{rules: [`+strings.Replace(c.rule, "{", "{name: it, ", 1)+`]}`)
			r := h.Get(c.path, c.header...)
			want := 200
			if c.denied {
				want = 403
			}
			if r.Status != want || (r.Upstream == nil) != c.denied {
				t.Errorf("got %d %s, want %d", r.Status, r.Details, want)
			}
			if c.denied && (r.Metadata["moe.block/reason"] != "rule it" || h.Metric("matched", "it") != 1) {
				t.Errorf("got the reason %v, matched %d; want that of the rule, 1", r.Metadata["moe.block/reason"], h.Metric("matched", "it"))
			}
		})
	}
}

func TestBodies(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	bomb := packed(t, strings.Repeat("x", 10<<20), "gzip")
	for _, c := range []struct {
		name, more, body, coding, kind string
		status                         int
		reason                         string
	}{
		{name: "found", body: "an evil text", status: 403, reason: "rule it"},
		{name: "not found", body: "a good text", status: 200},
		{name: "across chunks", body: "123456evil", status: 403, reason: "rule it"},
		{name: "binary", body: "\x00\xff\xfeevil", status: 403, reason: "rule it"},
		{name: "at the bound", body: strings.Repeat("x", 96) + "evil", status: 403, reason: "rule it"},
		{name: "just fits", body: strings.Repeat("x", 100), status: 200},
		{name: "too large", body: strings.Repeat("x", 101), status: 403, reason: "rule it: the body is larger than maxBody"},
		{name: "too large and found", body: "evil" + strings.Repeat("x", 1000), status: 403, reason: "rule it"},
		{name: "too large, passes", more: "unsearchable: pass, ", body: strings.Repeat("x", 200) + "evil", status: 200},
		{name: "form", body: "a=%65vil", kind: form, status: 403, reason: "rule it"},
		{name: "no form", body: "a=%65vil", kind: "text/plain", status: 200},
		{name: "form with parameters", body: "a=%65vil&b=%zz", kind: form + " ; charset=utf-8", status: 403, reason: "rule it"},
		{name: "gzip", body: packed(t, "evil", "gzip"), coding: "GZIP", status: 403, reason: "rule it"},
		{name: "gzip that is good", body: packed(t, "good", "gzip"), coding: "gzip", status: 200},
		{name: "deflate in gzip", body: packed(t, "evil", "deflate", "gzip"), coding: "deflate, gzip", status: 403, reason: "rule it"},
		{name: "not gzip", body: "good", coding: "gzip", status: 403, reason: "rule it: the body is not encoded as it says"},
		{name: "cut off", body: packed(t, "good", "gzip")[:20], coding: "gzip", status: 403, reason: "rule it: the body is not encoded as it says"},
		{name: "brotli", body: "good", coding: "br", status: 403, reason: "rule it: the body has an encoding that is not known"},
		{name: "brotli, passes", more: "unsearchable: pass, ", body: "good", coding: "br", status: 200},
		{name: "too many encodings", body: "good", coding: "gzip, gzip, gzip, gzip", status: 403, reason: "rule it: the body has an encoding that is not known"},
		{name: "a bomb", more: "maxBody: 64KiB, ", body: bomb, coding: "gzip", status: 403, reason: "rule it: the body is larger than maxBody"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(c.more, "maxBody") {
				c.more += "maxBody: 100, "
			}
			h := host(t, `{`+c.more+`rules: [{name: it, body: evil}]}`)
			h.Chunk = 7
			if len(c.body) > 1000 {
				h.Chunk = 1000
			}
			var header []string
			if c.coding != "" {
				header = append(header, "content-encoding", c.coding)
			}
			if c.kind != "" {
				header = append(header, "content-type", c.kind)
			}
			r := h.Post("/", c.body, header...)
			if reason, _ := r.Metadata["moe.block/reason"].(string); r.Status != c.status || reason != c.reason {
				t.Errorf("got %d %q, want %d %q", r.Status, reason, c.status, c.reason)
			}
			if c.status == 200 && r.Sent != c.body {
				t.Errorf("the upstream got %d bytes, want the %d that were sent", len(r.Sent), len(c.body))
			}
		})
	}
}

func TestModes(t *testing.T) {
	h := host(t, `{shadow: true, rules: [{name: it, prefix: /a}]}`)
	if r := h.Get("/a"); r.Status != 200 || h.Metric("shadow_denied") != 1 || r.Metadata["moe.block/decision"] != "deny" {
		t.Errorf("shadow: got %d %v, want 200 and a note", r.Status, r.Metadata)
	}
	h = host(t, `{status: 410, body: gone, rules: [{name: it, prefix: /a}]}`)
	if r := h.Get("/a"); r.Status != 410 || r.Body != "gone" {
		t.Errorf("got %d %q, want 410 gone", r.Status, r.Body)
	}
	const fails = `rules: [{name: it, when: "int(request.query['n'][0]) > 1"}]`
	if r := host(t, `{`+fails+`}`).Get("/?n=x"); r.Status != 403 || r.Details != "moe.block.error" {
		t.Errorf("an expression that fails: got %d %s, want 403 moe.block.error", r.Status, r.Details)
	}
	if r := host(t, `{failOpen: true, `+fails+`}`).Get("/?n=x"); r.Status != 200 {
		t.Errorf("an expression that fails with failOpen: got %d, want 200", r.Status)
	}
	// One rule that fails does not keep another from denying, even with failOpen.
	if r := host(t, `{failOpen: true, rules: [{name: a, when: "int(request.query['n'][0]) > 1"}, {name: b, prefix: /}]}`).Get("/"); r.Status != 403 {
		t.Errorf("got %d, want 403 of the second rule", r.Status)
	}
	for body, want := range map[string]int{"evil": 403, "good": 200} {
		t.Run("the body "+body+" beside a rule that fails", func(t *testing.T) {
			h := host(t, `{failOpen: true, rules: [{name: a, when: "int(request.query['n'][0]) > 1"}, {name: b, body: evil}]}`)
			if r := h.Post("/?n=x", body); r.Status != want {
				t.Errorf("got %d, want %d", r.Status, want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{}`: "rules", `{rules: [{name: a}]}`: "rules[0]: has no condition", `{rules: [{prefix: /a}]}`: "rules[0].name",
		`{rules: [{name: a, prefix: /a}, {name: a, prefix: /b}]}`: "duplicate name", `{rules: [{name: a, agent: {}}]}`: "rules[0].agent.kinds",
		`{rules: [{name: a, agent: {kinds: [robots]}}]}`: "kinds", `{rules: [{name: a, body: "("}]}`: "rules[0].body",
		`{rules: [{name: a, prefix: a}]}`: "rules[0].prefix", `{maxBody: 0, rules: [{name: a, prefix: /a}]}`: "maxBody",
	} {
		t.Run(config, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "block", JSON: config})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one with %q", err, want)
			}
		})
	}
}

// TestKnown: every robot of the list is found by the kinds that it has, and by no others unless it has other names, too.
func TestKnown(t *testing.T) {
	text, err := os.ReadFile("testdata/agents.txt")
	if err != nil {
		t.Fatalf("reading the agents: %v", err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		names, agent, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if n++; !known().has(agent, kindsOf(strings.Split(names, ","))) {
			t.Errorf("%q is not found as %s", agent, names)
		}
	}
	if n < 1400 {
		t.Errorf("there are %d agents, want 1400 at least", n)
	}
	for _, agent := range []string{
		plugintest.Browser[9],
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36 EdgA/130.0.0.0",
	} {
		t.Run(agent, func(t *testing.T) {
			if known().has(agent, kindsOf([]string{"all"})) {
				t.Error("a browser is taken for a robot")
			}
		})
	}
	for _, b := range strings.Split(strings.TrimSpace(list), "\n")[1:] {
		if names, _, ok := strings.Cut(b, "\t"); !ok || kindsOf(strings.Split(names, ",")) == 0 {
			t.Errorf("the line %q has no kind that is known", b)
		}
	}
}

// FuzzBot: the trie finds what a search for each text would find.
func FuzzBot(f *testing.F) {
	b := &bots{}
	texts := []string{"ab", "abc", "bcd", "b", "xyz"}
	for i, text := range texts {
		b.add(text, 1<<i)
	}
	f.Add("zabcd", uint16(3))
	f.Fuzz(func(t *testing.T, agent string, k uint16) {
		want := false
		for i, text := range texts {
			want = want || k&(1<<i) != 0 && strings.Contains(agent, text)
		}
		if got := b.has(agent, kinds(k)); got != want {
			t.Errorf("has(%q, %b) = %v, want %v", agent, k, got, want)
		}
	})
}

// FuzzLenient: what is well encoded is decoded as usual.
func FuzzLenient(f *testing.F) {
	f.Add("a%20b+c%zz")
	f.Fuzz(func(t *testing.T, text string) {
		got := lenient(text)
		if want, err := url.QueryUnescape(text); err == nil && got != want {
			t.Errorf("lenient(%q) = %q, want %q", text, got, want)
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	for name, rule := range map[string]Rule{
		"robots": {Agent: &Agent{Kinds: []string{"all"}}}, "path": {},
	} {
		b.Run(name, func(b *testing.B) {
			rule.Name, rule.Prefix = "it", map[string]string{"path": "/admin"}[name]
			p := &Block{Rules: []Rule{rule}}
			filtertest.New(b, p)
			plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) {
				if p.newStream(s).OnRequestHeaders(s, h, true) != filter.Continue {
					b.Fatal("a browser is denied")
				}
			})
		})
	}
}
