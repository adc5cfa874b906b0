package plugins

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/dynmod"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/internal/redistest"
)

// TestRateLimitOverEnvoys has four Envoys share a limit while clients send more than it allows, and while Redis is killed,
// paused, and out of reach of one of them.
func TestRateLimitOverEnvoys(t *testing.T) {
	const envoys, limit = 4, 2000
	host := &dynmod.Host{}
	host.Build(t)
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	bin := bins[max(0, slices.IndexFunc(bins, func(b envoytest.Binary) bool { return b.Version == conformance.Newest }))]
	up, err := upstream.Start()
	if err != nil {
		t.Fatalf("upstream.Start: %v", err)
	}
	t.Cleanup(up.Close)
	server := redistest.Start(t)
	var running [envoys]*envoytest.Envoy
	var links [envoys]*redistest.Link
	t.Cleanup(client.CloseIdle)
	for i := range running {
		links[i] = redistest.NewLink(t, server.Addr)
		e, err := envoytest.Start(envoytest.Options{Binary: bin, Dir: t.TempDir(), Env: host.Env()})
		if err != nil {
			t.Fatalf("envoytest.Start: %v", err)
		}
		t.Cleanup(func() {
			if err := e.Stop(); err != nil {
				t.Errorf("e.Stop: %v", err)
			}
		})
		if err := e.SetClusters([]conformance.M{envoytest.Cluster("up", false, up.Addr)}); err != nil {
			t.Fatalf("e.SetClusters: %v", err)
		}
		running[i] = e
	}
	// serve gives every Envoy a listener with a rule, and returns their addresses.
	serve := func(name, rule, redis string) (addrs [envoys]string) {
		for i, e := range running {
			doc, err := config.Parse(fmt.Appendf(nil, `plugins: [{name: ratelimit, config: {rules: [{%s}], redis: {addresses: ["%s"], %s}}}]`,
				rule, links[i].Addr, redis))
			if err != nil {
				t.Fatalf("config.Parse: %v", err)
			}
			f, err := host.Filter(t, conformance.FilterName, doc)
			if err != nil {
				t.Fatalf("host.Filter: %v", err)
			}
			if err := e.SetListeners([]conformance.M{conformance.OwnListener(name, nil, f.HTTP...)}); err != nil {
				t.Fatalf("e.SetListeners: %v", err)
			}
			if addrs[i], err = e.ListenerAddress(name); err != nil {
				t.Fatalf("e.ListenerAddress: %v", err)
			}
		}
		return addrs
	}
	// load sends requests from four clients to each Envoy as long as more says so.
	load := func(t *testing.T, addrs [envoys]string, more func(sent int) bool) (passed, refused int64, slowest time.Duration) {
		var p, r, longest atomic.Int64
		var wg sync.WaitGroup
		for i := range 4 * envoys {
			wg.Go(func() {
				for n := 0; more(n); n++ {
					start := time.Now()
					got, err := client.Do(addrs[i%envoys], client.Request{})
					took := int64(time.Since(start))
					for old := longest.Load(); took > old && !longest.CompareAndSwap(old, took); old = longest.Load() {
					}
					switch {
					case err != nil:
						t.Errorf("client.Do: %v", err)
						return
					case got.Status == 200:
						p.Add(1)
					case got.Status == 429:
						r.Add(1)
					default:
						t.Errorf("got %d, want 200 or 429", got.Status)
						return
					}
				}
			})
		}
		wg.Wait()
		return p.Load(), r.Load(), time.Duration(longest.Load())
	}

	for _, algorithm := range []string{"fixedWindow", "tokenBucket"} {
		t.Run(algorithm, func(t *testing.T) {
			addrs := serve("sum-"+algorithm, fmt.Sprintf("name: %s, limit: %d, per: 24h, algorithm: %[1]s", algorithm, limit), "timeout: 10s")
			passed, refused, _ := load(t, addrs, func(sent int) bool { return sent < 250 })
			t.Logf("%d pass over %d Envoys, %d are refused", passed, envoys, refused)
			if passed > limit || passed < limit*99/100 {
				t.Errorf("%d pass, want %d within 1 %%", passed, limit)
			}
		})
	}
	// In each, an Envoy without Redis goes by its own count: together they let pass four times the limit at most.
	for _, c := range []struct {
		name      string
		fail, end func()
	}{
		{"killed", server.Kill, server.Restart},
		{"paused", server.Pause, server.Resume},
		{"partitioned", links[0].Cut, links[0].Mend},
	} {
		t.Run(c.name, func(t *testing.T) {
			addrs := serve(c.name, "name: "+c.name+", limit: 200, per: 1s, algorithm: slidingWindow", "timeout: 300ms, retryAfter: 200ms")
			start := time.Now()
			time.AfterFunc(500*time.Millisecond, c.fail)
			ended := make(chan struct{})
			time.AfterFunc(1500*time.Millisecond, func() {
				defer close(ended)
				c.end()
			})
			passed, refused, slowest := load(t, addrs, func(int) bool { return time.Since(start) < 2*time.Second })
			<-ended
			t.Logf("%d pass, %d are refused; the slowest takes %v", passed, refused, slowest)
			if most := int64(4 * 200 * 3); passed > most || passed < 200 || refused == 0 {
				t.Errorf("%d pass and %d are refused, want 200 to %d, and some", passed, refused, most)
			}
			if slowest > 5*time.Second {
				t.Errorf("the slowest request takes %v, want no request to wait for Redis for long", slowest)
			}
			// Then they share the limit again.
			time.Sleep(700 * time.Millisecond)
			start = time.Now()
			passed, _, _ = load(t, addrs, func(int) bool { return time.Since(start) < time.Second })
			if most := int64(200 * 2.5); passed > most {
				t.Errorf("afterwards %d pass in 1 s, want %d at most", passed, most)
			}
		})
	}
	for i, e := range running {
		if err := e.Alive(); err != nil {
			t.Errorf("Envoy %d: %v", i, err)
		}
	}
}
