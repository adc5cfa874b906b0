package cache

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/internal/redistest"
	"mosn.io/moe/plugins/internal/authztest"
	_ "mosn.io/moe/plugins/redis"
)

// pair is two caches with one origin and one Redis, as two Envoys have them.
func pair(t *testing.T, addr, redis string, header ...string) (a, b *bed) {
	t.Helper()
	config := fmt.Sprintf(`{redis: {addresses: ["%s"], retryAfter: 100ms, %s}, collapse: 20s, purge: {networks: [10.0.0.0/8]}}`, addr, redis)
	a, b = newBed(t, config, header...), newBed(t, config, header...)
	b.Upstream = a.origin
	return a, b
}

// inRedis is how many bytes the values have there.
func inRedis(t *testing.T, s *redistest.Server) int {
	t.Helper()
	n, err := strconv.Atoi(redistest.Command(t, s, "EVAL", `local n = 0
		for _, k in ipairs(redis.call('KEYS', '*')) do
			if redis.call('TYPE', k).ok == 'string' then n = n + redis.call('STRLEN', k) end
		end
		return n`, "0"))
	if err != nil {
		t.Fatalf("strconv.Atoi: %v", err)
	}
	return n
}

func TestShared(t *testing.T) {
	s := redistest.Start(t)
	a, b := pair(t, s.Addr, "local: 0s, timeout: 5s", "cache-control", "max-age=60", "etag", `"v"`, "surrogate-key", "k", "vary", "x-v")
	a.body = "\x00binary\xff"
	a.wants(t, "1", "/", "x-v", "1")
	authztest.Until(t, "the response is in Redis", func() bool { return inRedis(t, s) > 0 }) // or the other asks, too
	share := func(count string, header ...string) {
		t.Helper()
		authztest.Until(t, "the other has answer "+count, func() bool { return from(b.Get("/", header...)) == count })
	}
	share("1", "x-v", "1")
	if r := b.Get("/", "x-v", "1"); r.Body != a.body || r.Header.Get("etag") != `"v"` || r.Status != 200 {
		t.Errorf("the other has %d %q %v, want the response as it was", r.Status, r.Body, r.Header)
	}
	asked := a.asked.Load()
	before := inRedis(t, s)
	b.Get("/", "x-v", "2")
	authztest.Until(t, "the other's variant is in Redis", func() bool { return inRedis(t, s) > before })
	a.wants(t, fmt.Sprint(asked+1), "/", "x-v", "2")
	a.wants(t, "1", "/", "x-v", "1")
	if r := b.Do(filtertest.NewRequest("PURGE", "/", "", "surrogate-key", "k")); r.Body != `{"purged":1}` {
		t.Errorf("the purge answers %s, want 1", r.Body)
	}
	if r := a.Get("/", "x-v", "1"); from(r) == "1" {
		t.Error("after a purge by the other, the first has the old response")
	}
	b.Do(filtertest.NewRequest("POST", "/", ""))
	asked = a.asked.Load()
	authztest.Until(t, "a POST to the other removes it here", func() bool {
		a.Get("/", "x-v", "1")
		return a.asked.Load() > asked
	})
}

// Without Redis each goes by its own memory, and no request waits for long; afterwards they share again.
func TestRedisFails(t *testing.T) {
	for _, c := range []struct {
		name      string
		fail, end func(s *redistest.Server)
	}{
		{name: "killed", fail: (*redistest.Server).Kill, end: (*redistest.Server).Restart},
		{name: "paused", fail: (*redistest.Server).Pause, end: (*redistest.Server).Resume},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := redistest.Start(t)
			a, b := pair(t, s.Addr, "local: 0s, timeout: 200ms", "cache-control", "max-age=60")
			a.wants(t, "1", "/a")
			c.fail(s)
			start := time.Now()
			for range 20 {
				a.wants(t, "1", "/a")
			}
			if r := b.Get("/a"); from(r) != "2" {
				t.Errorf("the other has answer %q, want one of its own", from(r))
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("21 requests without Redis took %v, want no wait for each", took)
			}
			if !strings.Contains(a.Log(), "Redis does not answer") || a.Metric("redis_failed") == 0 {
				t.Errorf("the log says %q, want that Redis does not answer", a.Log())
			}
			c.end(s)
			authztest.Until(t, "they share again", func() bool {
				path := fmt.Sprint("/", time.Now().UnixNano())
				first := from(a.Get(path))
				time.Sleep(20 * time.Millisecond)
				return from(b.Get(path)) == first
			})
		})
	}
}

// A purge that Redis has not done says so, and can be sent again.
func TestPurgeWithoutRedis(t *testing.T) {
	s := redistest.Start(t)
	a, _ := pair(t, s.Addr, "local: 0s, timeout: 200ms", "cache-control", "max-age=60", "surrogate-key", "k")
	a.wants(t, "1", "/")
	authztest.Until(t, "the response is in Redis", func() bool { return inRedis(t, s) > 0 })
	purge := func() *filtertest.Response {
		return a.Do(filtertest.NewRequest("PURGE", "/", "", "surrogate-key", "k"))
	}
	s.Pause()
	for _, when := range []string{"while Redis is asked", "while it is left alone"} {
		t.Run(when, func(t *testing.T) {
			if r := purge(); r.Status != 503 || r.Details != "moe.cache.purge_failed" {
				t.Errorf("got %d %s, want 503 moe.cache.purge_failed", r.Status, r.Details)
			}
		})
	}
	s.Resume()
	authztest.Until(t, "a purge is done", func() bool { return purge().Status == 200 })
	if n := inRedis(t, s); n != 0 {
		t.Errorf("Redis still has %d bytes, want none", n)
	}
	a.wants(t, "2", "/")
}

// A variant that another Envoy has purged does not come back with the next one that is stored.
func TestPurgedVariantStaysAway(t *testing.T) {
	s := redistest.Start(t)
	a, b := pair(t, s.Addr, "local: 1h, timeout: 5s", "cache-control", "max-age=60", "vary", "x-v")
	a.wants(t, "1", "/", "x-v", "1")
	authztest.Until(t, "the response is in Redis", func() bool { return inRedis(t, s) > 0 })
	if r := b.Do(filtertest.NewRequest("PURGE", "/", "")); r.Body != `{"purged":1}` {
		t.Fatalf("the purge answers %s, want 1", r.Body)
	}
	variant := 1
	// What is asked for within milliseconds of a purge may count as purged by it: then the next variant is asked for.
	authztest.Until(t, "another variant is in Redis", func() bool {
		variant++
		refused := a.Metric("unstored", "purged")
		a.wants(t, strconv.Itoa(variant), "/", "x-v", strconv.Itoa(variant))
		authztest.Until(t, "the variant is stored or refused", func() bool {
			return inRedis(t, s) > 0 || a.Metric("unstored", "purged") > refused
		})
		return inRedis(t, s) > 0
	})
	b.wants(t, strconv.Itoa(variant), "/", "x-v", strconv.Itoa(variant))
	b.wants(t, strconv.Itoa(variant+1), "/", "x-v", "1")
}

// A client that leaves while its request waits for Redis leaves nobody waiting for it.
func TestClientLeavesWaitingForRedis(t *testing.T) {
	s := redistest.Start(t)
	a, _ := pair(t, s.Addr, "local: 0s, timeout: 2s", "cache-control", "max-age=60")
	s.Pause()
	a.Leave = func(after string) bool { return after == "waiting" }
	if r := a.Get("/"); r.Reset != "left" {
		t.Fatalf("got %d, want a client that has left", r.Status)
	}
	s.Resume()
	time.Sleep(50 * time.Millisecond) // what was asked for it goes on
	a.Leave = nil
	start := time.Now()
	a.wants(t, "1", "/")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the next request takes %v, want no wait for one that has ended", took)
	}
}

// A response that was under way while another Envoy purged it is stored in Redis by neither of them.
func TestPurgedElsewhereUnderWay(t *testing.T) {
	s := redistest.Start(t)
	a, b := pair(t, s.Addr, "local: 0s, timeout: 5s", "cache-control", "max-age=60", "surrogate-key", "k")
	a.meanwhile.Store(func() { b.Do(filtertest.NewRequest("PURGE", "/", "", "surrogate-key", "k")) })
	a.wants(t, "1", "/")
	authztest.Until(t, "the response is dropped", func() bool { return a.Metric("unstored", "purged") == 1 })
	if n := inRedis(t, s); n != 0 {
		t.Errorf("Redis has %d bytes of what was purged, want none", n)
	}
	b.wants(t, "2", "/")
	// What is asked for within milliseconds of a purge may count as purged by it: then it is asked for again.
	authztest.Until(t, "what was asked for afterwards is stored", func() bool {
		b.Get("/")
		return inRedis(t, s) > 0
	})
}

// An entry that another Envoy says to have received in the future is left out: it would stay fresh for as long.
func TestFutureEntries(t *testing.T) {
	s := redistest.Start(t)
	a, b := pair(t, s.Addr, "local: 0s, timeout: 5s", "cache-control", "max-age=60")
	a.advance(24 * time.Hour)
	a.wants(t, "1", "/")
	authztest.Until(t, "the response is in Redis", func() bool { return inRedis(t, s) > 0 })
	b.wants(t, "2", "/")
}

// For a while a response is used without asking Redis.
func TestLocal(t *testing.T) {
	s := redistest.Start(t)
	a, _ := pair(t, s.Addr, "local: 1h, timeout: 5s", "cache-control", "max-age=60")
	a.wants(t, "1", "/")
	s.Kill()
	a.wants(t, "1", "/")
	if n := a.Metric("redis_failed"); n > 1 { // to store it may have failed
		t.Errorf("%d calls of Redis have failed, want none for a hit", n)
	}
}

var examples = []*entry{
	{Status: 200, Header: fields{{"a", "b"}, {"c", ""}}, Body: []byte("x"), Received: time.Unix(1, 2), Lifetime: time.Hour},
	{
		Status: 404, Vary: fields{{"x", "\x00"}}, Received: time.Unix(3, 4), Initial: 1, While: 2, IfError: 3,
		Strict: true, Tags: []string{"k1", "u\xff"}, Body: []byte{},
	},
}

func TestCodec(t *testing.T) {
	got, err := decode(encode(examples))
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	if diff := cmp.Diff(examples, got, cmpopts.IgnoreUnexported(entry{})); diff != "" {
		t.Errorf("what was encoded is decoded otherwise (-want +got):\n%s", diff)
	}
	for i := range encode(examples) {
		if _, err := decode(encode(examples)[:i]); err == nil {
			t.Errorf("the first %d bytes are decoded, want an error", i)
		}
	}
}

// Whatever Redis has is decoded within its bounds, or refused.
func FuzzDecode(f *testing.F) {
	f.Add(encode(examples))
	f.Add([]byte{codecVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := decode(b)
		if err != nil {
			return
		}
		n := 0
		for _, e := range entries {
			n += len(e.Body)
			if e.Status < 200 || e.Status > 599 || e.Lifetime < 0 || e.age(time.Now()) < 0 {
				t.Errorf("got %+v, want a response", e)
			}
		}
		if n > len(b) {
			t.Errorf("%d bytes have %d bytes of bodies", len(b), n)
		}
	})
}

// A Redis that lies is not believed.
func TestRedisLies(t *testing.T) {
	s := redistest.Start(t)
	a, _ := pair(t, s.Addr, "local: 0s, timeout: 5s", "cache-control", "max-age=60")
	a.wants(t, "1", "/")
	authztest.Until(t, "it is in Redis", func() bool { return inRedis(t, s) > 0 })
	redistest.Command(t, s, "EVAL", `for _, k in ipairs(redis.call('KEYS', '*')) do if redis.call('TYPE', k).ok == 'string' then redis.call('SET', k, 'lies') end end return 1`, "0")
	if r := a.Get("/"); r.Status != 200 || r.Body != "a body" {
		t.Errorf("got %d %q, want the upstream's", r.Status, r.Body)
	}
	if n := a.Metric("redis_failed"); n == 0 {
		t.Error("redis_failed is 0, want the lie to count")
	}
}
