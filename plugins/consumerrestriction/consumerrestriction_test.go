package consumerrestriction

import (
	"cmp"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/plugintest"
	_ "mosn.io/moe/plugins/keyauth"
)

func consumer(name string, groups ...string) *filter.Consumer {
	return &filter.Consumer{
		Name: name, Groups: groups, Credentials: map[string]map[string]any{"keyauth": {"key": name}},
	}
}

// unknown lets requests pass without saying who they are from.
type unknown struct{}

func (unknown) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.Continue
}

func init() { filter.Register[unknown]("unknown", filter.Authn, filter.AuthenticatesLast()) }

func host(t testing.TB, conf string) *filtertest.Host {
	t.Helper()
	h := &filtertest.Host{Consumers: []*filter.Consumer{
		consumer("alice", "staff", "admins"), consumer("bob", "staff"), consumer("eve"),
	}}
	if err := h.Load(t, filtertest.Config{Name: "keyauth", JSON: `{}`}, &unknown{},
		filtertest.Config{Name: "consumerrestriction", JSON: conf}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	return h
}

func TestRules(t *testing.T) {
	const admin = `{allow: [{groups: [admins]}, {groups: [staff], methods: [GET, head]}, {paths: [/public/*, /health]}],
		deny: [{consumers: [bob], paths: [/secret/*]}, {groups: [staff], paths: [/closed]}]}`
	h := host(t, admin)
	for _, c := range []struct {
		who, method, path string
		status            int
	}{
		{"alice", "POST", "/x", 200},
		{"alice", "GET", "/secret/x", 200},
		{"bob", "GET", "/x", 200},
		{"bob", "HEAD", "/x", 200},
		{"bob", "POST", "/x", 403},
		{"bob", "GET", "/secret", 403},
		{"bob", "GET", "/secret/", 403},
		{"bob", "GET", "/secret/x?y", 403},
		{"bob", "GET", "/secrets", 200},
		{"alice", "GET", "/closed", 403},
		{"alice", "GET", "/closed/", 403},
		{"alice", "GET", "/closed/x", 200},
		{"eve", "GET", "/x", 403},
		{"eve", "POST", "/public/x", 200},
		{"", "GET", "/public", 200},
		{"", "GET", "/health", 200},
		{"", "GET", "/health/x", 403},
		{"", "GET", "/publicity", 403},
		{"", "GET", "/x", 403},

		// Tricks: what servers read differently is refused, and what they read alike is one path.
		{"bob", "GET", "//secret/x", 403},
		{"bob", "GET", "/%73ecret/x", 403},
		{"bob", "GET", "/secret;v=1/x", 403},
		{"bob", "GET", "/x/../secret/x", 400},
		{"bob", "GET", "/x/%2e%2e/secret/x", 400},
		{"bob", "GET", "/x%2f..%2fsecret", 400},
		{"bob", "GET", "/secret%2fx", 400},
		{"bob", "GET", "/secret%5cx", 400},
		{"bob", "GET", "/secret%252fx", 400},
		{"", "GET", "/public/../x", 400},
		{"", "GET", "/public/..;/x", 400},
		{"", "GET", "/public%00", 400},
	} {
		t.Run(c.method+" "+c.path+" by "+cmp.Or(c.who, "nobody"), func(t *testing.T) {
			r := filtertest.NewRequest(c.method, "/", "")
			r.URL.Opaque = c.path
			if strings.HasPrefix(c.path, "//") { // net/url takes it for a host
				r.URL.Opaque, r.URL.Scheme = "", ""
				r.URL.Host, r.URL.Path, r.URL.RawPath = "", c.path, ""
			}
			if c.who != "" {
				r.Header.Set("x-api-key", c.who)
			}
			if got := h.Do(r); got.Status != c.status || (got.Upstream != nil) != (c.status == 200) {
				t.Errorf("%s %s %s: %d %s, want %d", c.who, c.method, c.path, got.Status, got.Details, c.status)
			}
		})
	}
	if h.Metric("allowed") == 0 || h.Metric("denied") == 0 {
		t.Error("counters")
	}
}

func TestIgnoreCase(t *testing.T) {
	h := host(t, `{deny: [{paths: [/Secret/*]}], ignoreCase: true}`)
	for path, want := range map[string]int{"/secret/x": 403, "/SECRET": 403, "/sEcret/Y": 403, "/public": 200} {
		t.Run(path, func(t *testing.T) {
			if r := h.Get(path, "x-api-key", "bob"); r.Status != want {
				t.Errorf("%s: r.Status = %d, want %d", path, r.Status, want)
			}
		})
	}
	h = host(t, `{deny: [{paths: [/Secret/*]}]}`)
	if r := h.Get("/secret/x"); r.Status != 200 {
		t.Errorf("r.Status = %d, want 200: paths differ by case unless the configuration says otherwise", r.Status)
	}
}

func TestEveryone(t *testing.T) {
	h := host(t, `{allow: [{consumers: ["*"]}]}`)
	if r := h.Get("/", "x-api-key", "eve"); r.Status != 200 {
		t.Errorf("r.Status = %d, want 200", r.Status)
	}
	if r := h.Get("/"); r.Status != 403 || r.Details != "moe.consumerrestriction.denied" {
		t.Error("nobody is somebody", r.Status)
	}
}

func TestShadow(t *testing.T) {
	h := host(t, `{deny: [{consumers: [eve]}], shadow: true}`)
	if r := h.Get("/", "x-api-key", "eve"); r.Status != 200 || r.Metadata["moe.consumerrestriction/decision"] != "deny" {
		t.Errorf(`r.Status = %d, want 200; r.Metadata["moe.consumerrestriction/decision"] = %v, want %v: %v`,
			r.Status, r.Metadata["moe.consumerrestriction/decision"], "deny", r.Metadata)
	}
}

func TestRefused(t *testing.T) {
	for conf, want := range map[string]string{
		`{}`:                                     "allow: there must be a rule",
		`{allow: []}`:                            "allow: there must be a rule",
		`{allow: [{}]}`:                          "allow[0].consumers",
		`{allow: [{consumers: []}]}`:             "allow[0].consumers",
		`{deny: [{groups: [""]}]}`:               "deny[0].groups",
		`{deny: [{paths: [a]}]}`:                 "deny[0].paths",
		`{deny: [{paths: ["/a*"]}]}`:             "deny[0].paths",
		`{deny: [{paths: ["/a/*b"]}]}`:           "deny[0].paths",
		`{deny: [{paths: ["/a?b"]}]}`:            "deny[0].paths",
		`{deny: [{paths: ["/a/../b"]}]}`:         "deny[0].paths",
		`{deny: [{paths: ["/a%2fb"]}]}`:          "deny[0].paths",
		`{deny: [{paths: ["/%61"]}]}`:            "deny[0].paths",
		`{deny: [{path: [/a]}]}`:                 "path",
		`{deny: [{methods: ["GET POST"]}]}`:      "deny[0].methods",
		`{deny: [{methods: ["GET,POST"]}]}`:      "deny[0].methods",
		`{allow: [{consumers: [a], paths: []}]}`: "allow[0].paths",
	} {
		t.Run(conf, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "consumerrestriction", JSON: conf})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: new(filtertest.Host).Load(…): got error %v, want one with %q", conf, err, want)
			}
		})
	}
}

// FuzzBelow: a path that a pattern means is meant with a slash at its end, and everything below with /*.
func FuzzBelow(f *testing.F) {
	f.Add("/a/b", "/a/*")
	f.Add("/", "/*")
	f.Fuzz(func(t *testing.T, path, pattern string) {
		if !strings.HasPrefix(path, "/") || !strings.HasPrefix(pattern, "/") || strings.Contains(path, "//") {
			return
		}
		if below(path, pattern) && !below(strings.TrimSuffix(path, "/")+"/", pattern) {
			t.Errorf("%q is %q without a slash only", path, pattern)
		}
		if stem, ok := strings.CutSuffix(pattern, "/*"); ok && below(path, pattern) && !strings.HasPrefix(path, stem) {
			t.Errorf("%q is not below %q", path, pattern)
		}
	})
}

func TestWildcards(t *testing.T) {
	for _, c := range []struct {
		name, rule, path, host, route string
		want                          bool
	}{
		{name: "consumer", rule: `consumers: ["team-*"]`, want: true},
		{name: "consumer, in the middle", rule: `consumers: ["t*-*d"]`, want: true},
		{name: "another consumer", rule: `consumers: ["team-*x"]`},
		{name: "group", rule: `groups: ["*min*"]`, want: true},
		{name: "another group", rule: `groups: ["min*"]`},
		{name: "segment", rule: `paths: [/users/*/keys]`, path: "/users/7/keys", want: true},
		{name: "two segments", rule: `paths: [/users/*/*/keys]`, path: "/users/7/8/keys/", want: true},
		{name: "not two segments", rule: `paths: [/users/*/keys]`, path: "/users/7/8/keys"},
		{name: "not an empty segment", rule: `paths: [/users/*/keys]`, path: "/users/keys"},
		{name: "segment and below", rule: `paths: ["/users/*/keys/*"]`, path: "/users/7/keys/a/b", want: true},
		{name: "host", rule: `hosts: [a.example]`, host: "A.example:80", want: true},
		{name: "below a host", rule: `hosts: ["*.example"]`, host: "a.example", want: true},
		{name: "another host", rule: `hosts: ["*.a.example"]`, host: "a.example"},
		{name: "route", rule: `routes: ["api-*"]`, route: "api-v1", want: true},
		{name: "another route", rule: `routes: ["api-*"]`, route: "web"},
		{name: "no route", rule: `routes: ["*"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &filtertest.Host{Attrs: map[filter.Attr]string{}}
			if c.route != "" {
				h.Attrs[filter.AttrRouteName] = c.route
			}
			err := h.Load(t, &plugintest.Probe{Request: func(s filter.Stream, _ filter.RequestHeaders) {
				s.SetConsumer(&filter.Consumer{Name: "team-red", Groups: []string{"admins"}})
			}}, filtertest.Config{Name: "consumerrestriction", JSON: `{deny: [{` + c.rule + `}]}`})
			if err != nil {
				t.Fatalf("loading the plugin: %v", err)
			}
			path := c.path
			if path == "" {
				path = "/"
			}
			q := filtertest.NewRequest("GET", path, "")
			if c.host != "" {
				q.Host = c.host
			}
			if r := h.Do(q); (r.Status == 403) != c.want {
				t.Errorf("got %d, want the rule to fit: %v", r.Status, c.want)
			}
		})
	}
}

// FuzzWild: a pattern means what a regular expression of the same meaning matches.
func FuzzWild(f *testing.F) {
	f.Add("a*b*c", "axxbyyc")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 50 || !utf8.ValidString(pattern) || !utf8.ValidString(name) {
			return
		}
		re := regexp.MustCompile(`(?s)^` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `$`)
		if got, want := wild(pattern, name), re.MatchString(name); got != want {
			t.Errorf("wild(%q, %q) = %v, want %v", pattern, name, got, want)
		}
	})
}
