package ratelimit

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/internal/redistest"
	"mosn.io/moe/plugins/internal/authztest"
	_ "mosn.io/moe/plugins/redis"
)

// fleet is several hosts with one configuration, as several Envoys have it.
func fleet(t *testing.T, n int, rule, redis string) []*filtertest.Host {
	t.Helper()
	hosts := make([]*filtertest.Host, n)
	for i := range hosts {
		hosts[i] = load(t, nil, `{rules: [{`+rule+`}], redis: {timeout: 5s, `+redis+`}}`)
	}
	return hosts
}

// flood sends requests from several clients of each host until each has sent n, and returns how many pass.
func flood(t *testing.T, hosts []*filtertest.Host, clients, n int) int64 {
	t.Helper()
	var passed atomic.Int64
	var wg sync.WaitGroup
	for _, h := range hosts {
		for range clients {
			wg.Go(func() {
				for range n {
					switch r := h.Get("/"); r.Status {
					case 200:
						passed.Add(1)
					case 429:
					default:
						t.Errorf("got %d, want 200 or 429: %s", r.Status, h.Log())
						return
					}
				}
			})
		}
	}
	wg.Wait()
	return passed.Load()
}

// Whatever the algorithm and however much is taken in advance, several processes let pass together what one would.
func TestSharedLimit(t *testing.T) {
	s := redistest.Start(t)
	for _, algorithm := range []string{"tokenBucket", "fixedWindow", "slidingWindow"} {
		for _, precharge := range []int{0, 50} {
			t.Run(fmt.Sprintf("%s, %d in advance", algorithm, precharge), func(t *testing.T) {
				hosts := fleet(t, 4, fmt.Sprintf(`name: p%d, limit: 1000, per: 24h, algorithm: %s`, precharge, algorithm),
					fmt.Sprintf("addresses: ['%s'], precharge: %d", s.Addr, precharge))
				passed := flood(t, hosts, 4, 150)
				if passed > 1000 || passed < 990 {
					t.Errorf("%d pass of 2400, want 990 to 1000", passed)
				}
				trips := int64(0)
				for _, h := range hosts {
					trips += h.Metric("redis_trips")
					if n := h.Metric("redis_failed"); n > 0 {
						t.Errorf("%d failures of Redis, want none: %s", n, h.Log())
					}
				}
				if precharge > 0 && trips > 600 {
					t.Errorf("2400 requests take %d round trips, want a quarter at most", trips)
				}
			})
		}
	}
}

// What was taken in advance of a fast rule lasts until the next requests, although all units are there again by then.
func TestSharedFast(t *testing.T) {
	s := redistest.Start(t)
	h := fleet(t, 1, `limit: 10000000, per: 1s`, `addresses: ["`+s.Addr+`"], precharge: 20`)
	if passed := flood(t, h, 1, 210); passed != 210 {
		t.Errorf("%d pass, want 210", passed)
	}
	if trips := h[0].Metric("redis_trips"); trips > 50 {
		t.Errorf("210 requests take %d round trips, want one for each 21", trips)
	}
}

// Under a steady load the rate is that of the limit.
func TestSharedRate(t *testing.T) {
	s := redistest.Start(t)
	hosts := fleet(t, 2, `limit: 200, per: 1s, burst: 10`, `addresses: ["`+s.Addr+`"]`)
	start := time.Now()
	var passed int64
	for time.Since(start) < 2*time.Second {
		passed += flood(t, hosts, 4, 20)
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(start).Seconds()
	if most := 200*took + 10; float64(passed) > most*1.01 || float64(passed) < most*0.5 {
		t.Errorf("%d pass in %.2f s, want up to %.0f, and half of that at least", passed, took, most)
	}
}

func TestSharedDelay(t *testing.T) {
	s := redistest.Start(t)
	h := fleet(t, 1, `limit: 20, per: 1s, burst: 1, maxDelay: 5s`, `addresses: ["`+s.Addr+`"]`)[0]
	start := time.Now()
	if passed := flood(t, []*filtertest.Host{h}, 10, 1); passed != 10 {
		t.Errorf("%d pass, want 10", passed)
	}
	if took := time.Since(start); took < 450*time.Millisecond {
		t.Errorf("ten at twenty a second took %v, want 450ms at least", took)
	}
}

// One rule's refusal takes nothing from the others.
func TestSharedRules(t *testing.T) {
	s := redistest.Start(t)
	h := load(t, nil, `{rules: [{name: a, limit: 100, per: 1h}, {name: b, limit: 2, per: 1h, key: [{from: path}]}],
		redis: {addresses: ["`+s.Addr+`"], timeout: 5s, precharge: 0}}`)
	passed := 0
	for i := range 200 {
		if r := h.Get(fmt.Sprint("/", i%60)); r.Status == 200 {
			passed++
		}
	}
	if passed != 100 {
		t.Errorf("%d pass, want 100: 60 paths, each up to twice", passed)
	}
}

// Redis is killed, paused and cut off: requests go by onFailure meanwhile, none waits long, and afterwards the shared
// count is back.
func TestRedisFails(t *testing.T) {
	for _, c := range []struct {
		name      string
		fail, end func(s *redistest.Server, l *redistest.Link)
	}{
		{
			"killed", func(s *redistest.Server, _ *redistest.Link) { s.Kill() },
			func(s *redistest.Server, _ *redistest.Link) { s.Restart() },
		},
		{
			"paused", func(s *redistest.Server, _ *redistest.Link) { s.Pause() },
			func(s *redistest.Server, _ *redistest.Link) { s.Resume() },
		},
		{
			"cut off", func(_ *redistest.Server, l *redistest.Link) { l.Cut() },
			func(_ *redistest.Server, l *redistest.Link) { l.Mend() },
		},
	} {
		for mode, want := range map[string]int{"local": 429, "open": 200, "closed": 503} {
			t.Run(c.name+", "+mode, func(t *testing.T) {
				s := redistest.Start(t)
				l := redistest.NewLink(t, s.Addr)
				h := load(t, nil, `{rules: [{limit: 3, per: 1h}], redis: {addresses: ["`+l.Addr+`"], timeout: 300ms,
					retryAfter: 1s, precharge: 0, onFailure: `+mode+`}}`)
				if r := h.Get("/"); r.Status != 200 || h.Metric("redis_failed") != 0 {
					t.Fatalf("got %d, want 200 by Redis: %s", r.Status, h.Log())
				}
				c.fail(s, l)
				var last int
				start := time.Now()
				for range 50 {
					last = h.Get("/").Status
				}
				if took := time.Since(start); last != want || took > 5*time.Second {
					t.Errorf("without Redis: got %d after 50 requests in %v, want %d within 5s", last, took, want)
				}
				if !strings.Contains(h.Log(), "Redis does not answer") || h.Metric("redis_failed") == 0 {
					t.Errorf("h.Log() = %q, want what has failed", h.Log())
				}
				c.end(s, l)
				for end := time.Now().Add(30 * time.Second); !strings.Contains(h.Log(), "Redis answers again"); time.Sleep(50 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("Redis is back and is not asked: %s", h.Log())
					}
					h.Get("/")
				}
			})
		}
	}
}

// A cluster has each key on one of its nodes. When a node is gone, the keys that it had are counted here.
func TestSharedCluster(t *testing.T) {
	nodes := redistest.StartCluster(t, 3)
	hosts := fleet(t, 2, `limit: 20, per: 24h, algorithm: fixedWindow, key: [{from: header, name: x-user}]`,
		`addresses: ["`+nodes[0].Addr+`"], cluster: true, retryAfter: 100ms`)
	passed := func(user int) (n int) {
		for i := range 50 {
			switch r := hosts[i%2].Get("/", "x-user", fmt.Sprint(user)); r.Status {
			case 200:
				n++
			case 429:
			default:
				t.Errorf("user %d: got %d, want 200 or 429: %s", user, r.Status, hosts[i%2].Log())
			}
		}
		return n
	}
	for user := range 12 {
		if n := passed(user); n != 20 {
			t.Errorf("user %d: %d pass, want 20", user, n)
		}
	}
	for i, h := range hosts {
		if n := h.Metric("redis_failed"); n != 0 {
			t.Errorf("host %d: %d failures of Redis, want none: %s", i, n, h.Log())
		}
	}
	nodes[1].Kill()
	for user := range 12 {
		if n := passed(100 + user); n < 20 || n > 60 {
			t.Errorf("without a node, user %d: %d pass, want 20 to 60: each host's own limit, and the cluster's", user, n)
		}
	}
}

// Redis is down from the beginning.
func TestRedisNeverThere(t *testing.T) {
	h := load(t, nil, `{rules: [{limit: 1, per: 1h}], redis: {addresses: ["127.0.0.1:1"]}}`)
	if first, second := h.Get("/").Status, h.Get("/").Status; first != 200 || second != 429 {
		t.Errorf("got %d and %d, want 200 and 429, as counted here", first, second)
	}
}

// What was taken in advance stays as long as a key is in use, and no longer; more is taken only as far as it is missing.
func TestLent(t *testing.T) {
	r := &Rule{Limit: 1000, Per: time.Hour}
	r.start("")
	s := &Shared{lease: newTable(16), Precharge: 20}
	c := claim{rule: r, cost: 1, key: [2]uint64{1, 2}, verdict: verdict{ok: true, reset: time.Hour, remaining: 500}}
	second := int64(time.Second)
	s.lend(&c, 2, second)
	s.lend(&c, 1, second+second*9/10)
	taken := 0
	for s.borrow(&c, 2*second+second/2) {
		taken++
	}
	if taken != 3 {
		t.Errorf("1.5 s after the first unit and 0.6 s after the last, %d can be taken, want 3", taken)
	}
	s.lend(&c, 7, 3*second)
	c.cost = 8
	if s.borrow(&c, 3*second) || c.lent != 7 {
		t.Errorf("for 8 of 7: %d are known to be lent, want 7, and no decision", c.lent)
	}
	if c.cost = 1; s.borrow(&c, 4*second) {
		t.Error("borrow = true after a second without use, want false")
	}
}

// A request that outlives its configuration does not wait for who would have asked Redis for it.
func TestClosedConfiguration(t *testing.T) {
	ended := make(chan struct{})
	close(ended)
	for _, room := range []int{0, 1} {
		t.Run(fmt.Sprintf("room for %d", room), func(t *testing.T) {
			s := &Shared{calls: make(chan *ask, room), ended: ended}
			err := s.fetch(t.Context(), []claim{{rule: perHour, cost: 1, asks: true}}, monotonic)
			if !errors.Is(err, errEnded) {
				t.Errorf("got %v, want %v", err, errEnded)
			}
		})
	}
}

// An answer that the script cannot have given is a failure.
func TestSettle(t *testing.T) {
	for name, n := range map[string][]int64{
		"none": nil, "short": {1, 0, 0}, "long": {1, 0, 0, 0, 0}, "negative": {-1, 0, 0, 0}, "negative wait": {0, -1, 0, 0},
		"too many": {12, 0, 0, 0}, "too few": {1, 0, 0, 0}, "for ever": {0, 1 << 62, 0, 0}, "long delay": {2, 1 << 40, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := claim{rule: perHour, cost: 2}
			if err := c.settle(n, 5); err == nil {
				t.Errorf("%v: got %+v, want an error", n, c.verdict)
			}
		})
	}
	c := claim{rule: perHour, cost: 2}
	if err := c.settle([]int64{7, 0, 3, 1000}, 5); err != nil || !c.ok || c.remaining != 3 || c.reset != time.Millisecond {
		t.Errorf("got %+v, %v; want 3 left and a reset of 1ms", c.verdict, err)
	}
}

func TestSharedRefused(t *testing.T) {
	for redis, want := range map[string]string{
		`{}`:                                                   "redis.addresses",
		`{addresses: [a]}`:                                     "redis.addresses[0]",
		`{addresses: ["a:1", "b:1"]}`:                          "redis.addresses",
		`{addresses: ["a:1"], timeout: 0s}`:                    "redis.timeout",
		`{addresses: ["a:1"], onFailure: x}`:                   "redis.onFailure",
		`{addresses: ["a:1"], retryAfter: 1h}`:                 "redis.retryAfter",
		`{addresses: ["a:1"], tls: {caFile: /not/there}}`:      "/not/there",
		`{addresses: ["a:1"], cluster: true, database: 1}`:     "redis.database",
		`{addresses: ["a:1"], cluster: true, master: primary}`: "mutually exclusive",
	} {
		t.Run(redis, func(t *testing.T) {
			if got := authztest.Refused(t, "ratelimit", `{rules: [{limit: 1}], redis: `+redis+`}`); !strings.Contains(got, want) ||
				strings.Count(got, want) > 1 {
				t.Errorf("got %q, want it to contain %q, once", got, want)
			}
		})
	}
}
