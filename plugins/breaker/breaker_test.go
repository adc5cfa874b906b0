package breaker

import (
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	_ "mosn.io/moe/plugins/cel"
	"mosn.io/moe/plugins/internal/authztest"
	"mosn.io/moe/plugins/internal/plugintest"
)

func load(t testing.TB, config string) *filtertest.Host {
	t.Helper()
	h := authztest.Load(t, nil, "breaker", config)
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d, err := time.ParseDuration(r.Header.Get("x-takes")); err == nil {
			time.Sleep(d)
		}
		if status, err := strconv.Atoi(r.Header.Get("x-status")); err == nil {
			w.WriteHeader(status)
		}
	})
	return h
}

// refused reports whether the plugin has refused a request.
func refused(r *filtertest.Response) bool { return r.Details == "moe.breaker.open" }

func TestOpens(t *testing.T) {
	type requests struct {
		n      int
		header []string
	}
	ok, bad, slow := []string{}, []string{"x-status", "503"}, []string{"x-takes", "30ms"}
	for _, c := range []struct {
		name, rule string
		sent       []requests
		opens      bool
	}{
		{name: "by rate", rule: `minRequests: 10`, sent: []requests{{5, ok}, {5, bad}}, opens: true},
		{name: "rate not reached", rule: `minRequests: 10`, sent: []requests{{6, ok}, {5, bad}}},
		{name: "too few for a rate", rule: `minRequests: 10`, sent: []requests{{9, bad}}},
		{name: "rate of one", rule: `errorRate: 1, minRequests: 3`, sent: []requests{{3, bad}}, opens: true},
		{name: "no rate", rule: `errorRate: 0, consecutive: 1000`, sent: []requests{{50, bad}}},
		{name: "in a row", rule: `errorRate: 0, consecutive: 3`, sent: []requests{{9, ok}, {3, bad}}, opens: true},
		{name: "not in a row", rule: `errorRate: 0, consecutive: 3`, sent: []requests{{2, bad}, {1, ok}, {2, bad}}},
		{name: "slow", rule: `slowRate: 0.5, slowAfter: 20ms, minRequests: 4`, sent: []requests{{2, ok}, {2, slow}}, opens: true},
		{name: "not slow enough", rule: `slowRate: 0.5, slowAfter: 10s, minRequests: 4`, sent: []requests{{4, slow}}},
		{name: "slow without a rate for it", rule: `minRequests: 4`, sent: []requests{{4, slow}}},
		{name: "a status of the list", rule: `minRequests: 3, statuses: ["429"]`, sent: []requests{{3, []string{"x-status", "429"}}}, opens: true},
		{name: "a status that is not", rule: `minRequests: 3, statuses: ["429"]`, sent: []requests{{9, bad}}},
		{name: "a class", rule: `minRequests: 3, statuses: [4XX]`, sent: []requests{{3, []string{"x-status", "404"}}}, opens: true},
		{name: "not for these", rule: `minRequests: 3, when: "request.method == 'POST'"`, sent: []requests{{9, bad}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := load(t, `{rules: [{`+c.rule+`}]}`)
			for _, s := range c.sent {
				for i := range s.n {
					if r := h.Get("/", s.header...); refused(r) {
						t.Fatalf("request %d of %v is refused", i, s.header)
					}
				}
			}
			r := h.Get("/")
			if refused(r) != c.opens {
				t.Errorf("afterwards: got %d %q, want a refusal: %v", r.Status, r.Details, c.opens)
			}
			if after, _ := strconv.Atoi(r.Header.Get("retry-after")); c.opens && (r.Status != 503 || after < 1 || after > 5) {
				t.Errorf("got %d with retry-after %q, want 503 with up to 5", r.Status, r.Header.Get("retry-after"))
			}
			if n := h.Metric("open", "default"); (n == 1) != c.opens {
				t.Errorf("%d circuits are open, want one: %v", n, c.opens)
			}
		})
	}
}

// An open circuit lets probes pass after a while, and closes when they succeed.
func TestRecovers(t *testing.T) {
	for _, c := range []struct {
		name    string
		status  string
		recover bool
	}{{name: "well again", status: "200", recover: true}, {name: "still unwell", status: "500"}} {
		t.Run(c.name, func(t *testing.T) {
			h := load(t, `{rules: [{consecutive: 2, errorRate: 0, open: 1s, probes: 2}]}`)
			h.Get("/", "x-status", "500")
			h.Get("/", "x-status", "500")
			if r := h.Get("/"); !refused(r) || r.Upstream != nil {
				t.Fatalf("got %d, want a refusal", r.Status)
			}
			time.Sleep(1050 * time.Millisecond)
			if r := h.Get("/", "x-status", c.status); refused(r) {
				t.Fatal("the first probe is refused")
			}
			if c.recover {
				h.Get("/")
			}
			for i := range 5 {
				if r := h.Get("/"); refused(r) == c.recover {
					t.Errorf("request %d after the probes: got %d, want a refusal: %v", i, r.Status, !c.recover)
				}
			}
			opened, closed, open := h.Metric("opened", "default"), h.Metric("closed", "default"), h.Metric("open", "default")
			if c.recover && (opened != 1 || closed != 1 || open != 0) || !c.recover && (opened != 2 || closed != 0 || open != 1) {
				t.Errorf("%d opened, %d closed, %d open; want 1, 1, 0, or without recovery 2, 0, 1", opened, closed, open)
			}
		})
	}
}

// Only as many probes as configured are under way, however many requests come; those that say nothing make room for others.
func TestProbes(t *testing.T) {
	h := load(t, `{rules: [{consecutive: 1, errorRate: 0, open: 100ms, probes: 2}]}`)
	h.Get("/", "x-status", "500")
	time.Sleep(150 * time.Millisecond)
	h.Leave = func(after string) bool { return after == "request headers" }
	for range 5 {
		h.Get("/") // clients that leave do not count
	}
	h.Leave = nil
	var in, passed atomic.Int64
	release := make(chan struct{})
	h.Upstream = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		in.Add(1)
		<-release
	})
	var wg sync.WaitGroup
	var refusals atomic.Int64
	for range 20 {
		wg.Go(func() {
			if refused(h.Get("/")) {
				refusals.Add(1)
			} else {
				passed.Add(1)
			}
		})
	}
	authztest.Until(t, "18 are refused", func() bool { return refusals.Load() == 18 && in.Load() == 2 })
	close(release)
	wg.Wait()
	if passed.Load() != 2 {
		t.Errorf("%d pass, want 2", passed.Load())
	}
	if r := h.Get("/"); refused(r) {
		t.Error("after two good probes a request is refused")
	}
}

// A probe that goes on for ever, as a stream of gRPC may, has others refused for a bounded time, and its end says nothing then.
func TestLongProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit(&Rule{Name: "r", Consecutive: 1, Open: time.Second, Probes: 1, Window: 10 * time.Second}, ruleCounts{}, slog.New(slog.DiscardHandler))
		fail, _ := c.allow()
		fail(verdict{failed: true})
		time.Sleep(time.Second + time.Millisecond)
		late, ok := c.allow()
		if !ok {
			t.Fatal("the first probe is refused, want that it passes")
		}
		if _, ok := c.allow(); ok {
			t.Error("a second probe passes at once, want one at a time")
		}
		time.Sleep(longestProbe)
		synctest.Wait()
		next, ok := c.allow()
		if !ok {
			t.Fatal("after a minute with a probe that does not end all are refused, want that another one passes")
		}
		late(verdict{failed: true})
		next(verdict{})
		if _, ok := c.allow(); !ok || c.tripped() {
			t.Errorf("after a good probe: allowed %t, tripped %t; want a closed circuit", ok, c.tripped())
		}
	})
}

// Replies of other plugins say nothing about the upstream.
func TestOthersReplies(t *testing.T) {
	h := filtertest.New(t, filtertest.Config{Name: "breaker", JSON: `{rules: [{consecutive: 1, errorRate: 0}]}`}, &replier{})
	h.Attrs = map[filter.Attr]string{filter.AttrCodeDetails: "moe.breaker-replier"}
	for range 3 {
		if r := h.Get("/"); r.Status != 500 || refused(r) {
			t.Errorf("got %d %q, want 500 by the other plugin", r.Status, r.Details)
		}
	}
}

type replier struct{}

func init() { filter.Register[replier]("breaker-replier", filter.Transform) }

func (*replier) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.Reply(500, "no")
}

// TestLocalResponses: Envoy's own responses count as failures where they mean one, and never as successes.
func TestLocalResponses(t *testing.T) {
	for _, c := range []struct {
		name, details string
		status        int  // of the response between two failures
		opens         bool // the circuit, with the second of them or before
	}{
		{name: "the upstream's", details: "via_upstream", status: 403},
		{name: "the upstream's, as far as the host can tell", status: 403},
		{name: "that of a filter which refuses", details: "rbac_access_denied_matched_policy[none]", status: 403, opens: true},
		{name: "that of a router without a healthy host", details: "no_healthy_upstream", status: 503, opens: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := load(t, `{rules: [{consecutive: 2, errorRate: 0}]}`)
			status := 0
			h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
			get := func(details string, want int) *filtertest.Response {
				status, h.Attrs = want, nil
				if details != "" {
					h.Attrs = map[filter.Attr]string{filter.AttrCodeDetails: details}
				}
				return h.Get("/")
			}
			get("via_upstream", 500)
			get(c.details, c.status)
			get("via_upstream", 500)
			if r := get("via_upstream", 200); refused(r) != c.opens {
				t.Errorf("after a failure, a %d, and a failure: got %d %q, want a refusal: %v", c.status, r.Status, r.Details, c.opens)
			}
		})
	}
}

func TestGRPC(t *testing.T) {
	for _, c := range []struct {
		status string
		opens  bool
	}{{status: "14", opens: true}, {status: "2", opens: true}, {status: "99", opens: true}, {status: "-1", opens: true}, {status: "x", opens: true}, {status: "5"}, {status: "0"}} {
		t.Run(c.status, func(t *testing.T) {
			h := load(t, `{rules: [{consecutive: 2, errorRate: 0}]}`)
			h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/grpc")
				w.Header().Set("Trailer", "Grpc-Status")
				fmt.Fprint(w, "x")
				w.Header().Set("Grpc-Status", c.status)
			})
			h.GRPC("/a/b", "x")
			h.GRPC("/a/b", "x")
			if r := h.GRPC("/a/b", "x"); refused(r) != c.opens || c.opens && r.GRPCStatus != 14 {
				t.Errorf("got %q with grpc-status %d, want a refusal with 14: %v", r.Details, r.GRPCStatus, c.opens)
			}
		})
	}
}

// The upstream's address says with the headers that it has answered: then the circuit opens before the response has ended.
func TestAtHeaders(t *testing.T) {
	h := load(t, `{rules: [{consecutive: 1, errorRate: 0}]}`)
	h.Attrs[filter.AttrUpstreamAddress] = "10.0.0.1:80"
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) })
	during := false
	h.Leave = func(after string) bool {
		if after == "response headers" {
			during = h.Metric("opened", "default") == 1
		}
		return false
	}
	h.Get("/")
	if !during {
		t.Error("the circuit is closed when the response's headers are there, want it open")
	}
}

func TestKeys(t *testing.T) {
	h := load(t, `{rules: [{name: cluster, consecutive: 1, errorRate: 0, key: [{from: cluster}]},
		{name: path, consecutive: 3, errorRate: 0, key: [{from: route}, {from: path}]}]}`)
	h.Attrs[filter.AttrClusterName], h.Attrs[filter.AttrRouteName] = "a", "r"
	h.Get("/x", "x-status", "500")
	if r := h.Get("/y"); !refused(r) {
		t.Errorf("the same cluster: got %d, want a refusal", r.Status)
	}
	h.Attrs[filter.AttrClusterName] = "b"
	if r := h.Get("/x"); refused(r) {
		t.Error("another cluster is refused")
	}
	for i := range 3 {
		h.Attrs[filter.AttrClusterName] = fmt.Sprint("c", i)
		h.Get("/x", "x-status", "500")
	}
	h.Attrs[filter.AttrClusterName] = "d"
	if x, y := h.Get("/x"), h.Get("/y"); !refused(x) || refused(y) || x.Metadata["moe.breaker/rule"] != "path" {
		t.Errorf("the path: got %q and %q by %v, want a refusal of the first, by path", x.Details, y.Details, x.Metadata)
	}
	h.Attrs[filter.AttrRouteName] = "other"
	if r := h.Get("/x"); refused(r) {
		t.Error("the path of another route is refused")
	}
}

func TestErrors(t *testing.T) {
	const broken = `{rules: [{key: [{from: expression, expression: "request.headers['x-k']"}]}]%s}`
	if r := load(t, fmt.Sprintf(broken, "")).Get("/"); r.Status != 503 || r.Upstream != nil || r.Details != "moe.breaker.error" {
		t.Errorf("got %d, %q; want 503", r.Status, r.Details)
	}
	h := load(t, fmt.Sprintf(broken, ", failOpen: true"))
	if r := h.Get("/"); r.Status != 200 || h.Metric("failed") != 1 {
		t.Errorf("failOpen: got %d, %d failed; want 200 and 1", r.Status, h.Metric("failed"))
	}
}

func TestShadow(t *testing.T) {
	h := load(t, `{rules: [{consecutive: 1, errorRate: 0}], shadow: true}`)
	for range 3 {
		if r := h.Get("/", "x-status", "500"); r.Status != 500 || refused(r) {
			t.Errorf("got %d %q, want the upstream's 500", r.Status, r.Details)
		}
	}
	if n := h.Metric("shadow_refused", "default"); n != 2 {
		t.Errorf("shadow_refused is %d, want 2", n)
	}
}

// A flood of other keys does not close a circuit.
func TestFlood(t *testing.T) {
	h := load(t, `{rules: [{consecutive: 1, errorRate: 0, open: 1m, key: [{from: path}]}], maxKeys: 64}`)
	h.Get("/victim", "x-status", "500")
	for i := range 500 {
		h.Get(fmt.Sprint("/", i))
	}
	if r := h.Get("/victim"); !refused(r) {
		t.Errorf("after a flood: got %d, want a refusal", r.Status)
	}
}

func TestParallel(t *testing.T) {
	h := load(t, `{rules: [{errorRate: 0.3, slowRate: 0.9, slowAfter: 1ms, window: 100ms, open: 10ms, minRequests: 5, key: [{from: path}]}]}`)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				status := "200"
				if n%3 == 0 {
					status = "500"
				}
				if r := h.Get(fmt.Sprint("/", (i+n)%4), "x-status", status); r.Status != 200 && r.Status != 500 && !refused(r) {
					t.Errorf("got %d %q, want the upstream's answer or a refusal", r.Status, r.Details)
				}
			}
		})
	}
	wg.Wait()
	if h.Metric("opened", "default") == 0 || h.Metric("open", "default") > 4 || h.Metric("open", "default") < 0 {
		t.Errorf("%d opened, %d open; want some, and 0 to 4", h.Metric("opened", "default"), h.Metric("open", "default"))
	}
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                                 "rules",
		`{rules: [{}, {}]}`:                  `rules[1].name: duplicate name "default"`,
		`{rules: [{errorRate: 2}]}`:          "rules[0].errorRate",
		`{rules: [{errorRate: 0}]}`:          "rules[0].errorRate: nothing opens the circuit",
		`{rules: [{slowRate: 0.5}]}`:         "rules[0].slowRate",
		`{rules: [{slowAfter: 1s}]}`:         "rules[0].slowRate",
		`{rules: [{window: 0s}]}`:            "rules[0].window",
		`{rules: [{open: 2h}]}`:              "rules[0].open",
		`{rules: [{statuses: ["6xx"]}]}`:     "rules[0].statuses[0]",
		`{rules: [{statuses: ["5x"]}]}`:      "rules[0].statuses[0]",
		`{rules: [{statuses: ["50x"]}]}`:     "rules[0].statuses[0]",
		`{rules: [{grpcStatuses: [0]}]}`:     "rules[0].grpcStatuses[0]",
		`{rules: [{when: "1"}]}`:             "rules[0].when",
		`{rules: [{key: [{from: header}]}]}`: "rules[0].key[0].name",
		`{rules: [{probes: 0}]}`:             "rules[0].probes",
		`{rules: [{name: "a b"}]}`:           "rules[0].name",
	} {
		t.Run(config, func(t *testing.T) {
			if got := authztest.Refused(t, "breaker", config); !strings.Contains(got, want) {
				t.Errorf("got %q, want it to contain %q", got, want)
			}
		})
	}
}

func BenchmarkRequest(b *testing.B) {
	p := &Breaker{Rules: []Rule{{ErrorRate: 0.5, MinRequests: 20, Window: 10 * time.Second, Open: time.Second}}}
	filtertest.New(b, p)
	plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) {
		st := p.newStream(s)
		if st.OnRequestHeaders(s, h, true) != filter.Continue {
			b.Fatal("refused")
		}
		st.conclude(200, -1, false)
	})
}
