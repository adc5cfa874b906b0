package redirect

import (
	"net/url"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	_ "mosn.io/moe/plugins/cel"
	"mosn.io/moe/plugins/internal/plugintest"
)

func host(t testing.TB, config string) *filtertest.Host {
	t.Helper()
	return filtertest.New(t, filtertest.Config{Name: "redirect", JSON: config})
}

func TestRedirect(t *testing.T) {
	for _, c := range []struct {
		name, rule, host, target, want string
		status                         int
	}{
		{name: "to https", rule: `{scheme: http, to: {scheme: https}}`, target: "/a%20b?c=d", want: "https://a.example/a%20b?c=d"},
		{name: "a port of its own goes", rule: `{to: {scheme: https}}`, host: "a.example:8080", target: "/", want: "https://a.example/"},
		{name: "to https at a port", rule: `{to: {scheme: https, port: 8443}}`, host: "a.example:8080", target: "/", want: "https://a.example:8443/"},
		{name: "the port of the scheme", rule: `{to: {scheme: https, port: 443}}`, target: "/", want: "https://a.example/"},
		{name: "host", rule: `{to: {host: www.example.com}}`, target: "/x?y", want: "http://www.example.com/x?y"},
		{name: "IPv6", rule: `{to: {scheme: https}}`, host: "[::1]:80", target: "/", want: "https://[::1]/"},
		{name: "path", rule: `{path: /old, to: {path: /new}, status: 301}`, target: "/old?q", want: "http://a.example/new?q", status: 301},
		{name: "prefix", rule: `{prefix: /v1, to: {prefix: /v2}}`, target: "/v1/a%2Fb", want: "http://a.example/v2/a%2Fb"},
		{name: "all of the prefix", rule: `{prefix: /v1, to: {prefix: /v2}}`, target: "/v1", want: "http://a.example/v2"},
		{name: "prefix to the root", rule: `{prefix: /v1, to: {prefix: /}}`, target: "/v1/a", want: "http://a.example/a"},
		{name: "prefix from the root", rule: `{prefix: /, to: {prefix: /v1}}`, target: "/a", want: "http://a.example/v1/a"},
		{name: "groups", rule: `{pattern: "^/(?P<who>\\w+)/(\\d+)$", to: {path: "/u/${who}/n$2"}}`, target: "/ann/7", want: "http://a.example/u/ann/n7"},
		{name: "query", rule: `{to: {query: "a=b"}}`, target: "/?c", want: "http://a.example/?a=b"},
		{name: "no query", rule: `{to: {path: /b, dropQuery: true}}`, target: "/?c", want: "http://a.example/b"},
		{name: "expression", rule: `{when: "request.query['old'] == ['1']", to: {path: /b, dropQuery: true}, status: 308}`, target: "/?old=1", want: "http://a.example/b", status: 308},
		{name: "a group that is a host", rule: `{pattern: "^/go(.*)$", to: {path: $1}}`, target: "/go//evil.example/", want: "http://a.example/evil.example/"},
		{name: "a group that is a host, with backslashes", rule: `{pattern: "^/go(.*)$", to: {path: $1}}`, target: `/go/\evil.example`, want: "http://a.example/evil.example"},
		{name: "no group", rule: `{pattern: "^/go(.*)$", to: {path: $1}}`, target: "/go", want: "http://a.example/"},
		{name: "bytes", rule: `{prefix: /v1, to: {prefix: /v2}}`, target: "/v1/\xff<\">", want: "http://a.example/v2/%FF%3C%22%3E"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(t, `{rules: [`+c.rule+`]}`)
			q := filtertest.NewRequest("GET", "/", "")
			q.URL.Opaque, q.Host = c.target, "a.example"
			if c.host != "" {
				q.Host = c.host
			}
			r := h.Do(q)
			if c.status == 0 {
				c.status = 302
			}
			if r.Status != c.status || r.Header.Get("location") != c.want || r.Upstream != nil || r.Details != "moe.redirect.redirected" {
				t.Errorf("got %d %s %q, want %d to %q", r.Status, r.Details, r.Header.Get("location"), c.status, c.want)
			}
			if n := h.Metric("redirected", "default"); n != 1 {
				t.Errorf("redirected = %d, want 1", n)
			}
		})
	}
}

func TestPasses(t *testing.T) {
	for _, c := range []struct {
		name, rule, path, host, counter string
	}{
		{name: "another scheme", rule: `{scheme: https, to: {host: b.example}}`, path: "/"},
		{name: "another path", rule: `{path: /a, to: {path: /b}}`, path: "/ab"},
		{name: "there already", rule: `{to: {host: b.example, dropQuery: true}}`, path: "/x", host: "B.example:80", counter: "same"},
		{name: "there already, as a client encodes it", rule: `{to: {path: "/a<b>", query: "c=\"d\""}}`, path: "/a%3Cb%3E?c=%22d%22", counter: "same"},
		{name: "there already by a pattern", rule: `{pattern: "^/(.*)$", to: {path: /$1}}`, path: "/x?y", counter: "same"},
		{name: "an expression that fails", rule: `{when: "int(request.query['n'][0]) > 0", to: {path: /b}}`, path: "/?n=x", counter: "failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(t, `{rules: [`+c.rule+`]}`)
			q := filtertest.NewRequest("GET", c.path, "")
			if c.host != "" {
				q.Host = c.host
			}
			if r := h.Do(q); r.Status != 200 || r.Upstream == nil {
				t.Errorf("got %d %v, want 200 from the upstream", r.Status, r.Header)
			}
			if c.counter != "" && h.Metric(c.counter) != 1 {
				t.Errorf("%s = %d, want 1", c.counter, h.Metric(c.counter))
			}
		})
	}
}

func TestBadRequests(t *testing.T) {
	h := host(t, `{rules: [{name: tls, to: {scheme: https}}]}`)
	if r := h.Get("/" + strings.Repeat("a", 1<<20)); r.Status != 414 || h.Metric("too_long") != 1 {
		t.Errorf("a path of 1 MiB: got %d, want 414", r.Status)
	}
	for _, name := range []string{"a.example/evil", "user@a.example", "a b", "a<b>"} {
		t.Run(name, func(t *testing.T) {
			h := filtertest.New(t, &plugintest.Probe{}, filtertest.Config{Name: "redirect", JSON: `{rules: [{to: {scheme: https}}]}`})
			q := filtertest.NewRequest("GET", "/", "")
			q.Host = name
			if r := h.Do(q); r.Status != 400 || r.Header.Get("location") != "" {
				t.Errorf("got %d to %q, want 400", r.Status, r.Header.Get("location"))
			}
		})
	}
	// The first rule that fits decides, and one that changes nothing leaves it to the next.
	h = host(t, `{rules: [{path: /a, to: {path: /a}}, {name: second, to: {path: /b}}, {to: {path: /c}}]}`)
	if r := h.Get("/a"); !strings.HasSuffix(r.Header.Get("location"), "/b") || h.Metric("redirected", "second") != 1 {
		t.Errorf("got %q, want that of the second rule", r.Header.Get("location"))
	}
}

func TestRefused(t *testing.T) {
	for rule, want := range map[string]string{
		`{}`: "rules[0].to.path: is required", `{path: /a}`: "rules[0].to", `{to: {path: b}}`: "to.path: must begin",
		`{to: {path: "//b"}}`: "two slashes", `{to: {path: "/\\b"}}`: "two slashes", `{to: {path: "/a?b"}}`: "use query",
		`{to: {prefix: /b}}`: "to.prefix: replaces", `{to: {path: /$1}}`: "without a pattern",
		`{pattern: "/(a)", to: {path: /$2}}`: "no group 2", `{pattern: "/(a)", to: {path: /$1x}}`: "no group 1x",
		`{to: {host: "a:80"}}`: "to.host", `{to: {host: "a/b"}}`: "to.host", `{to: {port: 70000}}`: "to.port",
		`{to: {query: "a b"}}`: "to.query", `{to: {query: "a", dropQuery: true}}`: "dropQuery", `{to: {scheme: ftp}}`: "scheme",
		`{to: {path: "/\u00e4"}}`: "visible ASCII", `{to: {path: /b}, status: 200}`: "status", `{path: a, to: {path: /b}}`: "rules[0].path",
		`{when: "1", to: {path: /b}}`: "rules[0].when", `{prefix: /a, to: {path: /b, prefix: /c}}`: "exclusive",
	} {
		t.Run(rule, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "redirect", JSON: `{rules: [` + rule + `]}`})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one with %q", err, want)
			}
		})
	}
	if err := new(filtertest.Host).Load(t, filtertest.Config{Name: "redirect", JSON: `{}`}); err == nil {
		t.Error("a configuration without rules is taken")
	}
}

// FuzzLocation: whatever a client sends, it stays on the host that the operator has named.
func FuzzLocation(f *testing.F) {
	for _, path := range []string{"/go//evil", `/go\\evil`, "/go/%2f/evil", "/go?//evil", "/go#evil", "/go\x00\r\n@evil", "/go/\t/evil", "%2f", "?#evil"} {
		f.Add(path) // an escaped slash stays escaped
	}
	h := host(plugintest.Shared(f), `{rules: [{pattern: "^/go(.*)", to: {host: good.example, path: $1}}, {to: {scheme: https}}]}`)
	f.Fuzz(func(t *testing.T, path string) {
		q := filtertest.NewRequest("GET", "/", "")
		q.URL.Opaque, q.Host = "/go"+path, "a.example"
		location := h.Do(q).Header.Get("location")
		u, err := url.Parse(location)
		if location == "" || err != nil && strings.Contains(err.Error(), "invalid URL escape") {
			return // the path itself has such an escape, which stays
		}
		if err != nil || u.Host != "good.example" || strings.HasPrefix(u.EscapedPath(), "//") || u.Fragment != "" {
			t.Errorf("%q leads to %q, %v", path, location, err)
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	p := &Redirect{Rules: []Rule{{Name: "default", Status: 302, To: Target{Scheme: "https"}}}}
	filtertest.New(b, p)
	plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) { p.OnRequestHeaders(s, h, true) })
}
