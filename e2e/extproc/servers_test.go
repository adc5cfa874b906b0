package extproc

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
)

// TestServerKilled kills one of three servers under load.
func TestServerKilled(t *testing.T) {
	binary := moe(t)
	const clients = 4
	onEach(t, func(b *bed) {
		for _, open := range []bool{true, false} {
			b.Run(fmt.Sprintf("failure_mode_allow %v", open), func(t *testing.T) {
				var addrs []string
				var servers []*serving
				for range 3 {
					s := startMoe(t, binary, hello)
					servers, addrs = append(servers, s), append(addrs, s.addr)
				}
				config := with(seed(), "failure_mode_allow", open)
				config["retry"] = m{
					"retry_on": "connect-failure,refused-stream", "num_retries": 2,
					"retry_back_off": m{"base_interval": "0.005s", "max_interval": "86400s"},
					"retry_host_predicate": a{m{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": m{
						"@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
					}}},
					"host_selection_retry_max_attempts": 5,
				}
				addr, _ := b.listen(config, addrs...)
				var stop atomic.Bool
				var served, greeted, failed atomic.Int64
				var wg sync.WaitGroup
				for range clients {
					wg.Go(func() {
						for !stop.Load() {
							r, err := client.Do(addr, client.Request{Path: "/body/x"})
							if err != nil || r.Status != 200 {
								failed.Add(1)
								continue
							}
							served.Add(1)
							if r.Header.Get("x-extproc-hello") != "" {
								greeted.Add(1)
							}
						}
					})
				}
				time.Sleep(500 * time.Millisecond)
				servers[1].kill()
				after := served.Load()
				time.Sleep(time.Second)
				stop.Store(true)
				wg.Wait()
				t.Logf("%d served, %d of them with the plugin, %d failed", served.Load(), greeted.Load(), failed.Load())
				if served.Load() < after+100 {
					t.Errorf("%d requests after one server was killed", served.Load()-after)
				}
				if n := failed.Load(); open && n > 0 || n > clients {
					t.Errorf("%d requests failed", n)
				}
				if missed := served.Load() - greeted.Load(); missed > clients {
					t.Errorf("%d requests went without the plugin", missed)
				}
			})
		}
	})
}
