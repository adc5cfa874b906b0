package ratelimit

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/internal/redistest"
	"mosn.io/moe/plugins/internal/authztest"
)

// While Sentinel makes the replica the primary, in the middle of a flood: no request hangs, none is counted locally with
// onFailure closed, and all that pass are those of the limit and those whose count the replica has not got: what it had not when
// it took over, and what a primary that lives counts until it learns of that.
func TestFailover(t *testing.T) {
	const limit = 3000
	for _, c := range []struct {
		name string
		lost int64 // counts, at most; a new primary that began at zero would lose more
		fail func(t *testing.T, primary, sentinel *redistest.Server)
	}{
		{name: "that is asked for", lost: limit * 6 / 10, fail: func(t *testing.T, _, sentinel *redistest.Server) {
			authztest.Until(t, "Sentinel begins", func() bool {
				return strings.HasPrefix(redistest.Command(t, sentinel, "SENTINEL", "FAILOVER", "primary"), "OK")
			})
		}},
		{name: "of a primary that dies", lost: limit / 4, fail: func(_ *testing.T, primary, _ *redistest.Server) { primary.Kill() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			primary := redistest.Start(t, "--repl-diskless-sync-delay", "0")
			host, port, _ := net.SplitHostPort(primary.Addr)
			replica := redistest.Start(t, "--replicaof", host+" "+port)
			sentinel := redistest.StartSentinel(t, "primary", host, port)
			redistest.Command(t, sentinel, "SENTINEL", "SET", "primary", "down-after-milliseconds", "300")
			authztest.Until(t, "Sentinel knows the replica", func() bool {
				_, port, _ := net.SplitHostPort(replica.Addr)
				return strings.Contains(redistest.Command(t, sentinel, "SENTINEL", "REPLICAS", "primary"), port)
			})
			authztest.Until(t, "the replica follows", func() bool {
				return strings.Contains(redistest.Command(t, replica, "INFO", "replication"), "master_link_status:up")
			})
			hosts := fleet(t, 2, `limit: 3000, per: 24h, algorithm: fixedWindow`, `addresses: ["`+sentinel.Addr+`"], master: primary,
				retryAfter: 50ms, onFailure: closed`)
			var passed, answers, slowest atomic.Int64
			var wg sync.WaitGroup
			stop := make(chan struct{})
			for _, h := range hosts {
				for range 4 {
					wg.Go(func() {
						for {
							select {
							case <-stop:
								return
							default:
							}
							start := time.Now()
							switch r := h.Get("/"); r.Status {
							case 200:
								passed.Add(1)
							case 429, 503:
							default:
								t.Errorf("got %d, want 200, 429 or 503: %s", r.Status, h.Log())
								return
							}
							for took := int64(time.Since(start)); ; {
								if old := slowest.Load(); took <= old || slowest.CompareAndSwap(old, took) {
									break
								}
							}
							answers.Add(1)
							time.Sleep(time.Millisecond)
						}
					})
				}
			}
			authztest.Until(t, "half of the limit is used", func() bool { return passed.Load() > limit/2 })
			c.fail(t, primary, sentinel)
			authztest.Until(t, "the replica is the primary", func() bool {
				_, port, _ := net.SplitHostPort(replica.Addr) // asked of Sentinel, as the replica ends all connections meanwhile
				return strings.Contains(redistest.Command(t, sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "primary"), port)
			})
			authztest.Until(t, "the limit is reached", func() bool {
				before, n := passed.Load(), answers.Load()
				authztest.Until(t, "requests go on", func() bool { return answers.Load() > n+200 })
				return passed.Load() == before && hosts[0].Get("/").Status == 429 && hosts[1].Get("/").Status == 429
			})
			close(stop)
			wg.Wait()
			if n := passed.Load(); n < limit*9/10 || n > limit+c.lost {
				t.Errorf("%d pass, want %d, and %d at most whose count is lost", n, limit, c.lost)
			}
			if took := time.Duration(slowest.Load()); took > 10*time.Second {
				t.Errorf("a request took %v, want the timeout of two calls at most", took)
			}
		})
	}
}
