package headermutation

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/plugintest"
)

// request returns what the upstream sees, of the headers that begin with "x-".
func request(t *testing.T, m Mutations, header ...string) http.Header {
	t.Helper()
	r := filtertest.New(t, &HeaderMutation{Request: m}).Get("/path?q=1", header...)
	got := http.Header{}
	for name, vs := range r.Upstream.Header {
		if strings.HasPrefix(name, "X-") {
			got[name] = vs
		}
	}
	return got
}

func TestRequest(t *testing.T) {
	re := regexp.MustCompile
	for _, c := range []struct {
		name string
		m    Mutations
		sent []string
		want http.Header
	}{
		{"nothing", Mutations{}, []string{"x-a", "1"}, http.Header{"X-A": {"1"}}},
		{
			"remove",
			Mutations{Remove: []string{"X-A", "x-none"}},
			[]string{"x-a", "1", "x-a", "2", "x-ab", "3"},
			http.Header{"X-Ab": {"3"}},
		},
		{
			"remove by prefix",
			Mutations{RemovePrefix: []string{"X-In"}},
			[]string{"x-in", "1", "x-internal", "2", "x-i", "3"},
			http.Header{"X-I": {"3"}},
		},
		{
			"remove by pattern",
			Mutations{RemoveRegexp: []*regexp.Regexp{re("x-[0-9]+"), re("X-A|x-b")}},
			[]string{"x-1", "1", "x-12", "2", "x-1a", "3", "x-a", "4", "x-b", "5", "x-bb", "6"},
			http.Header{"X-1a": {"3"}, "X-Bb": {"6"}},
		},
		{
			"set",
			Mutations{Set: map[string]string{"X-A": "new", "x-b": "new"}},
			[]string{"x-a", "1", "x-a", "2"},
			http.Header{"X-A": {"new"}, "X-B": {"new"}},
		},
		{
			"add",
			Mutations{Add: map[string]string{"x-a": "new", "x-b": "new"}},
			[]string{"x-a", "1"},
			http.Header{"X-A": {"1", "new"}, "X-B": {"new"}},
		},
		{
			"set and add",
			Mutations{Set: map[string]string{"x-a": "1"}, Add: map[string]string{"x-a": "2"}},
			nil,
			http.Header{"X-A": {"1", "2"}},
		},
		{
			"apply in order",
			Mutations{Apply: []Mutation{
				{Name: "x-a", Value: "1"},
				{Name: "x-a", Value: "2", Action: appendOrAdd},
				{Name: "x-b", Value: "1", Action: addIfAbsent},
				{Name: "x-b", Value: "2", Action: addIfAbsent},
				{Name: "x-c", Value: "1", Action: overwriteIfThere},
				{Name: "x-d", Value: "1", Action: overwriteIfThere},
				{Name: "x-e", Value: "1", Action: overwriteOrAdd},
				{Name: "x-e", Value: "2", Action: overwriteOrAdd},
			}},
			[]string{"x-d", "0", "x-d", "0"},
			http.Header{"X-A": {"1", "2"}, "X-B": {"1"}, "X-D": {"1"}, "X-E": {"2"}},
		},
		{
			"rename",
			Mutations{Remove: []string{"x-old"}, Set: map[string]string{"x-new": "%REQ(x-old)%"}},
			[]string{"x-old", "1"},
			http.Header{"X-New": {"1"}},
		},
		{
			"swap",
			Mutations{Set: map[string]string{"x-a": "%REQ(x-b)%", "x-b": "%REQ(x-a)%"}},
			[]string{"x-a", "1", "x-b", "2"},
			http.Header{"X-A": {"2"}, "X-B": {"1"}},
		},
		{"unknown value changes nothing", Mutations{
			Set: map[string]string{"x-a": "%REQ(x-none)%"},
			Add: map[string]string{"x-b": "%ROUTE_NAME%"},
		}, []string{"x-a", "1"}, http.Header{"X-A": {"1"}}},
		{
			"text around an unknown value",
			Mutations{Set: map[string]string{"x-a": "<%REQ(x-none)%>"}},
			nil,
			http.Header{"X-A": {"<>"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, request(t, c.m, c.sent...)); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPseudoHeaders(t *testing.T) {
	h := filtertest.New(t, &HeaderMutation{ClearRouteCache: true, Request: Mutations{
		Set: map[string]string{":path": "/v2%REQ(:path)%", ":authority": "backend", ":method": "HEAD"},
		// No prefix or pattern reaches a pseudo-header.
		RemoveRegexp: []*regexp.Regexp{regexp.MustCompile(".*")},
	}})
	r := h.Get("/a?b=c", "x-a", "1")
	u := r.Upstream
	if u.URL.String() != "/v2/a?b=c" || u.Host != "backend" || u.Method != "HEAD" || len(u.Header) != 0 {
		t.Errorf("got %s %s %s %v, want HEAD backend /v2/a?b=c without headers", u.Method, u.Host, u.URL, u.Header)
	}
	if err := (&filtertest.Host{Lacks: filter.CanClearRouteCache}).Load(t, &HeaderMutation{ClearRouteCache: true}); err == nil {
		t.Error("clearRouteCache is accepted on a host that cannot")
	}
}

func TestResponseAndTrailers(t *testing.T) {
	h := filtertest.New(t, &HeaderMutation{
		RequestTrailers: Mutations{Set: map[string]string{"x-sum": "%REQ(:path)%"}},
		Response: Mutations{
			Remove: []string{"server"},
			Set:    map[string]string{"x-code": "%RESPONSE_CODE%", "x-path": "%REQ(:path)%", "x-at": "%START_TIME(%Y)%"},
		},
		ResponseTrailers: Mutations{Add: map[string]string{"x-more": "%RESP(x-up)%", "x-was": "%TRAILER(x-end)%"}},
	})
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("trailer", "x-end")
		w.Header().Set("server", "secret")
		w.Header().Set("x-up", "up")
		w.WriteHeader(404)
		w.Header().Set("x-end", "end")
	})
	req := httptest.NewRequest("POST", "/p", strings.NewReader("body"))
	req.Trailer = http.Header{"X-Sum": {"1"}}
	r := h.Do(req)
	if r.Header.Get("server") != "" || r.Header.Get("x-code") != "404" || r.Header.Get("x-path") != "/p" ||
		!strings.HasPrefix(r.Header.Get("x-at"), "20") {
		t.Errorf("got %v, want x-code, x-path and x-at, and no server", r.Header)
	}
	if r.Trailer.Get("x-more") != "up" || r.Trailer.Get("x-was") != "end" || r.Trailer.Get("x-end") != "end" {
		t.Errorf("got trailers %v, want x-more: up, x-was: end and x-end: end", r.Trailer)
	}
}

// A value from metadata, which anything may be in, does not smuggle a header in.
func TestInvalidValue(t *testing.T) {
	p := &HeaderMutation{Response: Mutations{Set: map[string]string{"x-a": "%DYNAMIC_METADATA(ns:k)%", "x-b": "2"}}}
	probe := &plugintest.Probe{Request: func(s filter.Stream, _ filter.RequestHeaders) {
		if err := s.SetMetadata("ns", "k", "1\r\nset-cookie: a=b"); err != nil {
			t.Errorf("s.SetMetadata: %v", err)
		}
	}}
	r := filtertest.New(t, p, probe).Get("/")
	if r.Header.Get("x-a") != "" || r.Header.Get("set-cookie") != "" || r.Header.Get("x-b") != "2" {
		t.Errorf("got %v, want x-b: 2 and no others", r.Header)
	}
	if filtertest.Value(p.invalid) != 1 {
		t.Error("counted", filtertest.Value(p.invalid))
	}
}

func TestRefused(t *testing.T) {
	set := func(name, value string) HeaderMutation {
		return HeaderMutation{Request: Mutations{Set: map[string]string{name: value}}}
	}
	for want, p := range map[string]HeaderMutation{
		"request.remove[1]: :path cannot be removed": {Request: Mutations{Remove: []string{"a", ":path"}}},
		"request.remove[0]: host cannot be removed":  {Request: Mutations{Remove: []string{"Host"}}},
		"removePrefix[0]:":                           {Request: Mutations{RemovePrefix: []string{""}}},
		"response.removePrefix[0]: \":s":             {Response: Mutations{RemovePrefix: []string{":s"}}},
		"request.set.host: use :authority":           set("host", "x"),
		"request.set.a b:":                           set("a b", "x"),
		"request.set.a: the value is empty":          set("a", ""),
		"request.set.a: the value has a line break":  set("a", "b\r\nc: d"),
		"request.set.:status:":                       set(":status", "200"),
		"position 0: unknown command NOPE; known":    set("a", "%NOPE%"),
		"belongs to the headers of a request": {Response: Mutations{
			Set: map[string]string{":path": "/"},
		}},
		"request.add.:path: :path has one value": {Request: Mutations{Add: map[string]string{":path": "/"}}},
		"requestTrailers.apply[0]: unknown action": {RequestTrailers: Mutations{
			Apply: []Mutation{{Name: "a", Value: "b", Action: "ADD"}},
		}},
	} {
		t.Run(want, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, &p)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// As the operator writes it, with defaults.
func TestConfiguration(t *testing.T) {
	h := filtertest.New(t, filtertest.Config{Name: "headermutation", JSON: `
request:
  removeRegexp: ["x-[0-9]+"]
  apply:
    - {name: x-a, value: "1"}
    - {name: x-a, value: "2", action: add_if_absent}
response:
  set: {x-b: "%REQ(x-c)%"}
`})
	r := h.Get("/", "x-1", "1", "x-c", "c")
	if r.Upstream.Header.Get("x-1") != "" || len(r.Upstream.Header.Values("x-a")) != 1 || r.Header.Get("x-b") != "c" {
		t.Errorf("got request %v and response %v, want x-1 removed, one x-a and x-b: c", r.Upstream.Header, r.Header)
	}
	for conf, want := range map[string]string{
		`{"request":{"apply":[{"name":"a","value":"b","action":"replace"}]}}`: "request.apply[0].action",
		`{"request":{"apply":[{"name":"a"}]}}`:                                "request.apply[0].value",
		`{"request":{"removeRegexp":["("]}}`:                                  "request.removeRegexp[0]",
		`{"request":{"set":{"a":1}}}`:                                         "request.set.a",
		`{"requests":{}}`:                                                     "requests",
	} {
		t.Run(conf, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "headermutation", JSON: conf})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: new(filtertest.Host).Load(…): got error %v, want one with %q", conf, err, want)
			}
		})
	}
}

// All errors are reported, not only the first.
func TestEveryError(t *testing.T) {
	p := &HeaderMutation{
		Request:  Mutations{Remove: []string{":path", "ok", "host"}, Set: map[string]string{"a b": "1", "a": "%"}},
		Response: Mutations{RemoveRegexp: []*regexp.Regexp{regexp.MustCompile("")}, Apply: []Mutation{{Value: "1"}}},
	}
	err := p.Validate()
	for _, path := range []string{
		"request.remove[0]: ", "request.remove[2]: ", "request.set.a: ", "request.set.a b: ",
		"response.removeRegexp[0]: ", "response.apply[0]: ",
	} {
		t.Run(path, func(t *testing.T) {
			if !strings.Contains("\n"+err.Error(), "\n"+path) {
				t.Errorf("%s is missing in\n%v", path, err)
			}
		})
	}
}

func BenchmarkHeaderMutation(b *testing.B) {
	for _, c := range []struct {
		name string
		m    Mutations
	}{
		{"set", Mutations{Set: map[string]string{"x-a": "1"}}},
		{"substitute", Mutations{Set: map[string]string{"x-a": "%REQ(user-agent)%"}}},
		{"join", Mutations{Set: map[string]string{"x-a": "%REQ(:authority)%%REQ(:path)%"}}},
		{"remove", Mutations{Remove: []string{"x-a"}}},
		{"prefix", Mutations{RemovePrefix: []string{"x-internal-"}}},
		{"regexp", Mutations{RemoveRegexp: []*regexp.Regexp{regexp.MustCompile("x-internal-.*")}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := &HeaderMutation{Request: c.m}
			filtertest.New(b, p)
			plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) { p.OnRequestHeaders(s, h, true) })
		})
	}
}
