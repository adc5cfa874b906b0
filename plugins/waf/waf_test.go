package waf

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/debuglog"
	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/guard"
)

// own is a configuration of the operator's rules alone, which compile in no time.
var own = rules(`
SecRule ARGS "@contains attack" "id:1001,phase:2,deny,msg:a,tag:attack-test"
SecRule REQUEST_HEADERS:x-bad "@streq yes" "id:1002,phase:1,deny,status:418"
SecRule REQUEST_HEADERS:x-away "@streq yes" "id:1003,phase:1,redirect:https://away.example/"
SecRule REQUEST_HEADERS:x-drop "@streq yes" "id:1004,phase:1,drop"
SecRule REQUEST_BODY|ARGS_POST "@contains secret" "id:1005,phase:2,deny"
SecRule RESPONSE_HEADERS:x-leak "@streq yes" "id:1006,phase:3,deny,status:502"
SecRule RESPONSE_BODY "@contains leak" "id:1007,phase:4,deny,status:502"
`)

// rules is the configuration of rules in SecLang alone.
func rules(text string) string { return "withoutCoreRuleSet: true, directives: " + strconv.Quote(text) }

func host(t *testing.T, config string) *filtertest.Host {
	t.Helper()
	return filtertest.New(t, filtertest.Config{Name: "waf", JSON: "{" + config + "}"})
}

const form = "application/x-www-form-urlencoded"

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		name, config, path, body string
		header                   []string
		status                   int
		reset                    bool
	}{
		{name: "nothing", path: "/?a=b", status: 200},
		{name: "query", path: "/?a=attack", status: 403},
		{name: "status of the rule", path: "/", header: []string{"x-bad", "yes"}, status: 418},
		{name: "redirect", path: "/", header: []string{"x-away", "yes"}, status: 302},
		{name: "drop", path: "/", header: []string{"x-drop", "yes"}, reset: true},
		{name: "form", path: "/", body: "a=secret", header: []string{"content-type", form}, status: 403},
		{name: "harmless form", path: "/", body: "a=b", header: []string{"content-type", form}, status: 200},
		{
			name: "JSON", path: "/", body: `{"a": {"b": "secret"}}`, header: []string{"content-type", "application/json"},
			status: 403,
		},
		{
			name: "JSON that is cut", path: "/", body: `{"a": `, header: []string{"content-type", "application/json"},
			status: 400,
		},
		{
			name: "JSON as deep as a well", path: "/", body: strings.Repeat(`{"a":`, 20000),
			header: []string{"content-type", "application/json"}, status: 400,
		},
		{
			name: "multipart that lies", path: "/", body: "--x\r\nno header\r\n", status: 400,
			header: []string{"content-type", "multipart/form-data; boundary=x"},
		},
		{
			name: "the longest body", config: "requestBody: {limit: 8}", path: "/", body: "a=123456",
			header: []string{"content-type", form}, status: 200,
		},
		{
			name: "too long", config: "requestBody: {limit: 8}", path: "/", body: "a=1234567",
			header: []string{"content-type", form}, status: 413,
		},
		{
			name: "beyond the limit", config: "requestBody: {limit: 8, overLimit: partial}", path: "/", body: "a=123456secret",
			header: []string{"content-type", form}, status: 200,
		},
		{
			name: "within the limit", config: "requestBody: {limit: 8, overLimit: partial}", path: "/", body: "a=secret123456",
			header: []string{"content-type", form}, status: 403,
		},
		{
			name: "bodies left alone", config: "requestBody: {skip: true, limit: 8}", path: "/", body: "a=secret123456",
			header: []string{"content-type", form}, status: 200,
		},
		{name: "shadow", config: "shadow: true", path: "/?a=attack", status: 200},
		{
			name: "shadow, too long", config: "shadow: true, requestBody: {limit: 8}", path: "/", body: "a=1234567",
			header: []string{"content-type", form}, status: 200,
		},
		{name: "excluded rule", config: "exclusions: [{rules: ['1001']}]", path: "/?a=attack", status: 200},
		{name: "excluded range", config: "exclusions: [{rules: [1001-1005]}]", path: "/?a=attack", status: 200},
		{name: "excluded tag", config: "exclusions: [{tags: [attack-test]}]", path: "/?a=attack", status: 200},
		{
			name: "excluded target", config: "exclusions: [{rules: ['1001'], targets: ['ARGS:a']}]", path: "/?a=attack",
			status: 200,
		},
		{
			name: "another target", config: "exclusions: [{tags: [attack-test], targets: ['ARGS:a']}]", path: "/?b=attack",
			status: 403,
		},
	} {
		for _, chunk := range []int{0, 1, 7} {
			t.Run(c.name, func(t *testing.T) {
				h := &filtertest.Host{Chunk: chunk}
				config := own
				if c.config != "" {
					config += ", " + c.config
				}
				if err := h.Load(t, filtertest.Config{Name: "waf", JSON: "{" + config + "}"}); err != nil {
					t.Fatalf("h.Load: %v", err)
				}
				method := "GET"
				if c.body != "" {
					method = "POST"
				}
				r := h.Do(filtertest.NewRequest(method, c.path, c.body, c.header...))
				if r.Status != c.status || (r.Reset != "") != c.reset {
					t.Errorf("got %d %q, reset %q; want %d, reset: %v", r.Status, r.Body, r.Reset, c.status, c.reset)
				}
				if r.Status == 200 && r.Sent != c.body {
					t.Errorf("the upstream sees %.40q, want %.40q", r.Sent, c.body)
				}
			})
		}
	}
}

func TestResponses(t *testing.T) {
	for _, c := range []struct {
		name, config, header, mediaType, body string
		want                                  int
	}{
		{name: "not inspected", header: "yes", body: "leak", want: 200},
		{name: "headers", config: "response: {inspect: headers}", header: "yes", want: 502},
		{name: "headers alone", config: "response: {inspect: headers}", body: "leak", want: 200},
		{name: "body", config: "response: {inspect: body}", body: "a leak", want: 502},
		{name: "harmless", config: "response: {inspect: body}", body: "nothing", want: 200},
		{name: "no body", config: "response: {inspect: body}", want: 200},
		{name: "of another type", config: "response: {inspect: body}", mediaType: "image/png", body: "leak", want: 200},
		{name: "beyond the limit", config: "response: {inspect: body, limit: 4}", body: "1234leak", want: 200},
		{name: "too long", config: "response: {inspect: body, limit: 4, overLimit: reject}", body: "12345", want: 500},
		{name: "the longest", config: "response: {inspect: body, limit: 4, overLimit: reject}", body: "1234", want: 200},
		{name: "shadow", config: "shadow: true, response: {inspect: body}", body: "leak", want: 200},
	} {
		for _, chunk := range []int{0, 1} {
			t.Run(c.name, func(t *testing.T) {
				h := &filtertest.Host{Chunk: chunk, Upstream: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("x-leak", c.header)
					w.Header().Set("content-type", "text/plain; charset=utf-8")
					if c.mediaType != "" {
						w.Header().Set("content-type", c.mediaType)
					}
					_, _ = w.Write([]byte(c.body))
				})}
				config := own
				if c.config != "" {
					config += ", " + c.config
				}
				if err := h.Load(t, filtertest.Config{Name: "waf", JSON: "{" + config + "}"}); err != nil {
					t.Fatalf("h.Load: %v", err)
				}
				r := h.Get("/")
				if r.Status != c.want || r.Status == 200 && r.Body != c.body {
					t.Errorf("got %d %q, want %d and the upstream's body if it is 200", r.Status, r.Body, c.want)
				}
			})
		}
	}
}

// TestNotes: what metadata, metrics and the log say.
func TestNotes(t *testing.T) {
	h := host(t, own)
	r := h.Get("/?a=attack")
	if r.Metadata["moe.waf/decision"] != "block" || r.Metadata["moe.waf/rules"] != "1001" || r.Details != "moe.waf.blocked" {
		t.Errorf("metadata %v, details %q; want block by rule 1001", r.Metadata, r.Details)
	}
	if n := h.Metric("blocked", "request"); n != 1 {
		t.Errorf("blocked counts %d, want 1", n)
	}
	if n := h.Metric("matched", "test"); n != 1 {
		t.Errorf("matched counts %d, want 1", n)
	}
	if !strings.Contains(h.Log(), "rule=1001") {
		t.Errorf("the log does not name the rule:\n%s", h.Log())
	}
	h = host(t, own+", shadow: true, log: none")
	r = h.Get("/?a=attack")
	if r.Metadata["moe.waf/decision"] != "block" || r.Metadata["moe.waf/shadow"] != true || h.Metric("shadow_blocked", "request") != 1 {
		t.Errorf("metadata %v, shadow_blocked %d; want block, shadow, 1", r.Metadata, h.Metric("shadow_blocked", "request"))
	}
	if h.Log() != "" {
		t.Errorf("the log has\n%s\nwant nothing", h.Log())
	}
}

// TestClientLeaves: a client that goes away at any moment leaves nothing behind.
func TestClientLeaves(t *testing.T) {
	for _, at := range []string{"request headers", "request body", "waiting", "response headers"} {
		t.Run(at, func(t *testing.T) {
			h := &filtertest.Host{Chunk: 1, Leave: func(after string) bool { return after == at }}
			if err := h.Load(t, filtertest.Config{Name: "waf", JSON: "{" + own + ", response: {inspect: body}}"}); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			if r := h.Post("/", "a=b", "content-type", form); r.Reset != "left" {
				t.Errorf("the stream ends with %q, want that the client left", r.Reset)
			}
		})
	}
}

func TestUpgrade(t *testing.T) {
	h := host(t, own+", response: {inspect: body}")
	if r := h.Get("/", "upgrade", "websocket", "connection", "upgrade"); r.Status != 200 {
		t.Errorf("an upgrade gets %d, want 200", r.Status)
	}
	if r := h.Get("/?a=attack", "upgrade", "websocket", "connection", "upgrade"); r.Status != 403 {
		t.Errorf("an attack by an upgrade gets %d, want 403", r.Status)
	}
}

// TestShared: configurations with the same rules share them, whatever else they say, and let them go.
func TestShared(t *testing.T) {
	load := func(config string) (*WAF, *engine) {
		t.Helper()
		p := &WAF{}
		g := &program{directives: []string{config}}
		l, err := acquire(g, nil)
		if err != nil {
			t.Fatalf("acquire: %v", err)
		}
		p.engine.Store(l)
		return p, l.engine
	}
	const one, other = `SecAction "id:1,phase:1,pass"`, `SecAction "id:2,phase:1,pass"`
	a, first := load(one)
	b, second := load(one)
	c, third := load(other)
	if first != second || first == third {
		t.Errorf("the engines are %p, %p and %p; want the first two to be one", first, second, third)
	}
	if err := errors.Join(a.Close(), b.Close(), c.Close()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if d, fourth := load(one); fourth == first {
		t.Error("an engine that was let go of is used again")
	} else if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestRuleFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
	}
	write("a.conf", `SecRule ARGS "@pmFromFile words.data" "id:1,phase:2,deny"`)
	write("words.data", "# words\nattack\n")
	write("notes.txt", "of no interest")
	h := host(t, `withoutCoreRuleSet: true, poll: 10ms, ruleFiles: [`+dir+`]`)
	if r := h.Get("/?a=attack"); r.Status != 403 {
		t.Errorf("got %d, want 403 by a word of the file", r.Status)
	}
	write("words.data", "other\n")
	for deadline := time.Now().Add(10 * time.Second); h.Get("/?a=other").Status != 403; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the file is not read again")
		}
	}
	if r := h.Get("/?a=attack"); r.Status != 200 {
		t.Errorf("got %d, want 200: the word is gone", r.Status)
	}
	write("a.conf", `SecRule ARGS "@rx (" "id:1,phase:2,deny"`)
	for deadline := time.Now().Add(10 * time.Second); h.Metric("reload_failed") == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the mistake is not noticed")
		}
	}
	if r := h.Get("/?a=other"); r.Status != 403 {
		t.Errorf("got %d, want 403: what was loaded before stays", r.Status)
	}
}

// TestMerge: routes may change everything but which files are read.
func TestMerge(t *testing.T) {
	for _, c := range []struct {
		name          string
		parent, child map[string]any
		want          map[string]any
		err           string
	}{
		{
			name: "files of the filter", parent: map[string]any{"ruleFiles": []any{"/a"}, "paranoia": 1.0},
			child: map[string]any{"paranoia": 2.0}, want: map[string]any{"ruleFiles": []any{"/a"}, "paranoia": 2.0},
		},
		{
			name: "exclusions append", parent: map[string]any{"exclusions": []any{"a"}},
			child: map[string]any{"exclusions": []any{"b"}}, want: map[string]any{"exclusions": []any{"a", "b"}},
		},
		{
			name: "objects merge", parent: map[string]any{"response": map[string]any{"inspect": "body", "limit": 1.0}},
			child: map[string]any{"response": map[string]any{"limit": nil}},
			want:  map[string]any{"response": map[string]any{"inspect": "body"}},
		},
		{name: "no parent", child: map[string]any{"shadow": true}, want: map[string]any{"shadow": true}},
		{name: "files of a route", child: map[string]any{"ruleFiles": []any{"/etc/passwd"}}, err: "ruleFiles"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := (&WAF{}).Merge(c.parent, c.child)
			if diff := cmp.Diff(c.want, got); diff != "" || (err != nil) != (c.err != "") {
				t.Errorf("Merge (-want +got):\n%s\nerror %v, want %q", diff, err, c.err)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ name, config, want string }{
		{"no rules", `withoutCoreRuleSet: true`, "leaves no rule"},
		{"paranoia", `paranoia: 5`, "paranoia"},
		{"limit", `requestBody: {limit: 0}`, "requestBody"},
		{"limit of responses", `response: {limit: 2GiB}`, "response"},
		{"media type", `response: {types: ["a b"]}`, "response.types[0]"},
		{"not SecLang", rules("Allow all"), "directives: line 1"},
		{"a rule that does not compile", rules(`SecRule ARGS "@rx (" "id:1,phase:1"`), "compiling the rules"},
		{"a line that goes on for ever", rules(`SecRule ARGS \`), "does not end"},
		{"engine", rules("SecRuleEngine Off"), "shadow"},
		{"audit log", rules("SecAuditLog /tmp/x"), "line 1"},
		{"debug log", rules("secdebuglog /tmp/x"), "line 1"},
		{"upload folder", rules("SecUploadDir /tmp"), "line 1"},
		{"remote rules", rules("SecRemoteRules key https://example.com/"), "line 1"},
		{"include", rules("Include /etc/passwd"), "ruleFiles"},
		{"include in two lines", rules("Incl\\\nude /etc/passwd"), "ruleFiles"},
		{"a tab", rules("SecAuditLog\t/tmp/x"), "line 1"},
		{"a file of the system", rules(`SecRule ARGS "@pmFromFile /etc/passwd" "id:1,phase:1"`), "compiling the rules"},
		{"a file up the tree", rules(`SecRule ARGS "@pmFromFile ../../etc/passwd" "id:1,phase:1"`), "compiling the rules"},
		{"addresses of a file", rules(`SecRule REMOTE_ADDR "@ipMatchFromFile /etc/hosts" "id:1,phase:1"`), "compiling the rules"},
		{"a program", rules(`SecRule ARGS "@inspectFile /bin/sh" "id:1,phase:1"`), "runs programs"},
		{"name servers", rules(`SecRule REMOTE_ADDR "@rbl example.com" "id:1,phase:1"`), "asks name servers"},
		{"an exclusion of nothing", `exclusions: [{}]`, "exclusions[0].rules"},
		{"an id", `exclusions: [{rules: [x]}]`, "exclusions[0].rules[0]"},
		{"a range", `exclusions: [{rules: [2-1]}]`, "exclusions[0].rules[0]"},
		{"a tag", `exclusions: [{tags: ["a b"]}]`, "exclusions[0].tags[0]"},
		{"a target", `exclusions: [{rules: ["1"], targets: ['ARGS" "id:1']}]`, "exclusions[0].targets[0]"},
		{"an unknown rule", own + `, exclusions: [{rules: ["1"]}]`, "no such rule"},
		{"an unknown tag", own + `, exclusions: [{tags: [none]}]`, "no rule has this tag"},
		{"a file that is not there", `ruleFiles: [/nonexistent]`, "nonexistent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "waf", JSON: "{" + c.config + "}"})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

// FuzzDirectives: whatever the check lets pass, the engine takes for directives about rules, or refuses.
func FuzzDirectives(f *testing.F) {
	for _, seed := range []string{
		"SecRule ARGS \"@rx a\" \"id:1,phase:1\"", "Include /etc/passwd", "SecAction \\\n\"id:1\"", "SecDataset a `\nb\n`",
		"SecAuditLog /tmp/x", "# SecAuditLog x \\\nSecAuditLog y", "SecAction `\n`SecAuditLog x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if checkDirectives(text) != nil {
			return
		}
		before := seen.Load()
		_ = guard.Do(func() error {
			_, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(tree{}).WithDebugLogger(watcher).WithDirectives(text))
			return err
		})
		if seen.Load() != before {
			t.Errorf("the engine sees a directive in %q that the check does not", text)
		}
	})
}

// seen counts the directives that the engine has parsed and that rules may not consist of.
var seen atomic.Int64

var watcher = debuglog.DefaultWithPrinterFactory(func(io.Writer) debuglog.Printer {
	return func(_ debuglog.Level, message, fields string) {
		if _, line, ok := strings.Cut(fields, "line="); ok && message == "Parsing directive" {
			line, err := strconv.Unquote(line)
			if err != nil || checkDirective(line) != nil {
				seen.Add(1)
			}
		}
	}
}).WithLevel(debuglog.LevelDebug)
