package cors

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/plugintest"
)

func listed() *CORS {
	return &CORS{
		AllowOrigins: []string{"https://a.example", "https://*.b.example"}, AllowMethods: []string{"PUT", "GET"},
		AllowHeaders: []string{"x-one", "content-type"}, ExposeHeaders: []string{"x-two"}, AllowCredentials: true,
		MaxAge: time.Minute, AllowPrivateNetwork: true,
	}
}

func preflight(h *filtertest.Host, origin string, more ...string) *filtertest.Response {
	header := append([]string{"origin", origin, "access-control-request-method", "PUT"}, more...)
	return h.Do(filtertest.NewRequest("OPTIONS", "/", "", header...))
}

// fields are the CORS fields of a response, and vary.
func fields(h http.Header) map[string]string {
	m := map[string]string{}
	for k, v := range h {
		if k = strings.ToLower(k); strings.HasPrefix(k, "access-control-") || k == "vary" {
			m[strings.TrimPrefix(k, "access-control-")] = strings.Join(v, "|")
		}
	}
	return m
}

func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for k := range want {
		if got[k] != want[k] {
			t.Errorf("%s: %s is %q, want %q", what, k, got[k], want[k])
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("%s: has %s: %q", what, k, got[k])
		}
	}
}

func TestPreflight(t *testing.T) {
	h := filtertest.New(t, listed())
	want := map[string]string{
		"allow-origin": "https://a.example", "allow-methods": "GET, HEAD, POST, PUT", "allow-headers": "x-one, content-type",
		"allow-credentials": "true", "max-age": "60", "vary": preflightVary,
	}
	r := preflight(h, "https://a.example")
	if r.Status != 204 || r.Upstream != nil || r.Body != "" || r.Details != "moe.cors.preflight" {
		t.Errorf("r.Status = %d, want 204; r.Upstream = %+v, want nil; r.Body = %q, want %q; r.Details = %q, want %q",
			r.Status, r.Upstream, r.Body, "", r.Details, "moe.cors.preflight")
	}
	same(t, "listed", fields(r.Header), want)
	r = preflight(h, "https://x.b.example", "access-control-request-private-network", "true")
	want["allow-origin"], want["allow-private-network"] = "https://x.b.example", "true"
	same(t, "private network", fields(r.Header), want)

	h = filtertest.New(t, filtertest.Config{Name: "cors", JSON: `{allowOrigins: ["*"], allowMethods: ["*"], allowHeaders: ["*"], maxAge: 0s}`})
	r = preflight(h, "https://any", "access-control-request-private-network", "true")
	same(t, "all", fields(r.Header), map[string]string{
		"allow-origin": "*", "allow-methods": "*", "allow-headers": "*", "max-age": "0", "vary": preflightVary,
	})
}

func TestRefusedOrigins(t *testing.T) {
	p := listed()
	h := filtertest.New(t, p)
	bad := []string{
		"", "null", "https://evil.example", "https://a.example.evil", "http://a.example", "https://b.example",
		"https://a.example, https://evil", "\xff\xfe", strings.Repeat("https://a.example", 1<<16), "*",
	}
	for _, o := range bad {
		r := preflight(h, o)
		if r.Status != 403 || r.Upstream != nil || r.Details != "moe.cors.origin" {
			t.Errorf("%.30q: r.Status = %d, want 403; r.Upstream = %+v, want nil; r.Details = %q, want %q",
				o, r.Status, r.Upstream, r.Details, "moe.cors.origin")
		}
		same(t, o[:min(len(o), 30)], fields(r.Header), map[string]string{"vary": "Origin"})
		r = h.Get("/", "origin", o)
		if r.Status != 200 || r.Upstream == nil {
			t.Errorf("%.30q: r.Status = %d, want 200; r.Upstream = nil, want a value", o, r.Status)
		}
		same(t, o[:min(len(o), 30)], fields(r.Header), map[string]string{"vary": "Origin"})
	}
	if r := h.Get("/", "origin", "https://a.example", "origin", "https://evil"); r.Header.Get(allowOrigin) != "" {
		t.Error("two origins are allowed")
	}
	if got := filtertest.Value(p.refused); got != uint64(2*len(bad)+1) {
		t.Errorf("refused is %d", got)
	}
	p = listed()
	p.DenyOthers = true
	h = filtertest.New(t, p)
	if r := h.Post("/", "x", "origin", "https://evil"); r.Status != 403 || r.Upstream != nil {
		t.Errorf("r.Status = %d, want 403; r.Upstream = %+v, want nil", r.Status, r.Upstream)
	}
	if r := h.Post("/", "x"); r.Status != 200 {
		t.Error("a request that no page has sent", r.Status)
	}
}

// TestSameOrigin: browsers send the origin with every POST, also with those of the host's own pages.
func TestSameOrigin(t *testing.T) {
	for _, c := range []struct {
		name, method, scheme string
		header               []string
		status               int
	}{
		{name: "own page", method: "POST", scheme: "https", header: []string{"origin", "https://shop.example"}, status: 200},
		{
			name: "own page, TLS ends before Envoy", method: "POST", scheme: "http",
			header: []string{"origin", "https://shop.example"}, status: 200,
		},
		{
			name: "own page by http", method: "POST", scheme: "http", header: []string{"origin", "http://shop.example"},
			status: 200,
		},
		{
			name: "own page, any method", method: "DELETE", scheme: "https", header: []string{"origin", "https://shop.example"},
			status: 200,
		},
		{
			name: "a page by http of a host with TLS", method: "POST", scheme: "https",
			header: []string{"origin", "http://shop.example"}, status: 403,
		},
		{
			name: "another port", method: "POST", scheme: "https", header: []string{"origin", "https://shop.example:8443"},
			status: 403,
		},
		{
			name: "another host", method: "POST", scheme: "https", header: []string{"origin", "https://evil.example"},
			status: 403,
		},
		{
			name: "longer host", method: "POST", scheme: "https", header: []string{"origin", "https://shop.example.evil"},
			status: 403,
		},
		{
			name: "host below", method: "POST", scheme: "https", header: []string{"origin", "https://x.shop.example"},
			status: 403,
		},
		{name: "opaque", method: "POST", scheme: "https", header: []string{"origin", "null"}, status: 403},
		{
			name: "two", method: "POST", scheme: "https",
			header: []string{"origin", "https://shop.example", "origin", "https://evil.example"}, status: 403,
		},
		{
			name: "preflight, which no page sends to its own origin", method: "OPTIONS", scheme: "https",
			header: []string{"origin", "https://shop.example", "access-control-request-method", "PUT"}, status: 403,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := filtertest.New(t,
				&plugintest.Probe{Request: func(_ filter.Stream, h filter.RequestHeaders) { h.Set(":scheme", c.scheme) }},
				filtertest.Config{
					Name: "cors", JSON: `{"allowOrigins": ["https://app.example"], "denyOthers": true}`,
				})
			q := filtertest.NewRequest(c.method, "/", "", c.header...)
			q.Host = "shop.example"
			r := h.Do(q)
			if r.Status != c.status {
				t.Errorf("got %d %s, want %d", r.Status, r.Details, c.status)
			}
			if got := r.Header.Get(allowOrigin); got != "" {
				t.Errorf("the response has access-control-allow-origin: %s", got)
			}
			if got, want := h.Metric("refused"), int64(0); (c.status == 200) != (got == want) {
				t.Errorf("refused = %d with status %d", got, c.status)
			}
		})
	}
}

func TestActual(t *testing.T) {
	h := filtertest.New(t, listed())
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Credentials", "false")
		w.Header().Set("Access-Control-Max-Age", "86400")
		if v := r.Header.Get("x-vary"); v != "" {
			w.Header().Set("Vary", v)
		}
	})
	allowed := map[string]string{
		"allow-origin": "https://a.example", "allow-credentials": "true", "expose-headers": "x-two", "vary": "Origin",
	}
	same(t, "allowed", fields(h.Get("/", "origin", "https://a.example").Header), allowed)
	allowed["vary"] = "Accept|Origin"
	same(t, "vary", fields(h.Get("/", "origin", "https://a.example", "x-vary", "Accept").Header), allowed)
	for _, v := range []string{"Accept, ORIGIN", "*", "origin"} {
		allowed["vary"] = v
		same(t, v, fields(h.Get("/", "origin", "https://a.example", "x-vary", v).Header), allowed)
	}
	same(t, "no page", fields(h.Get("/").Header), map[string]string{"vary": "Origin"})
	// OPTIONS without a method to ask for is not a preflight.
	r := h.Do(filtertest.NewRequest("OPTIONS", "/", "", "origin", "https://a.example"))
	if r.Status != 200 || r.Upstream == nil {
		t.Errorf("r.Status = %d, want 200; r.Upstream = nil, want a value", r.Status)
	}

	h = filtertest.New(t, &CORS{AllowOrigins: []string{"*"}})
	for _, header := range [][]string{nil, {"origin", "https://x"}, {"origin", "null"}} {
		same(t, "all", fields(h.Get("/", header...).Header), map[string]string{"allow-origin": "*"})
	}
}

// A page must be able to read why it was refused by a plugin of a later stage, and the origin must hold whatever later
// plugins do to the request.
func TestReplyOfAnother(t *testing.T) {
	h := filtertest.New(t, listed(), &plugintest.Probe{Request: func(_ filter.Stream, h filter.RequestHeaders) {
		h.Set("origin", "https://evil")
	}})
	if got := h.Get("/", "origin", "https://a.example").Header.Get(allowOrigin); got != "https://a.example" {
		t.Errorf("Get(allowOrigin) = %q, want %q", got, "https://a.example")
	}
}

func TestConfiguration(t *testing.T) {
	for conf, want := range map[string]string{
		`{}`: "allowOrigins", `{allowOrigins: []}`: "allowOrigins", `{allowOrigins: ["a.example"]}`: "not an origin",
		`{allowOrigins: ["https://a/"]}`:                                              "nothing may follow",
		`{allowOrigins: ["*"], allowCredentials: true}`:                               "allowOrigins: * and null",
		`{allowOrigins: ["null"], allowCredentials: true}`:                            "allowOrigins: * and null",
		`{allowOriginRegexp: [".*"], allowCredentials: true}`:                         "allowOriginRegexp: a pattern",
		`{allowOriginRegexp: ["https?://.+"], allowCredentials: true}`:                "allowOriginRegexp: a pattern",
		`{allowOriginRegexp: ['https://.*\.com'], allowCredentials: true}`:            "allowOriginRegexp: a pattern",
		`{allowOriginRegexp: ['https://.*example\.com'], allowCredentials: true}`:     "allowOriginRegexp: a pattern",
		`{allowOrigins: ["https://*.com"], allowCredentials: true}`:                   "allowOrigins: anybody",
		`{allowOrigins: ["https://*.github.io"], allowCredentials: true}`:             "allowOrigins: anybody",
		`{allowOriginRegexp: ["("]}`:                                                  "allowOriginRegexp",
		`{allowOrigins: ["https://a"], allowMethods: ["*"], allowCredentials: true}`:  "allowMethods: *",
		`{allowOrigins: ["https://a"], allowHeaders: ["*"], allowCredentials: true}`:  "allowHeaders: *",
		`{allowOrigins: ["https://a"], exposeHeaders: ["*"], allowCredentials: true}`: "exposeHeaders: *",
		`{allowOrigins: ["https://a"], allowMethods: ["A B"]}`:                        "allowMethods[0]",
		`{allowOrigins: ["https://a"], allowMethods: [PUT, patch]}`:                   "allowMethods[1]: methods are case-sensitive",
		`{allowOrigins: ["https://a"], allowHeaders: ["x", "a\nb"]}`:                  "allowHeaders[1]",
		`{allowOrigins: ["https://a"], reflectHeaders: true, allowHeaders: [x]}`:      "reflectHeaders",
		`{allowOrigins: ["https://a"], passPreflights: true, allowMethods: [PUT]}`:    "passPreflights",
		`{allowOrigins: ["https://a"], maxAge: -1s}`:                                  "maxAge",
		`{allowOrigins: ["https://a"], maxAge: 1s, typo: 1}`:                          "typo",
	} {
		t.Run(conf, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "cors", JSON: conf})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", conf, err, want)
			}
		})
	}
	h := filtertest.New(t, filtertest.Config{
		Name: "cors", JSON: `{allowOriginRegexp: ['https://[a-z]+\.example'], allowCredentials: true}`,
	})
	r := preflight(h, "https://abc.example")
	same(t, "defaults", fields(r.Header), map[string]string{
		"allow-origin": "https://abc.example", "allow-methods": "GET, HEAD, POST", "allow-credentials": "true",
		"max-age": "5", "vary": preflightVary,
	})
	if r := preflight(h, "https://abc.example.evil"); r.Status != 403 {
		t.Errorf("r.Status = %d, want 403", r.Status)
	}
}

func TestReflectHeaders(t *testing.T) {
	const base = `{allowOrigins: ["https://a.example"], allowCredentials: true, reflectHeaders: true}`
	for asked, want := range map[string]string{
		"x-one, Authorization": "x-one, Authorization", "x-one": "x-one", "x one": "", "x-one,,x-two": "", "x-one, <script>": "",
		strings.Repeat("x", 5000): "",
	} {
		t.Run(asked[:min(len(asked), 30)], func(t *testing.T) {
			h := filtertest.New(t, filtertest.Config{Name: "cors", JSON: base})
			q := filtertest.NewRequest("OPTIONS", "/", "", "origin", "https://a.example", requestMethod, "PUT", requestHeaders, asked)
			r := h.Do(q)
			if got := r.Header.Get(allowHeaders); r.Status != 204 || got != want {
				t.Errorf("got %d with %q, want 204 with %q", r.Status, got, want)
			}
		})
	}
}

func TestPassPreflights(t *testing.T) {
	h := filtertest.New(t, filtertest.Config{Name: "cors", JSON: `{allowOrigins: ["https://a.example"], passPreflights: true}`})
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(allowOrigin, "https://a.example")
		w.Header().Set(allowMethods, "PURGE")
		w.WriteHeader(204)
	})
	r := preflight(h, "https://a.example")
	if r.Status != 204 || r.Upstream == nil {
		t.Errorf("got %d, want 204 of the upstream", r.Status)
	}
	same(t, "the upstream's", fields(r.Header), map[string]string{"allow-origin": "https://a.example", "allow-methods": "PURGE", "vary": "Origin"})
	if r := preflight(h, "https://evil.example"); r.Status != 403 || r.Upstream != nil {
		t.Errorf("another origin: got %d, want 403 without asking the upstream", r.Status)
	}
	same(t, "no preflight", fields(h.Get("/", "origin", "https://a.example").Header), map[string]string{"allow-origin": "https://a.example", "vary": "Origin"})
}

func TestTiming(t *testing.T) {
	for _, c := range []struct{ name, origins, origin, want string }{
		{name: "listed", origins: `"https://a.example"`, origin: "https://a.example", want: "https://a.example"},
		{name: "not listed", origins: `"https://a.example"`, origin: "https://b.example"},
		{name: "all", origins: `"*"`, origin: "https://b.example", want: "*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := filtertest.New(t, filtertest.Config{Name: "cors", JSON: `{allowOrigins: [` + c.origins + `], allowTiming: true}`})
			h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(timingAllowOrigin, "https://x.example") })
			if got := h.Get("/", "origin", c.origin).Header.Get(timingAllowOrigin); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func BenchmarkCORS(b *testing.B) {
	p := listed()
	filtertest.New(b, p)
	st := p.newStream(filter.Stream{})
	b.Run("request", func(b *testing.B) {
		plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) {
			if st.OnRequestHeaders(s, h, true) != filter.Continue {
				b.Fatal("denied")
			}
		}, "origin", "https://x.b.example")
	})
	b.Run("response", func(b *testing.B) {
		plugintest.BenchResponse(b, func(s filter.Stream, h filter.ResponseHeaders) { st.OnResponseHeaders(s, h, false) })
	})
}
