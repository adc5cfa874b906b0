package csrf

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/plugintest"
)

// The host of a filtertest request.
const self = "https://example.com"

func config() *CSRF {
	return &CSRF{
		SafeMethods: []string{"GET", "HEAD"}, AllowOrigins: []string{"https://a.example", "https://*.b.example"},
		AllowOriginRegexp: []*regexp.Regexp{regexp.MustCompile(`https://c[0-9]\.example`)},
	}
}

func TestOrigin(t *testing.T) {
	h := filtertest.New(t, config())
	for _, c := range []struct {
		name   string
		header []string
		want   string
	}{
		{"own", []string{"origin", self}, ""},
		{"own in http", []string{"origin", "http://example.com"}, ""},
		{"another port", []string{"origin", self + ":8443"}, "invalid origin"},
		{"allowed", []string{"origin", "https://a.example"}, ""},
		{"allowed by wildcard", []string{"origin", "https://x.b.example"}, ""},
		{"allowed by pattern", []string{"origin", "https://c1.example"}, ""},
		{"evil", []string{"origin", "https://evil.example"}, "invalid origin"},
		{"evil prefix", []string{"origin", "https://example.com.evil"}, "invalid origin"},
		{"evil suffix", []string{"origin", "https://evilexample.com"}, "invalid origin"},
		{"evil user", []string{"origin", "https://example.com@evil"}, "invalid origin"},
		{"opaque", []string{"origin", "null"}, "invalid origin"},
		{"opaque, of a page without referrers", []string{"origin", "null", "sec-fetch-site", "same-origin"}, ""},
		{"opaque, of another site", []string{"origin", "null", "sec-fetch-site", "cross-site"}, "invalid origin"},
		{"opaque, of another host", []string{"origin", "null", "sec-fetch-site", "same-site"}, "invalid origin"},
		{"opaque, typed in", []string{"origin", "null", "sec-fetch-site", "none"}, "invalid origin"},
		{
			"opaque, twice told",
			[]string{"origin", "null", "sec-fetch-site", "same-origin", "sec-fetch-site", "cross-site"},
			"invalid origin",
		},
		{"opaque, doubled", []string{"origin", "null", "origin", "null", "sec-fetch-site", "same-origin"}, "invalid origin"},
		{"opaque with our referer", []string{"origin", "null", "referer", self + "/"}, "invalid origin"},
		{"empty", []string{"origin", ""}, "invalid origin"},
		{"doubled", []string{"origin", self, "origin", "https://evil"}, "invalid origin"},
		{"doubled in one", []string{"origin", self + ", https://evil"}, "invalid origin"},
		{"bytes", []string{"origin", "\xff\xfe"}, "invalid origin"},
		{"long", []string{"origin", self + strings.Repeat("x", 1<<20)}, "invalid origin"},
		{"an evil origin with our referer", []string{"origin", "https://evil", "referer", self + "/"}, "invalid origin"},
		{
			"an evil origin that says same-origin",
			[]string{"origin", "https://evil", "sec-fetch-site", "same-origin"},
			"invalid origin",
		},
		{"none", nil, "missing origin"},
		{"referer", []string{"referer", self + "/page?x=1"}, ""},
		{"evil referer", []string{"referer", "https://evil/" + self}, "invalid origin"},
		{"referer that is not an address", []string{"referer", "example.com"}, "invalid origin"},
		{"empty referer", []string{"referer", ""}, "invalid origin"},
		{"doubled referer", []string{"referer", self + "/", "referer", "https://evil/"}, "invalid origin"},
		{"same-origin", []string{"sec-fetch-site", "same-origin"}, ""},
		{"typed in", []string{"sec-fetch-site", "none"}, ""},
		{"cross-site", []string{"sec-fetch-site", "cross-site"}, "invalid origin"},
		{"same-site", []string{"sec-fetch-site", "same-site"}, "invalid origin"},
		{"fetch metadata twice", []string{"sec-fetch-site", "same-origin", "sec-fetch-site", "cross-site"}, "invalid origin"},
		{"empty fetch metadata", []string{"sec-fetch-site", ""}, "invalid origin"},
		{"fetch metadata in capitals", []string{"sec-fetch-site", "SAME-ORIGIN"}, "invalid origin"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := h.Post("/", "x", c.header...)
			if c.want == "" && (r.Status != 200 || r.Upstream == nil) ||
				c.want != "" && (r.Status != 403 || r.Body != c.want || r.Upstream != nil) {
				t.Errorf("got %d %q, want %q", r.Status, r.Body, c.want)
			}
			for _, m := range []string{"GET", "HEAD"} {
				t.Run(m, func(t *testing.T) {
					if r := h.Do(filtertest.NewRequest(m, "/", "", c.header...)); r.Status != 200 {
						t.Errorf("%s: r.Status = %d, want 200", m, r.Status)
					}
				})
			}
			for _, m := range []string{"get", "DELETE", "PUT", "PATCH", "X"} {
				t.Run(m, func(t *testing.T) {
					if r := h.Do(filtertest.NewRequest(m, "/", "", c.header...)); (r.Status == 200) != (c.want == "") {
						t.Errorf("r.Status == 200 = %v, want %v: %s, %d", (r.Status == 200), (c.want == ""), m, r.Status)
					}
				})
			}
		})
	}
}

func TestAllowMissing(t *testing.T) {
	p := config()
	p.AllowMissingOrigin = true
	h := filtertest.New(t, p)
	if r := h.Post("/", "x"); r.Status != 200 {
		t.Errorf("r.Status = %d, want 200", r.Status)
	}
	for _, header := range [][]string{
		{"origin", "https://evil"}, {"origin", ""}, {"sec-fetch-site", "cross-site"}, {"referer", ""},
	} {
		t.Run(fmt.Sprint(header), func(t *testing.T) {
			if r := h.Post("/", "x", header...); r.Status != 403 {
				t.Errorf("%q: r.Status = %d, want 403", header, r.Status)
			}
		})
	}
}

func TestReportOnly(t *testing.T) {
	p := config()
	p.ReportOnly = true
	h := filtertest.New(t, p)
	if r := h.Post("/", "x", "origin", "https://evil"); r.Status != 200 || r.Upstream == nil {
		t.Errorf("r.Status = %d, want 200; r.Upstream = nil, want a value", r.Status)
	}
	h.Post("/", "x")
	if filtertest.Value(p.invalidOrigin) != 1 || filtertest.Value(p.missingOrigin) != 1 || strings.Count(h.Log(), "would be refused") != 2 {
		t.Errorf("got %d invalid and %d missing, want 1 and 1, and 2 lines:\n%s", filtertest.Value(p.invalidOrigin),
			filtertest.Value(p.missingOrigin), h.Log())
	}
}

func withToken(session string) *CSRF {
	p := config()
	p.Token = &Token{
		Secret: filter.NewSecret("0123456789abcdef"), Cookie: "__Host-csrf", Header: "X-CSRF-Token", Session: session,
		SameSite: "strict",
	}
	return p
}

// give asks for a page and returns the cookie that comes with it.
func give(t *testing.T, h *filtertest.Host, header ...string) string {
	t.Helper()
	cs := (&http.Response{Header: h.Get("/", header...).Header}).Cookies()
	if len(cs) != 1 {
		t.Fatalf("%d cookies", len(cs))
	}
	c := cs[0]
	if c.Name != "__Host-csrf" || !c.Secure || c.HttpOnly || c.Path != "/" || c.SameSite != http.SameSiteStrictMode ||
		c.Domain != "" {
		t.Errorf("got %+v, want a strict, secure __Host-csrf that scripts can read", c)
	}
	return c.Value
}

func TestToken(t *testing.T) {
	h := filtertest.New(t, withToken(""))
	token, other := give(t, h), give(t, h)
	if token == other {
		t.Error("two clients have one token")
	}
	changed := "A" + token[1:]
	if changed == token {
		changed = "B" + token[1:]
	}
	for name, c := range map[string]struct {
		cookie, header []string
		ok             bool
	}{
		"both":                {[]string{token}, []string{token}, true},
		"no header":           {[]string{token}, nil, false},
		"no cookie":           {nil, []string{token}, false},
		"neither":             {nil, nil, false},
		"empty":               {[]string{""}, []string{""}, false},
		"of another":          {[]string{token}, []string{other}, false},
		"made up":             {[]string{"abc"}, []string{"abc"}, false},
		"made up, as long":    {[]string{strings.Repeat("A", len(token))}, []string{strings.Repeat("A", len(token))}, false},
		"changed":             {[]string{changed}, []string{changed}, false},
		"doubled header":      {[]string{token}, []string{token, token}, false},
		"long header":         {[]string{token}, []string{strings.Repeat(token, 20000)}, false},
		"first cookie counts": {[]string{"x", token}, []string{token}, false},
	} {
		t.Run(name, func(t *testing.T) {
			header := []string{"origin", self}
			for _, v := range c.cookie {
				header = append(header, "cookie", "a=b; __Host-csrf="+v)
			}
			for _, v := range c.header {
				header = append(header, "x-csrf-token", v)
			}
			r := h.Post("/", "x", header...)
			if (r.Status == 200) != c.ok || !c.ok && (r.Status != 403 || r.Body != "invalid CSRF token") {
				t.Errorf("%s: got %d %s, want it to pass: %v", name, r.Status, r.Body, c.ok)
			}
		})
	}
	// A token does not excuse another origin.
	r := h.Post("/", "x", "origin", "https://evil", "cookie", "__Host-csrf="+token, "x-csrf-token", token)
	if r.Status != 403 {
		t.Errorf("r.Status = %d, want 403", r.Status)
	}
	if r := h.Get("/", "cookie", "__Host-csrf="+token); r.Header.Get("set-cookie") != "" {
		t.Error("who has a token gets another")
	}
	p := withToken("")
	p.Token.Secret = filter.NewSecret("0123456789abcdeg")
	r = filtertest.New(t, p).Post("/", "x", "origin", self, "cookie", "__Host-csrf="+token, "x-csrf-token", token)
	if r.Status != 403 {
		t.Error("a token of another secret passes")
	}
}

func TestTokenOfSession(t *testing.T) {
	h := filtertest.New(t, withToken("sid"))
	token := give(t, h, "cookie", "sid=one")
	post := func(session string) int {
		return h.Post("/", "x", "origin", self, "cookie", "sid="+session+"; __Host-csrf="+token, "x-csrf-token", token).Status
	}
	if post("one") != 200 || post("two") != 403 || post("") != 403 {
		t.Error(post("one"), post("two"), post(""))
	}
	if next := give(t, h, "cookie", "sid=two; __Host-csrf="+token); next == token {
		t.Error("another session keeps the token")
	}
}

func TestConfiguration(t *testing.T) {
	token := func(more string) string { return `{token: {secret: 0123456789abcdef, ` + more + `}}` }
	for conf, want := range map[string]string{
		`{allowOrigins: ["null"]}`: "allowOrigins", `{allowOrigins: ["*"]}`: "allowOrigins",
		`{allowOrigins: ["a.example"]}`: "allowOrigins", `{allowOriginRegexp: [".*"]}`: "allowOriginRegexp",
		`{safeMethods: ["A B"]}`: "safeMethods[0]", `{safeMethods: [GET, get]}`: "safeMethods[1]: methods are case-sensitive", `{x: 1}`: "x", `{token: {}}`: "token.secret",
		`{token: {secret: geheim}}`: "16 bytes", token(`header: "a b"`): "token.header",
		token(`cookie: "a=b"`): "token.cookie", token(`session: "a;b"`): "token.session",
		token(`insecure: true`): "token.insecure", token(`insecure: true, cookie: c, sameSite: none`): "token.sameSite",
		token(`sameSite: Strict`): "sameSite",
	} {
		t.Run(fmt.Sprintf("%.40q", conf), func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "csrf", JSON: conf})
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") ||
				strings.Contains(err.Error(), "0123456789abcdef") {
				t.Errorf("%s: %v, want %q", conf, err, want)
			}
		})
	}
	h := filtertest.New(t, filtertest.Config{Name: "csrf", JSON: token(`insecure: true, cookie: c, sameSite: lax`)})
	r := h.Get("/")
	if c := r.Header.Get("set-cookie"); !strings.HasPrefix(c, "c=") || strings.Contains(c, "Secure") ||
		!strings.Contains(c, "SameSite=Lax") {
		t.Errorf(`r.Header.Get("set-cookie") = %q, want the prefix %q, and it without %q, and it to contain %q`,
			c, "c=", "Secure", "SameSite=Lax")
	}
	for _, m := range []string{"OPTIONS", "TRACE"} {
		t.Run(m, func(t *testing.T) {
			if r := h.Do(filtertest.NewRequest(m, "/", "")); r.Status != 200 {
				t.Errorf("%q: r.Status = %d, want 200", m, r.Status)
			}
		})
	}
	if r := h.GRPC("/a.B/C", "", "origin", "https://evil"); r.GRPCStatus != 7 {
		t.Errorf("r.GRPCStatus = %d, want 7", r.GRPCStatus)
	}
}

func FuzzToken(f *testing.F) {
	p := withToken("")
	p.Token.provision()
	f.Add(p.Token.issue("s").Value, "s")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, token, session string) {
		if p.Token.valid(token, session) && (len(token) != 64 || p.Token.valid(token, session+"x")) {
			t.Errorf("%q is valid for %q", token, session)
		}
	})
}

func BenchmarkCSRF(b *testing.B) {
	p := config()
	p.SafeMethods = nil // the benchmark's request is a GET
	filtertest.New(b, p)
	st := p.newStream(filter.Stream{})
	plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) {
		if st.OnRequestHeaders(s, h, true) != filter.Continue {
			b.Fatal("denied")
		}
	}, "origin", self)
}

// TestTokenAge: a token is good for maxAge, by whoever's clock, and is renewed when half of it is over.
func TestTokenAge(t *testing.T) {
	start := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	now := start
	token := &Token{Secret: filter.NewSecret("0123456789abcdef"), Cookie: "csrf", MaxAge: time.Hour, now: func() time.Time { return now }}
	h := filtertest.New(t, &CSRF{Token: token})
	issued := h.Get("/").Header.Get("set-cookie")
	value, _, _ := strings.Cut(strings.TrimPrefix(issued, "csrf="), ";")
	if !strings.Contains(issued, "Max-Age=3600") {
		t.Errorf("got the cookie %q, want Max-Age=3600", issued)
	}
	for _, c := range []struct {
		name    string
		after   time.Duration
		status  int
		renewed bool
	}{
		{name: "at once", status: 200},
		{name: "by a clock that is behind", after: -50 * time.Second, status: 200},
		{name: "by a clock that is far behind", after: -2 * time.Minute, status: 403, renewed: true},
		{name: "before half of it", after: 29 * time.Minute, status: 200},
		{name: "after half of it", after: 31 * time.Minute, status: 200, renewed: true},
		{name: "at its end", after: time.Hour, status: 200, renewed: true},
		{name: "after its end", after: time.Hour + time.Second, status: 403, renewed: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			now = start.Add(c.after)
			r := h.Post("/", "x", "origin", "http://example.com", "cookie", "csrf="+value, "x-csrf-token", value)
			if r.Status != c.status {
				t.Errorf("got %d %s, want %d", r.Status, r.Details, c.status)
			}
			got := h.Get("/", "cookie", "csrf="+value).Header.Get("set-cookie") != ""
			if got != c.renewed {
				t.Errorf("renewed: %v, want %v", got, c.renewed)
			}
		})
	}
	// A token without a time is not one that has a time, and the other way round.
	now = start
	plain := filtertest.New(t, &CSRF{Token: &Token{Secret: filter.NewSecret("0123456789abcdef"), Cookie: "csrf"}})
	if r := plain.Post("/", "x", "origin", "http://example.com", "cookie", "csrf="+value, "x-csrf-token", value); r.Status != 403 {
		t.Errorf("without maxAge: got %d, want 403", r.Status)
	}
}
