package golang

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/envoytest"
)

const releaseRoutes = 50

// stressed is a listener whose filter and routes have configurations of their own in each generation.
func (b *bed) stressed(generation int) m {
	mark := fmt.Sprint(generation)
	doc := conformance.Chain(
		conformance.Probe("a", "request_headers", "if ${req.x-do} reply; reply 403 no",
			"response_headers", "set x-gen "+mark),
		conformance.Probe("b", "request_headers", "if ${req.x-do} panic; panic stress",
			"request_body", "if ${req.x-do} go; go; sleep 1ms"),
		conformance.Probe("c", "request_headers", "if ${req.x-do} wait; waitbody", "request", "go; sleep 1ms; body upper"),
		conformance.Probe("d", "request_headers", "if ${req.x-do} pipe; pipe upper"),
	)
	var routes a
	for i := range releaseRoutes {
		route, err := b.host.Route(b.t, "moe", conformance.Chain(conformance.Probe("a", "response_headers",
			fmt.Sprintf("set x-route %s-%d", mark, i))))
		if err != nil {
			b.t.Fatal(err)
		}
		routes = append(routes, m{
			"match": m{"path": fmt.Sprintf("/%d", i)}, "route": m{"cluster": "up", "timeout": "30s"},
			"typed_per_filter_config": m{conformance.FilterName: route},
		})
	}
	return conformance.OwnListener("stressed", routes, b.golang("moe", doc))
}

// Every stream and every configuration is released, in Go and in the bridge, whatever clients and plugins do and while
// listeners are replaced.
func TestRelease(t *testing.T) {
	onEnvoys(t, nil, func(b *bed) {
		live := conformance.OwnListener("live", nil, b.golang("golanglive", m{}))
		b.serve(live)
		before, err := b.live("live")
		if err != nil {
			t.Fatalf("b.live: %v", err)
		}
		if before["streams"] != 1 || before["configurations"] < 1 || before["bridge_requests"] < 1 {
			t.Fatalf("the counts cannot be right: %v", before)
		}
		b.serve(live, b.stressed(0))
		addr := b.address("stressed")
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var wg sync.WaitGroup
		var routed atomic.Int64
		for i := range 8 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 2))
				for ctx.Err() == nil {
					if b.disturb(ctx, addr, r) {
						routed.Add(1)
					}
				}
			})
		}
		most := map[string]int{}
		for generation := 1; generation <= 6; generation++ {
			b.serve(live, b.stressed(generation))
			if now, err := b.live("live"); err == nil {
				for k, n := range now {
					most[k] = max(most[k], n)
				}
			}
		}
		if err := envoytest.Poll(patience, func() error {
			if n := routed.Load(); n < 200 {
				return fmt.Errorf("only %d requests were answered by a route's chain", n)
			}
			return nil
		}); err != nil {
			t.Errorf("envoytest.Poll: %v", err)
		}
		cancel()
		wg.Wait()
		client.CloseIdle()
		b.serve(live)
		t.Logf("%d requests were routed; at most there were %v", routed.Load(), most)
		if most["configurations"] < before["configurations"]+releaseRoutes/2 {
			t.Errorf("the counts do not count configurations: %v, and at most %v", before, most)
		}
		if err := envoytest.Poll(patience, func() error {
			now, err := b.live("live")
			if err != nil {
				return err
			}
			for k, n := range now {
				// The request that asks is alive itself, and request objects are released a second or two after their streams.
				if n > before[k] && (k != "bridge_requests" || n > 10) {
					time.Sleep(time.Second)
					return fmt.Errorf("%s: %d, before %d (all: %v)", k, n, before[k], now)
				}
			}
			return nil
		}); err != nil {
			t.Errorf("envoytest.Poll: %v", err)
		}
	})
}

var deeds = []string{"", "", "reply", "panic", "go", "wait", "pipe"}

// disturb sends a request that leaves early, or makes plugins do something; it reports whether a route's chain
// answered.
func (b *bed) disturb(ctx context.Context, addr string, r *rand.Rand) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if r.IntN(3) == 0 {
		time.AfterFunc(time.Duration(r.IntN(5))*time.Millisecond, cancel)
	}
	resp, err := client.Do(addr, client.Request{
		Context: ctx, H2: r.IntN(2) == 0, Path: fmt.Sprintf("/%d", r.IntN(releaseRoutes)),
		Header: []string{"x-do", deeds[r.IntN(len(deeds))]}, Chunks: []string{"some ", "body"}, Pause: time.Millisecond,
	})
	return err == nil && resp.Header.Get("x-route") != ""
}
