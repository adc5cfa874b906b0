package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"mosn.io/moe/e2e/client"
)

// stressScenarios: everything at once for a while, and then nothing must be left.
func stressScenarios() []Scenario {
	return []Scenario{{Name: "stress: cancels, panics, replies, slow bodies and reloads", Run: stress}}
}

const (
	stressTime    = 8 * time.Second
	stressClients = 16
	drainTime     = time.Second // as envoytest tells Envoy
)

// stressChain does by the request's header x-do what the scenarios before do one by one.
func stressChain(generation int) M {
	by := func(do, script string) string { return "if ${req.x-do} " + do + "; " + script }
	doc := Chain(
		ProbeOf("probestream", "s"),
		Probe("a", "request_headers", by("reply", "reply 403 no"), "response_headers", "set x-gen "+fmt.Sprint(generation),
			"request_body", by("panicbody", "panic stress")),
		Probe("b", "request_headers", by("panic", "go; panic stress"), "response_body", by("asyncbody", "go; sleep 1ms")),
		Probe("c", "request_headers", by("wait", "go; wait"), "response_headers", by("late", "go; sleep 3ms; reply 409 late")),
		Probe("d", "request_headers", by("whole", "waitbody"), "request", "go; sleep 1ms; body upper"),
		Probe("e", "request_headers", by("pipe", "pipe upper"), "response_headers", by("pipe", "pipe upper")),
		Probe("f", "request_headers", by("call", "go; call other GET /bytes?n=20000")),
		Probe("g", "request_headers", by("reader", "reader 200 300000 pause=100us")),
	)
	doc["timeout"] = "2s" // one that strikes too early, or a wake-up that is lost, shows as a 504
	return doc
}

var stressDeeds = []string{"plain", "plain", "plain", "plain", "reply", "reply", "panicbody", "panic", "asyncbody", "wait", "late", "whole", "pipe", "call", "reader"}

func stress(b *Bed) {
	b.Sweep()
	before := b.Live()
	spec := Listen{RDS: true, Chain: stressChain(0)}
	ln := b.Listen(spec)
	warm, err := b.Envoy.RSS()
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), stressTime)
	defer cancel()
	var done, good, cut, unexpected atomic.Int64
	var reloads Reloads
	var first atomic.Value
	var wg sync.WaitGroup
	for i := range stressClients {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for ctx.Err() == nil {
				deed := stressDeeds[r.IntN(len(stressDeeds))]
				leave := r.IntN(4) == 0 || deed == "wait" && r.IntN(4) > 0
				status, err := stressRequest(ln.Addr, r, deed, leave)
				done.Add(1)
				if status == 200 {
					good.Add(1)
				}
				if !leave && err != nil && reloads.Closed(time.Now(), 2*drainTime) {
					cut.Add(1)
				} else if !leave && !expected(deed, status, err) {
					unexpected.Add(1)
					first.CompareAndSwap(nil, fmt.Sprintf("%s: %d %v", deed, status, err))
				}
			}
		})
	}
	for generation := 1; ctx.Err() == nil; generation++ {
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
		if generation%3 == 0 {
			spec.Chain = stressChain(generation)
			err = reloads.Replace(func() error { return ln.Update(spec) })
		} else {
			err = ln.SetRoutes(To("up2", fmt.Sprintf("/generation-%d", generation)), To("up", "/"))
		}
		if err != nil {
			b.Errorf("reload %d: %v", generation, err)
			break
		}
	}
	wg.Wait()
	if err := b.Envoy.Alive(); err != nil {
		b.Fatal(err)
	}
	if n := unexpected.Load(); n > 0 {
		b.Errorf("%d of %d requests ended in a way that nobody asked for; the first: %v", n, done.Load(), first.Load())
	}
	if n := cut.Load(); n > 2+done.Load()/20 {
		b.Errorf("%d of %d requests were cut off as an old listener was closed", n, done.Load())
	}
	CompletedAll(b, before)
	if n := b.Live()["completed"] - before["completed"]; n < done.Load()/2 {
		b.Errorf("%d streams passed the plugin, %d requests were made", n, done.Load())
	}
	client.CloseIdle()
	ln.Remove()
	b.Sweep()
	b.Poll(zero(b, "readers"))
	b.control("/gc", nil)
	rss, _ := b.Envoy.RSS()
	b.Logf("%d requests, %d answered 200; RSS %d MiB before, %d MiB after", done.Load(), good.Load(), warm>>20, rss>>20)
	if rss > warm+200<<20 {
		b.Errorf("RSS has grown from %d to %d MiB", warm>>20, rss>>20)
	}
}

func expected(deed string, status int, err error) bool {
	switch deed {
	case "reply":
		return status == 403
	case "panic", "panicbody":
		return status == 500
	case "wait":
		return status == 504
	case "late":
		return status == 409
	}
	return status == 200 && err == nil
}

func stressRequest(addr string, r *rand.Rand, deed string, leave bool) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if leave {
		time.AfterFunc(time.Duration(r.IntN(10))*time.Millisecond, cancel)
	}
	// A reload closes idle connections: net/http may send again what it has just sent on one.
	resp, err := client.Do(addr, client.Request{
		Context: ctx, H2: r.IntN(2) == 0,
		Header: []string{"x-do", deed, "x-idempotency-key", deed},
		Path:   fmt.Sprintf("/bytes?n=%d", r.IntN(100_000)), Body: patternHead(1 + r.Int64N(60_000)),
	})
	if err == nil {
		err = resp.Err
	}
	return resp.Status, err
}
