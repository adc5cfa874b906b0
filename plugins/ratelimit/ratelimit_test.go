package ratelimit

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	_ "mosn.io/moe/plugins/cel"
	"mosn.io/moe/plugins/internal/authztest"
	"mosn.io/moe/plugins/internal/plugintest"
	"mosn.io/moe/plugins/internal/requestkey"
)

func load(t testing.TB, consumer *filter.Consumer, config string) *filtertest.Host {
	t.Helper()
	return authztest.Load(t, consumer, "ratelimit", config)
}

// Which requests share a count, of a limit of one.
func TestKeys(t *testing.T) {
	const rule = `{rules: [{limit: 1, per: 1h, algorithm: fixedWindow, key: [%s]}]}`
	type request struct {
		path   string
		header []string
	}
	get := func(path string, header ...string) request { return request{path, header} }
	for _, c := range []struct {
		name, key string
		a, b      request
		alike     bool
	}{
		{name: "no key", key: ``, a: get("/a", "x", "1"), b: get("/b", "x", "2"), alike: true},
		{name: "address", key: `{from: address}`, a: get("/a"), b: get("/b"), alike: true},
		{name: "header", key: `{from: header, name: X-K}`, a: get("/", "x-k", "1"), b: get("/", "x-k", "1"), alike: true},
		{name: "other header", key: `{from: header, name: x-k}`, a: get("/", "x-k", "1"), b: get("/", "x-k", "2")},
		{name: "no header", key: `{from: header, name: x-k}`, a: get("/", "x-k", ""), b: get("/")},
		{name: "neither has it", key: `{from: header, name: x-k}`, a: get("/a"), b: get("/b"), alike: true},
		{
			name: "several headers are one key", key: `{from: header, name: x-k}`,
			a: get("/", "x-k", "1", "x-k", "2"), b: get("/", "x-k", "3", "x-k", "4"), alike: true,
		},
		{name: "query", key: `{from: query, name: k}`, a: get("/a?k=%31"), b: get("/b?z&k=1"), alike: true},
		{name: "other query", key: `{from: query, name: k}`, a: get("/?k=1"), b: get("/?k=2")},
		{name: "several parameters are one key", key: `{from: query, name: k}`, a: get("/?k=1&k=2"), b: get("/?k=3&k=4"), alike: true},
		{name: "cookie", key: `{from: cookie, name: k}`, a: get("/", "cookie", "a=b; k=1"), b: get("/", "cookie", "k=1"), alike: true},
		{name: "other cookie", key: `{from: cookie, name: k}`, a: get("/", "cookie", "k=1"), b: get("/", "cookie", "k=2")},
		{name: "path", key: `{from: path}`, a: get("/a//b/?x"), b: get("/a/%62/?y"), alike: true},
		{name: "other path", key: `{from: path}`, a: get("/a/b"), b: get("/a/c")},
		{name: "two segments", key: `{from: path, segments: 2}`, a: get("/a/b/c"), b: get("/a/b"), alike: true},
		{name: "other two segments", key: `{from: path, segments: 2}`, a: get("/a/b/c"), b: get("/a/c/c")},
		{name: "method", key: `{from: method}`, a: get("/a"), b: get("/b"), alike: true},
		{name: "host", key: `{from: host}`, a: get("/a"), b: get("/b"), alike: true},
		{name: "consumer", key: `{from: consumer}`, a: get("/a"), b: get("/b"), alike: true},
		{
			name: "expression", key: `{from: expression, expression: 'request.headers["x-k"].lowerAscii()'}`,
			a: get("/", "x-k", "A"), b: get("/", "x-k", "a"), alike: true,
		},
		{
			name: "parts do not run together", key: `{from: header, name: x-a}, {from: header, name: x-b}`,
			a: get("/", "x-a", "1", "x-b", "23"), b: get("/", "x-a", "12", "x-b", "3"),
		},
		{
			name: "huge", key: `{from: header, name: x-k}`,
			a: get("/", "x-k", strings.Repeat("a", 1<<20)), b: get("/", "x-k", strings.Repeat("a", 1<<20)+"b"),
		},
		{name: "binary", key: `{from: header, name: x-k}`, a: get("/", "x-k", "\xff\xfe"), b: get("/", "x-k", "\xff\xfd")},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := load(t, &filter.Consumer{Name: "alice"}, fmt.Sprintf(rule, c.key))
			if r := h.Get(c.a.path, c.a.header...); r.Status != 200 {
				t.Fatalf("the first request: got %d, want 200: %s", r.Status, h.Log())
			}
			want := 200
			if c.alike {
				want = 429
			}
			if r := h.Get(c.b.path, c.b.header...); r.Status != want {
				t.Errorf("the second request: got %d, want %d", r.Status, want)
			}
			if r := h.Get(c.a.path, c.a.header...); r.Status != 429 {
				t.Errorf("the first request again: got %d, want 429", r.Status)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		name, key, a, b string
		alike           bool
	}{
		{name: "IPv4", key: ``, a: "192.0.2.1:1", b: "192.0.2.1:2", alike: true},
		{name: "other IPv4", key: ``, a: "192.0.2.1:1", b: "192.0.2.2:1"},
		{name: "IPv4 in IPv6", key: ``, a: "192.0.2.1:1", b: "[::ffff:192.0.2.1]:1", alike: true},
		{name: "IPv4 network", key: `, prefixV4: 24`, a: "192.0.2.1:1", b: "192.0.2.2:1", alike: true},
		{name: "IPv6 network", key: ``, a: "[2001:db8::1]:1", b: "[2001:db8::2]:1", alike: true},
		{name: "other IPv6 network", key: ``, a: "[2001:db8::1]:1", b: "[2001:db8:0:1::1]:1"},
		{name: "IPv6 address", key: `, prefixV6: 128`, a: "[2001:db8::1]:1", b: "[2001:db8::2]:1"},
		{name: "sockets", key: ``, a: "/run/a", b: "/run/b", alike: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := load(t, nil, `{rules: [{limit: 1, per: 1h, key: [{from: address`+c.key+`}]}]}`)
			h.Attrs[filter.AttrSourceAddress] = c.a
			first := h.Get("/").Status
			h.Attrs[filter.AttrSourceAddress] = c.b
			if second := h.Get("/").Status; first != 200 || (second == 429) != c.alike {
				t.Errorf("got %d and %d, want 200 and a refusal: %v", first, second, c.alike)
			}
		})
	}
}

func TestMetadataKey(t *testing.T) {
	h := &filtertest.Host{Metadata: map[string]any{"moe.jwtauth/sub": "anna"}}
	const config = `{rules: [{limit: 1, per: 1h, key: [{from: metadata, namespace: moe.jwtauth, key: sub}]}]}`
	if err := h.Load(t, filtertest.Config{Name: "ratelimit", JSON: config}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	for _, c := range []struct {
		name   string
		value  any
		status int
	}{
		{"anna", "anna", 200},
		{"anna again", "anna", 429},
		{"bert", "bert", 200},
		{"a number", 1.0, 200},
		{"another number", 2.0, 200},
		{"the first number again", 1.0, 429},
		{"true", true, 200},
		{"false", false, 200},
		{"missing", nil, 200},
		{"missing again", nil, 429},
		{"a list", []any{"x"}, 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.Metadata = map[string]any{"moe.jwtauth/sub": c.value}
			if c.value == nil {
				h.Metadata = nil
			}
			if r := h.Get("/"); r.Status != c.status {
				t.Errorf("got %d, want %d: %s", r.Status, c.status, h.Log())
			}
		})
	}
}

func TestRefusal(t *testing.T) {
	h := load(t, nil, `{rules: [{name: burst, limit: 2, per: 10s}, {name: day, limit: 100, per: 24h, algorithm: fixedWindow, cost: 10}]}`)
	const policy = `"burst";q=2;w=10, "day";q=100;w=86400`
	for _, want := range []string{`"burst";r=1;t=5, "day";r=90;t=86400`, `"burst";r=0;t=10, "day";r=80;t=86400`} {
		t.Run(want, func(t *testing.T) {
			r := h.Get("/")
			if r.Status != 200 || r.Header.Get("ratelimit") != want || r.Header.Get("ratelimit-policy") != policy {
				t.Errorf("got %d, %q, %q; want 200, %q, %q", r.Status, r.Header.Get("ratelimit"),
					r.Header.Get("ratelimit-policy"), want, policy)
			}
		})
	}
	r := h.Get("/")
	// The other rule does not count it.
	if got, want := r.Header.Get("ratelimit"), `"burst";r=0;t=10, "day";r=80;t=86400`; got != want {
		t.Errorf("ratelimit is %q, want %q", got, want)
	}
	if r.Status != 429 || r.Body != "too many requests" || r.Upstream != nil || r.Header.Get("retry-after") != "5" ||
		r.Header.Get("ratelimit-policy") != policy || r.Details != "moe.ratelimit.limited" {
		t.Errorf("got %d %q, %v, %q; want 429, retry-after 5, and the policy", r.Status, r.Body, r.Header, r.Details)
	}
	if r.Metadata["moe.ratelimit/decision"] != "limit" || r.Metadata["moe.ratelimit/rule"] != "burst" {
		t.Errorf("the metadata is %v, want limit by burst", r.Metadata)
	}
	if a, l, d := h.Metric("allowed"), h.Metric("limited", "burst"), h.Metric("limited", "day"); a != 2 || l != 1 || d != 0 {
		t.Errorf("%d allowed, %d and %d limited; want 2, 1 and 0", a, l, d)
	}
	if r := h.GRPC("/a.B/C", ""); r.GRPCStatus != 8 {
		t.Errorf("grpc-status is %d, want 8, RESOURCE_EXHAUSTED", r.GRPCStatus)
	}
}

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		headers          string
		allowed, refused bool
	}{{"all", true, true}, {"refusals", false, true}, {"none", false, false}} {
		t.Run(c.headers, func(t *testing.T) {
			h := load(t, nil, `{rules: [{limit: 1, per: 1h}], headers: `+c.headers+`}`)
			h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("ratelimit", `"own";r=1`) })
			first, second := h.Get("/").Header, h.Get("/").Header
			if got := first.Values("ratelimit"); len(got) > 1 != c.allowed || got[0] != `"own";r=1` {
				t.Errorf("the response has %q, want the upstream's own, and ours: %v", got, c.allowed)
			}
			if got := second.Get("ratelimit"); got != "" != c.refused {
				t.Errorf("the refusal has %q, want one: %v", got, c.refused)
			}
			if second.Get("retry-after") == "" {
				t.Error("the refusal has no retry-after")
			}
		})
	}
}

func TestCostAndWhen(t *testing.T) {
	h := load(t, nil, `{rules: [{limit: 10, per: 1h, costExpression: 'int(request.headers["x-cost"])',
		when: '"x-cost" in request.headers'}]}`)
	for i, c := range []struct {
		cost   string
		status int
		retry  bool
	}{
		{cost: "4", status: 200},
		{cost: "7", status: 429, retry: true},
		{cost: "11", status: 429},
		{cost: "6", status: 200},
		{cost: "1", status: 429, retry: true},
		{cost: "0", status: 200},
		{cost: "-9", status: 200},
		{cost: "", status: 200},
		{cost: "9223372036854775807", status: 429},
		{cost: "4294967297", status: 429},
		{cost: "x", status: 503},
	} {
		t.Run(fmt.Sprint(i, " costs ", c.cost), func(t *testing.T) {
			var header []string
			if c.cost != "" {
				header = []string{"x-cost", c.cost}
			}
			if r := h.Get("/", header...); r.Status != c.status || (r.Header.Get("retry-after") != "") != c.retry {
				t.Errorf("got %d, retry-after %q; want %d and one: %v", r.Status, r.Header.Get("retry-after"), c.status, c.retry)
			}
		})
	}
	if n := h.Metric("failed"); n != 1 {
		t.Errorf("%d failed, want 1", n)
	}
	h = load(t, nil, `{rules: [{limit: 10, costExpression: 'int(request.headers["x-cost"])'}], failOpen: true}`)
	if r := h.Get("/"); r.Status != 200 || r.Metadata["moe.ratelimit/decision"] != "error" {
		t.Errorf("with failOpen: got %d and %v, want 200 and an error", r.Status, r.Metadata)
	}
}

func TestShadow(t *testing.T) {
	h := load(t, nil, `{rules: [{limit: 1, per: 1h, maxDelay: 1s}], shadow: true}`)
	for range 3 {
		if r := h.Get("/"); r.Status != 200 {
			t.Errorf("got %d, want 200", r.Status)
		}
	}
	r := h.Get("/")
	if r.Metadata["moe.ratelimit/decision"] != "limit" || r.Metadata["moe.ratelimit/shadow"] != true {
		t.Errorf("the metadata is %v, want limit and shadow", r.Metadata)
	}
	if n := h.Metric("shadow_limited", "default"); n != 3 {
		t.Errorf("%d would be refused, want 3", n)
	}
}

func TestDelay(t *testing.T) {
	h := load(t, nil, `{rules: [{limit: 20, per: 1s, burst: 1, maxDelay: 5s}], maxDelayed: 10}`)
	const requests = 30
	var passed, refused atomic.Int64
	start := time.Now()
	var wg sync.WaitGroup
	for range requests {
		wg.Go(func() {
			if r := h.Get("/"); r.Status == 200 {
				passed.Add(1)
			} else if r.Status == 429 {
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	if passed.Load()+refused.Load() != requests || passed.Load() < 11 {
		t.Errorf("%d pass and %d are refused, want %d in all and 11 to pass at least", passed.Load(), refused.Load(), requests)
	}
	if least := time.Duration(passed.Load()-1) * 50 * time.Millisecond; took < least {
		t.Errorf("%d pass in %v, want %v at least", passed.Load(), took, least)
	}
	if n := h.Metric("delayed"); n < 10 || n >= passed.Load() {
		t.Errorf("%d of %d were delayed, want 10 at least, and not the first", n, passed.Load())
	}
}

// Who leaves while it is held back gives back what it was to use.
func TestDelayedClientLeaves(t *testing.T) {
	p := &RateLimit{Rules: []Rule{{Limit: 1, Per: 10 * time.Second, MaxDelay: 15 * time.Second}}}
	h := filtertest.New(t, p)
	h.Timeout = time.Minute
	if r := h.Get("/"); r.Status != 200 {
		t.Fatalf("got %d, want 200", r.Status)
	}
	h.Leave = func(after string) bool { return after == "waiting" }
	for i := range 20 { // more than would fit if they were counted
		if r := h.Get("/"); r.Reset != "left" {
			t.Fatalf("got %d, %q; want a client that has left", r.Status, r.Reset)
		}
		for end := time.Now().Add(30 * time.Second); h.Metric("delayed") <= int64(i) || p.delayed.Load() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the request is still held back")
			}
		}
	}
}

// A stream may end before the function that would wait for its turn runs: then nobody waits.
func TestDelayedAndNeverStarted(t *testing.T) {
	p := &RateLimit{Rules: []Rule{{Limit: 10, Per: time.Second, Burst: 1, MaxDelay: 20 * time.Second}}, MaxDelayed: 1}
	h := filtertest.New(t, &plugintest.Probe{Request: func(s filter.Stream, hd filter.RequestHeaders) {
		for range 5 {
			if p.newStream(s).OnRequestHeaders(s, hd, true) == filter.Continue {
				p.newStream(s).OnRequestHeaders(s, hd, true) // the first is within the limit
			}
		}
	}}, p)
	if r := h.Get("/"); r.Status != 200 {
		t.Errorf("after functions that were never started: got %d, want 200 after a delay: %s", r.Status, h.Log())
	}
	if n := p.delayed.Load(); n != 0 {
		t.Errorf("%d requests are held back, want none", n)
	}
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                                      "rules",
		`{rules: []}`:                             "rules",
		`{rules: [{}]}`:                           "rules[0].limit",
		`{rules: [{limit: 1}, {limit: 2}]}`:       `rules[1].name: duplicate name "default"`,
		`{rules: [{limit: 1, name: 'a"b'}]}`:      "rules[0].name",
		`{rules: [{limit: 1, per: 0s}]}`:          "rules[0].per",
		`{rules: [{limit: 1, per: 20000h}]}`:      "rules[0].per",
		`{rules: [{limit: 1000000000, per: 1s}]}`: "rules[0].limit",

		`{rules: [{limit: 1, per: 8000h, burst: 1000000000}]}`:                        "rules[0].burst",
		`{rules: [{limit: 1, algorithm: fixedWindow, burst: 2}]}`:                     "rules[0].burst",
		`{rules: [{limit: 1, algorithm: slidingWindow, maxDelay: 1s}]}`:               "rules[0].maxDelay",
		`{rules: [{limit: 1, maxDelay: 1h}]}`:                                         "rules[0].maxDelay",
		`{rules: [{limit: 1, algorithm: leaky}]}`:                                     "rules[0].algorithm",
		`{rules: [{limit: 1, when: "1"}]}`:                                            "rules[0].when",
		`{rules: [{limit: 1, costExpression: "true"}]}`:                               "rules[0].costExpression",
		`{rules: [{limit: 1, key: [{from: header}]}]}`:                                "rules[0].key[0].name",
		`{rules: [{limit: 1, key: [{from: header, name: "a b"}]}]}`:                   "rules[0].key[0].name",
		`{rules: [{limit: 1, key: [{from: address, name: x}]}]}`:                      "rules[0].key[0].name",
		`{rules: [{limit: 1, key: [{from: metadata, key: x}]}]}`:                      "rules[0].key[0].namespace",
		`{rules: [{limit: 1, key: [{from: expression, expression: "request.pth"}]}]}`: "rules[0].key[0].expression: line 1",
		`{rules: [{limit: 1, key: [{from: host, segments: 1}]}]}`:                     "rules[0].key[0].segments",
		`{rules: [{limit: 1, key: [{from: nowhere}]}]}`:                               "rules[0].key[0].from",
		`{rules: [{limit: 1}], maxKeys: 1}`:                                           "maxKeys",
		`{rules: [{limit: 1}], status: 200}`:                                          "status",
	} {
		t.Run(config, func(t *testing.T) {
			if got := authztest.Refused(t, "ratelimit", config); !strings.Contains(got, want) {
				t.Errorf("got %q, want it to contain %q", got, want)
			}
		})
	}
}

// A request that passes.
func BenchmarkRequest(b *testing.B) {
	for _, c := range []struct {
		name, headers string
		key           requestkey.Key
	}{
		{name: "no key", headers: "none"},
		{name: "path", headers: "none", key: requestkey.Key{{From: "path"}}},
		{name: "header", headers: "none", key: requestkey.Key{{From: "header", Name: "user-agent"}}},
		{name: "header and fields", headers: "all", key: requestkey.Key{{From: "header", Name: "user-agent"}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := &RateLimit{Rules: []Rule{{Limit: 1_000_000, Burst: 1_000_000_000, Key: c.key}}, Headers: c.headers}
			filtertest.New(b, p)
			plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) {
				st := stream{p: p}
				if st.OnRequestHeaders(s, h, true) != filter.Continue {
					b.Fatal("refused")
				}
			})
		})
	}
}
