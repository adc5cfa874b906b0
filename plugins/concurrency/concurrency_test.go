package concurrency

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
)

// gate is an upstream whose requests stay until they are let go, but for those to /passes.
type gate struct {
	arrived atomic.Int64
	order   []string
	mu      sync.Mutex
	leave   chan struct{}
}

func newGate() *gate { return &gate{leave: make(chan struct{}, 1000)} }

func (g *gate) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/passes" {
		return
	}
	g.mu.Lock()
	g.order = append(g.order, r.URL.Path)
	g.mu.Unlock()
	g.arrived.Add(1)
	<-g.leave
}

func load(t testing.TB, config string) *filtertest.Host {
	t.Helper()
	return authztest.Load(t, &filter.Consumer{Name: "alice"}, "concurrency", config)
}

// Up to max requests of a key are in flight, and others are refused, until one ends.
func TestMax(t *testing.T) {
	h, g := load(t, `{rules: [{max: 2, key: [{from: header, name: x-user}]}]}`), newGate()
	h.Upstream = g
	var wg sync.WaitGroup
	send := func() {
		wg.Go(func() {
			if r := h.Get("/", "x-user", "a"); r.Status != 200 {
				t.Errorf("got %d, want 200", r.Status)
			}
		})
	}
	for range 20 {
		before := g.arrived.Load()
		send()
		send()
		authztest.Until(t, "two are in flight", func() bool { return g.arrived.Load() == before+2 })
		if n := h.Metric("in_flight"); n != 2 {
			t.Errorf("in_flight is %d, want 2", n)
		}
		r := h.Get("/", "x-user", "a")
		if r.Status != 503 || r.Upstream != nil || r.Header.Get("retry-after") != "1" || r.Details != "moe.concurrency.limited" {
			t.Errorf("the third: got %d, %v, %q; want 503 with retry-after", r.Status, r.Header, r.Details)
		}
		if got, want := fmt.Sprint(r.Metadata["moe.concurrency/decision"], r.Metadata["moe.concurrency/rule"]), "limitdefault"; got != want {
			t.Errorf("the metadata has %s, want %s", got, want)
		}
		if r := h.Get("/passes", "x-user", "b"); r.Status != 200 {
			t.Errorf("another key: got %d, want 200", r.Status)
		}
		g.leave <- struct{}{}
		g.leave <- struct{}{}
		wg.Wait()
	}
	if n := h.Metric("in_flight"); n != 0 {
		t.Errorf("in_flight is %d at the end, want 0", n)
	}
}

// Whatever ends a request, its slot is free again, once.
func TestEveryEnd(t *testing.T) {
	const config = `{rules: [{max: 1}, {name: second, max: 1, key: [{from: consumer}]}]}`
	for _, c := range []struct {
		name   string
		later  any // a plugin after it
		upset  func(h *filtertest.Host)
		send   func(h *filtertest.Host) *filtertest.Response
		status int
	}{
		{name: "a response", status: 200},
		{name: "a reply of another plugin", later: &ender{action: filter.Reply(403, "no")}, status: 403},
		{name: "a reset by another plugin", later: &ender{action: filter.Reset("no")}},
		{name: "a panic of another plugin", later: &ender{panics: true}, status: 500},
		{
			name: "a reply of the upstream's failure", status: 503,
			upset: func(h *filtertest.Host) {
				h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
			},
		},
		{
			name: "the client leaves before the response", status: 0,
			upset: func(h *filtertest.Host) { h.Leave = func(after string) bool { return after == "request headers" } },
		},
		{
			name: "the client leaves within the response", status: 200,
			upset: func(h *filtertest.Host) { h.Leave = func(after string) bool { return after == "response headers" } },
			send:  func(h *filtertest.Host) *filtertest.Response { return h.Post("/", "a body") },
		},
		{
			name: "an upgrade", status: 200,
			send: func(h *filtertest.Host) *filtertest.Response {
				return h.Get("/", "connection", "upgrade", "upgrade", "websocket")
			},
		},
		{
			name: "gRPC", status: 200,
			send: func(h *filtertest.Host) *filtertest.Response { return h.GRPC("/a/b", "x") },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &filtertest.Host{AllowsBugs: true} // a panic is one
			plugins := []any{&authztest.Caller{Consumer: &filter.Consumer{Name: "a"}}, filtertest.Config{Name: "concurrency", JSON: config}}
			if c.later != nil {
				plugins = append(plugins, c.later)
			}
			if err := h.Load(t, plugins...); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			if c.upset != nil {
				c.upset(h)
			}
			for i := range 3 {
				send := c.send
				if send == nil {
					send = func(h *filtertest.Host) *filtertest.Response { return h.Get("/") }
				}
				if r := send(h); r.Status != c.status {
					t.Errorf("request %d: got %d %q %s, want %d: %s", i, r.Status, r.Body, r.Reset, c.status, h.Log())
				}
				if n, limited := h.Metric("in_flight"), h.Metric("limited", "default"); n != 0 || limited != 0 {
					t.Errorf("after request %d: %d in flight and %d refused, want none", i, n, limited)
				}
			}
		})
	}
}

// ender ends requests.
type ender struct {
	action filter.Action
	panics bool
}

func init() { filter.Register[ender]("concurrency-ender", filter.Transform) }

func (e *ender) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	if e.panics {
		panic("for the test")
	}
	return e.action
}

// Those that wait go on when others end, by priority, and then in the order in which they came.
func TestQueue(t *testing.T) {
	h, g := load(t, `{rules: [{max: 1, queue: 4, maxWait: 20s, priority: "int(request.headers['x-priority'])"}]}`), newGate()
	h.Upstream = g
	var wg sync.WaitGroup
	refused := make(chan string, 10)
	send := func(path, priority string) {
		wg.Go(func() {
			if r := h.Get(path, "x-priority", priority); r.Status == 503 {
				refused <- path
			} else if r.Status != 200 {
				t.Errorf("%s: got %d, want 200 or 503", path, r.Status)
			}
		})
	}
	send("/first", "0")
	authztest.Until(t, "the first is in flight", func() bool { return g.arrived.Load() == 1 })
	for i, r := range []struct{ path, priority string }{
		{path: "/low", priority: "1"},
		{path: "/lower", priority: "-5"},
		{path: "/high", priority: "9"},
		{path: "/higher", priority: "99"},
	} {
		send(r.path, r.priority)
		authztest.Until(t, r.path+" waits", func() bool { return h.Metric("waiting") == int64(i+1) })
	}
	send("/too-low", "0")
	if got := <-refused; got != "/too-low" {
		t.Errorf("%s is refused, want /too-low: the queue is full", got)
	}
	send("/pushes", "5")
	if got := <-refused; got != "/lower" {
		t.Errorf("%s is refused, want /lower, which has to make room", got)
	}
	for range 5 {
		g.leave <- struct{}{}
	}
	wg.Wait()
	if got, want := strings.Join(g.order, " "), "/first /high /higher /pushes /low"; got != want {
		t.Errorf("the upstream sees %s, want %s", got, want)
	}
	if q, l, n := h.Metric("queued"), h.Metric("limited", "default"), h.Metric("in_flight"); q != 5 || l != 2 || n != 0 {
		t.Errorf("%d have waited, %d are refused and %d in flight; want 5, 2 and 0", q, l, n)
	}
}

func TestMaxWait(t *testing.T) {
	h, g := load(t, `{rules: [{max: 1, queue: 10, maxWait: 50ms}]}`), newGate()
	h.Upstream = g
	var wg sync.WaitGroup
	wg.Go(func() { h.Get("/") })
	authztest.Until(t, "the first is in flight", func() bool { return g.arrived.Load() == 1 })
	start := time.Now()
	if r := h.Get("/"); r.Status != 503 || time.Since(start) < 50*time.Millisecond {
		t.Errorf("got %d after %v, want 503 after 50ms", r.Status, time.Since(start))
	}
	g.leave <- struct{}{}
	wg.Wait()
	g.leave <- struct{}{}
	if r := h.Get("/"); r.Status != 200 {
		t.Errorf("when there is room again: got %d, want 200", r.Status)
	}
}

// Clients that leave while they wait, or when their turn has just come, take no slot with them.
func TestWaitingClientLeaves(t *testing.T) {
	h, g := load(t, `{rules: [{max: 1, queue: 100, maxWait: 20s}]}`), newGate()
	h.Upstream = g
	var leaving atomic.Bool
	h.Leave = func(after string) bool { return after == "waiting" && leaving.Load() }
	var wg sync.WaitGroup
	wg.Go(func() { h.Get("/") })
	authztest.Until(t, "the first is in flight", func() bool { return g.arrived.Load() == 1 })
	leaving.Store(true)
	for range 50 {
		wg.Go(func() {
			if r := h.Get("/"); r.Reset != "left" && r.Status != 200 {
				t.Errorf("got %d, %q; want a client that has left", r.Status, r.Reset)
			}
		})
	}
	for range 51 {
		g.leave <- struct{}{}
	}
	wg.Wait()
	leaving.Store(false)
	authztest.Until(t, "all slots are free", func() bool { return h.Metric("in_flight") == 0 && h.Metric("waiting") == 0 })
	g.leave <- struct{}{}
	if r := h.Get("/"); r.Status != 200 {
		t.Errorf("afterwards: got %d, want 200", r.Status)
	}
}

// A stream may end before the function that would wait runs: nothing is held then.
func TestNeverStarted(t *testing.T) {
	p := &Concurrency{Rules: []Rule{{Max: 1, Queue: 5, MaxWait: 10 * time.Second}}}
	h := filtertest.New(t, &plugintest.Probe{Request: func(s filter.Stream, hd filter.RequestHeaders) {
		streams := make([]*stream, 5)
		for i := range streams {
			streams[i] = p.newStream(s)
			streams[i].OnRequestHeaders(s, hd, true)
		}
		for _, st := range streams {
			st.OnComplete(s)
			st.OnComplete(s)
		}
	}}, p)
	if r := h.Get("/"); r.Status != 200 {
		t.Errorf("got %d, want 200", r.Status)
	}
	if n := p.Rules[0].table.Sweep(0); n != 0 {
		t.Errorf("%d keys are still in use, want none", n)
	}
}

// However many come and go, never more than max are in flight, with or without a queue, by several rules.
func TestNeverMore(t *testing.T) {
	h := load(t, `{rules: [{name: all, max: 5, queue: 20, maxWait: 5s, priority: "int(request.headers['x-priority'])"},
		{name: each, max: 2, queue: 3, maxWait: 10ms, key: [{from: path}]}]}`)
	var all, most atomic.Int64
	var each [3]atomic.Int64
	h.Upstream = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		path := r.URL.Path[1] - '0'
		a, e := all.Add(1), each[path].Add(1)
		if most.Store(max(most.Load(), a)); a > 5 || e > 2 {
			t.Errorf("%d in flight, and %d of the path %s; want 5 and 2 at most", a, e, r.URL.Path)
		}
		time.Sleep(time.Millisecond)
		each[path].Add(-1)
		all.Add(-1)
	})
	var wg sync.WaitGroup
	var passed atomic.Int64
	for i := range 20 {
		wg.Go(func() {
			for n := range 30 {
				if h.Get(fmt.Sprint("/", (i+n)%3), "x-priority", fmt.Sprint(n%10)).Status == 200 {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if passed.Load() == 0 || most.Load() < 2 || h.Metric("in_flight") != 0 || h.Metric("waiting") != 0 {
		t.Errorf("%d passed, %d at a time at most, %d in flight and %d waiting at the end; want some, several, none, none",
			passed.Load(), most.Load(), h.Metric("in_flight"), h.Metric("waiting"))
	}
	if a := h.Metric("allowed"); a != passed.Load() {
		t.Errorf("allowed is %d, want %d", a, passed.Load())
	}
}

// An upstream that takes longer the more requests it has at a time has fewer of them.
func TestAdaptive(t *testing.T) {
	h := load(t, `{rules: [{max: 100, queue: 0, adaptive: {min: 2, initial: 64, window: 20ms, samples: 10}}]}`)
	var n, slow atomic.Int64
	h.Upstream = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		time.Sleep(2*time.Millisecond + time.Duration(n.Add(1)*slow.Load())*200*time.Microsecond)
		n.Add(-1)
	})
	limit := func() int64 { return h.Metric("limit", "default") }
	flood := func(clients int, enough func() bool) bool {
		var wg sync.WaitGroup
		var done atomic.Bool
		for range clients {
			wg.Go(func() {
				for end := time.Now().Add(20 * time.Second); !done.Load() && time.Now().Before(end); {
					if h.Get("/").Status != 200 {
						time.Sleep(time.Millisecond)
					}
					if enough() {
						done.Store(true)
					}
				}
			})
		}
		wg.Wait()
		return done.Load()
	}
	if limit() != 0 {
		t.Errorf("the limit is %d before the first request, want none", limit())
	}
	start := time.Now()
	flood(8, func() bool { return time.Since(start) > 500*time.Millisecond })
	slow.Store(10)
	if !flood(80, func() bool { return limit() < 30 }) {
		t.Errorf("the limit is %d while requests get slower, want less than 30", limit())
	}
}

func TestErrors(t *testing.T) {
	const broken = `{rules: [{max: 1, queue: 1, priority: "int(request.headers['x-priority'])"}]%s}`
	if r := load(t, fmt.Sprintf(broken, "")).Get("/"); r.Status != 503 || r.Upstream != nil || r.Details != "moe.concurrency.error" {
		t.Errorf("without a priority: got %d, %q; want 503", r.Status, r.Details)
	}
	h := load(t, fmt.Sprintf(broken, ", failOpen: true"))
	if r := h.Get("/"); r.Status != 200 || h.Metric("failed") != 1 {
		t.Errorf("failOpen: got %d, %d failed; want 200 and 1", r.Status, h.Metric("failed"))
	}
}

func TestShadow(t *testing.T) {
	h, g := load(t, `{rules: [{max: 1, queue: 5, when: "request.method == 'GET'"}], shadow: true}`), newGate()
	h.Upstream = g
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if r := h.Get("/"); r.Status != 200 {
				t.Errorf("got %d, want 200", r.Status)
			}
		})
	}
	authztest.Until(t, "all are in flight", func() bool { return g.arrived.Load() == 3 })
	if n := h.Metric("shadow_limited", "default"); n != 2 {
		t.Errorf("shadow_limited is %d, want 2", n)
	}
	for range 3 {
		g.leave <- struct{}{}
	}
	wg.Wait()
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                                  "rules",
		`{rules: [{}]}`:                       "rules[0].max",
		`{rules: [{max: 1}, {max: 2}]}`:       `rules[1].name: duplicate name "default"`,
		`{rules: [{max: 1, name: "a b"}]}`:    "rules[0].name",
		`{rules: [{max: 1, maxWait: 1m}]}`:    "rules[0].maxWait",
		`{rules: [{max: 1, priority: "1"}]}`:  "rules[0].priority: is for requests that wait",
		`{rules: [{max: 1, when: "1"}]}`:      "rules[0].when",
		`{rules: [{max: 1}], retryAfter: 2h}`: "retryAfter",
		`{rules: [{max: 1}], status: 200}`:    "status",

		`{rules: [{max: 1, queue: 1, priority: "true"}]}`:           "rules[0].priority",
		`{rules: [{max: 1, key: [{from: header}]}]}`:                "rules[0].key[0].name",
		`{rules: [{max: 1, adaptive: {min: 2}}]}`:                   "rules[0].adaptive: needs min",
		`{rules: [{max: 9, adaptive: {initial: 10}}]}`:              "rules[0].adaptive: needs min",
		`{rules: [{max: 9, adaptive: {window: 0s}}]}`:               "rules[0].adaptive.window",
		`{rules: [{max: 9, adaptive: {quantile: 1}}]}`:              "rules[0].adaptive.quantile",
		`{rules: [{max: 9, queue: 1, priority: "request.pth"}]}`:    "rules[0].priority: line 1",
		`{rules: [{max: 9, key: [{from: host, segments: 1}]}]}`:     "rules[0].key[0].segments",
		`{rules: [{max: 9, key: [{from: nowhere}]}], maxKeys: 100}`: "rules[0].key[0].from",
	} {
		t.Run(config, func(t *testing.T) {
			if got := authztest.Refused(t, "concurrency", config); !strings.Contains(got, want) {
				t.Errorf("got %q, want it to contain %q", got, want)
			}
		})
	}
}

func BenchmarkRequest(b *testing.B) {
	for _, c := range []struct {
		name     string
		adaptive *Adaptive
	}{{name: "fixed"}, {name: "adaptive", adaptive: &Adaptive{Min: 1, Initial: 5, Window: time.Second, Samples: 50, Quantile: 0.9}}} {
		b.Run(c.name, func(b *testing.B) {
			p := &Concurrency{Rules: []Rule{{Max: 10, Adaptive: c.adaptive}}}
			filtertest.New(b, p)
			plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) {
				st := p.newStream(s)
				if st.OnRequestHeaders(s, h, true) != filter.Continue {
					b.Fatal("refused")
				}
				st.OnComplete(s)
			})
		})
	}
}
