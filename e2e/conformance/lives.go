package conformance

import (
	"context"
	"sync"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/framework/filter"
)

// lifeScenarios are uses of a stream at moments at which another thread has it, or nobody has it any more.
func lifeScenarios() []Scenario {
	return []Scenario{
		{Name: "callout: given up as its stream ends", Needs: filter.CanCallout, Run: giveUpAtTheEnd},
	}
}

// giveUpAtTheEnd has plugins give up their callouts, and clients leave, while the thread of both stands still. What Envoy
// sees first then may be the stream's end, and it resets the callout after that.
func giveUpAtTheEnd(b *Bed) {
	ln := b.Listen(Listen{Chain: Chain(ProbeOf("probestream", "s"), Probe("p", "request_headers",
		"if ${req.x-do} call; go; call other GET /hang '' 20ms; wait"))})
	jam := b.Listen(Listen{Chain: Chain(Probe("p", "request_headers", "jam 20ms"))})
	before := b.Live()
	for range 20 {
		leave, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				client.Do(ln.Addr, client.Request{Context: leave, H2: i%2 == 0, Header: []string{"x-do", "call"}})
			})
		}
		for range 4 {
			wg.Go(func() { client.Do(jam.Addr, client.Request{Context: leave}) })
		}
		wg.Wait()
		cancel()
	}
	completedAll(b, before)
	Equal(b, "the listener's next answer", ln.Do(client.Request{}).Status, 200)
}
