package replay

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/internal/redistest"
	_ "mosn.io/moe/plugins/cel"
	"mosn.io/moe/plugins/internal/plugintest"
	_ "mosn.io/moe/plugins/redis"
)

func host(t testing.TB, config string) *filtertest.Host {
	t.Helper()
	return filtertest.New(t, filtertest.Config{Name: "replay", JSON: config})
}

const nonce = "0123456789abcdef"

func TestNonces(t *testing.T) {
	for _, c := range []struct {
		name, config string
		header       []string
		first        int // the status of the first request
		again        int // of the same once more
		details      string
	}{
		{name: "once", config: `{}`, header: []string{"x-nonce", nonce}, first: 200, again: 409, details: "moe.replay.replayed"},
		{name: "another status", config: `{status: 429}`, header: []string{"x-nonce", nonce}, first: 200, again: 429, details: "moe.replay.replayed"},
		{name: "another header", config: `{header: X-Once}`, header: []string{"x-once", nonce}, first: 200, again: 409, details: "moe.replay.replayed"},
		{name: "none", config: `{}`, first: 400, again: 400, details: "moe.replay.missing"},
		{name: "optional", config: `{optional: true}`, first: 200, again: 200},
		{name: "optional, and there", config: `{optional: true}`, header: []string{"x-nonce", nonce}, first: 200, again: 409, details: "moe.replay.replayed"},
		{name: "only a timestamp", config: `{optional: true, timestamp: {}}`, header: []string{"x-timestamp", "1"}, first: 400, again: 400, details: "moe.replay.missing"},
		{name: "two", config: `{}`, header: []string{"x-nonce", nonce, "x-nonce", nonce + "x"}, first: 400, again: 400, details: "moe.replay.malformed"},
		{name: "two joined", config: `{}`, header: []string{"x-nonce", nonce + "," + nonce}, first: 400, again: 400, details: "moe.replay.malformed"},
		{name: "too short", config: `{}`, header: []string{"x-nonce", nonce[1:]}, first: 400, again: 400, details: "moe.replay.malformed"},
		{name: "too long", config: `{maxLength: 16}`, header: []string{"x-nonce", nonce + "x"}, first: 400, again: 400, details: "moe.replay.malformed"},
		{name: "1 MiB", config: `{}`, header: []string{"x-nonce", strings.Repeat("x", 1<<20)}, first: 400, again: 400, details: "moe.replay.malformed"},
		{name: "binary", config: `{}`, header: []string{"x-nonce", nonce + "\xff\x01"}, first: 400, again: 400, details: "moe.replay.malformed"},
		{name: "not for this path", config: `{prefix: /pay}`, header: []string{"x-nonce", nonce}, first: 200, again: 200},
		{name: "not for this method", config: `{methods: [POST, PUT]}`, first: 200, again: 200},
		{name: "shadow", config: `{shadow: true}`, header: []string{"x-nonce", nonce}, first: 200, again: 200},
		{name: "an expression that fails", config: `{when: "int(request.query['n'][0]) > 0"}`, header: []string{"x-nonce", nonce}, first: 403, again: 403, details: "moe.replay.error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(t, c.config)
			first, again := h.Get("/", c.header...), h.Get("/", c.header...)
			if first.Status != c.first || again.Status != c.again || again.Details != c.details {
				t.Errorf("got %d, then %d %q; want %d, then %d %q", first.Status, again.Status, again.Details, c.first, c.again, c.details)
			}
		})
	}
}

// TestOnlyOnePasses: of many requests at once with one nonce, one passes.
func TestOnlyOnePasses(t *testing.T) {
	h := host(t, `{}`)
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if h.Get("/", "x-nonce", nonce).Status == 200 {
				passed.Add(1)
			}
		})
	}
	if wg.Wait(); passed.Load() != 1 || h.Metric("replayed") != 49 {
		t.Errorf("%d requests passed, replayed = %d; want 1, 49", passed.Load(), h.Metric("replayed"))
	}
}

func TestScope(t *testing.T) {
	for _, c := range []struct {
		config string
		other  int // the status of another consumer's request
	}{{config: `{}`, other: 200}, {config: `{scope: all}`, other: 409}} {
		t.Run(c.config, func(t *testing.T) {
			who := "a"
			h := filtertest.New(t, &plugintest.Probe{Request: func(s filter.Stream, _ filter.RequestHeaders) {
				s.SetConsumer(&filter.Consumer{Name: who})
			}}, filtertest.Config{Name: "replay", JSON: c.config})
			if r := h.Get("/", "x-nonce", nonce); r.Status != 200 {
				t.Fatalf("got %d, want 200", r.Status)
			}
			who = "b"
			if r := h.Get("/", "x-nonce", nonce); r.Status != c.other {
				t.Errorf("another consumer: got %d, want %d", r.Status, c.other)
			}
			// A name and a nonce that look alike together are two all the same.
			who = "b" + nonce
			if r := h.Get("/", "x-nonce", nonce+"x"); r.Status != 200 {
				t.Errorf("a third: got %d, want 200", r.Status)
			}
		})
	}
}

// clock is that of a test.
type clock struct{ wall atomic.Pointer[time.Time] }

func (c *clock) now() time.Time { return *c.wall.Load() }

func (c *clock) set(t time.Time) { c.wall.Store(&t) }

func at(t *testing.T, p *Replay, start time.Time) (*filtertest.Host, *clock) {
	t.Helper()
	c := &clock{}
	c.set(start)
	p.now = c.now
	return filtertest.New(t, p), c
}

func TestTimestamp(t *testing.T) {
	start := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	for _, c := range []struct {
		name, format, value string
		status              int
	}{
		{name: "now", format: "unix", value: strconv.FormatInt(start.Unix(), 10), status: 200},
		{name: "just old enough", format: "unix", value: strconv.FormatInt(start.Unix()-300, 10), status: 200},
		{name: "too old", format: "unix", value: strconv.FormatInt(start.Unix()-301, 10), status: 400},
		{name: "just of the future", format: "unix", value: strconv.FormatInt(start.Unix()+300, 10), status: 200},
		{name: "too far in the future", format: "unix", value: strconv.FormatInt(start.Unix()+301, 10), status: 400},
		{name: "milliseconds", format: "unixMilli", value: strconv.FormatInt(start.UnixMilli(), 10), status: 200},
		{name: "milliseconds for seconds", format: "unix", value: strconv.FormatInt(start.UnixMilli(), 10), status: 400},
		{name: "RFC 3339", format: "rfc3339", value: "2026-05-06T09:08:09.5+02:00", status: 200},
		{name: "another day", format: "rfc3339", value: "2026-05-07T07:08:09Z", status: 400},
		{name: "centuries ahead", format: "rfc3339", value: "9999-05-07T07:08:09Z", status: 400},
		{name: "negative", format: "unix", value: "-1", status: 400},
		{name: "beyond numbers", format: "unix", value: "9223372036854775808", status: 400},
		{name: "text", format: "unix", value: "now", status: 400},
		{name: "empty", format: "unix", value: "", status: 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := at(t, &Replay{Timestamp: &Timestamp{Format: c.format}}, start)
			if r := h.Get("/", "x-nonce", nonce, "x-timestamp", c.value); r.Status != c.status {
				t.Errorf("got %d %s, want %d", r.Status, r.Details, c.status)
			}
		})
	}
}

// TestClock: whatever the wall clock does, a request passes once.
func TestClock(t *testing.T) {
	start := time.Now()
	h, clock := at(t, &Replay{Timestamp: &Timestamp{Window: time.Minute}}, start)
	send := func(nonce string, made time.Time) int {
		return h.Get("/", "x-nonce", nonce, "x-timestamp", strconv.FormatInt(made.Unix(), 10)).Status
	}
	if got := send(nonce, start); got != 200 {
		t.Fatalf("got %d, want 200", got)
	}
	for i := range 300 { // five minutes go by
		clock.set(start.Add(time.Duration(i) * time.Second))
		if got := send(fmt.Sprint(nonce, i), clock.now()); got != 200 {
			t.Fatalf("after %ds: got %d, want 200", i, got)
		}
		if got := send(nonce, start); got == 200 {
			t.Fatalf("after %ds the first request passes once more", i)
		}
	}
	// Set back by five minutes while the monotonic clock goes on, which test clocks cannot show better than by a jump ahead
	// that makes the memory forget, and back.
	clock.set(start.Add(time.Hour))
	if got := send("of an hour later", clock.now()); got != 400 { // a space is malformed
		t.Fatalf("got %d, want 400", got)
	}
	if got := send("of-an-hour-later", clock.now()); got != 200 {
		t.Fatalf("got %d, want 200", got)
	}
	clock.set(start)
	if got := send(nonce, start); got == 200 {
		t.Error("the first request passes once more, as the clock was set back")
	}
}

func TestFull(t *testing.T) {
	h := host(t, `{maxNonces: 2, failOpen: true}`)
	for i, want := range []int{200, 200, 503, 503} {
		t.Run(fmt.Sprint("number ", i), func(t *testing.T) {
			if r := h.Get("/", "x-nonce", fmt.Sprint(nonce, i)); r.Status != want {
				t.Errorf("got %d, want %d", r.Status, want)
			}
		})
	}
	if r := h.Get("/", "x-nonce", fmt.Sprint(nonce, 0)); r.Status != 409 || h.Metric("full") != 2 {
		t.Errorf("got %d, full = %d; want 409, 2", r.Status, h.Metric("full"))
	}
}

func TestRedis(t *testing.T) {
	s := redistest.Start(t)
	config := func(more string) string {
		return `{keep: 2s, redis: {addresses: ["` + s.Addr + `"], timeout: 5s, ` + more + `}}`
	}
	first, second := host(t, config("")), host(t, config("onFailure: local"))
	get := func(h *filtertest.Host, name string) int { return h.Get("/", "x-nonce", nonce+name).Status }
	check := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %d, want %d", what, got, want)
		}
	}
	check("the first", get(first, "a"), 200)
	check("the first again", get(first, "a"), 409)
	check("the first, at another Envoy", get(second, "a"), 409)
	check("another", get(second, "b"), 200)
	check("another, at the first Envoy", get(first, "b"), 409)
	time.Sleep(2100 * time.Millisecond)
	check("forgotten", get(second, "a"), 200)

	s.Kill()
	check("Redis is down", get(first, "c"), 403)
	check("Redis is down, by this Envoy's own memory", get(second, "c"), 200)
	check("Redis is down, again", get(second, "c"), 409)
	check("Redis is down, seen before that", get(second, "a"), 409)
	open := filtertest.New(t, filtertest.Config{Name: "replay", JSON: strings.Replace(config(""), "{", "{failOpen: true, ", 1)})
	check("Redis is down, failOpen", get(open, "d"), 200)
	if n := first.Metric("redis_failed"); n != 1 {
		t.Errorf("redis_failed = %d, want 1", n)
	}
	s.Restart()
	for end := time.Now().Add(10 * time.Second); get(first, fmt.Sprint("e", time.Now().UnixNano())) != 200; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("Redis is up and not asked again")
		}
	}
	check("Redis has forgotten, this Envoy has not", get(second, "c"), 409)
}

// TestRedisPaused: a Redis that does not answer holds requests for the timeout, and no longer.
func TestRedisPaused(t *testing.T) {
	s := redistest.Start(t)
	h := host(t, `{errorStatus: 503, redis: {addresses: ["`+s.Addr+`"], timeout: 200ms}}`)
	if r := h.Get("/", "x-nonce", nonce); r.Status != 200 {
		t.Fatalf("got %d, want 200: %s", r.Status, h.Log())
	}
	s.Pause()
	defer s.Resume()
	start := time.Now()
	if r := h.Get("/", "x-nonce", nonce+"b"); r.Status != 503 || time.Since(start) > 3*time.Second {
		t.Errorf("got %d after %v, want 503 after 200ms", r.Status, time.Since(start))
	}
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{header: ":path"}`: "header", `{minLength: 200}`: "minLength: must not be more", `{keep: 1ms}`: "keep",
		`{timestamp: {window: 1ms}}`: "timestamp.window", `{timestamp: {header: X-Nonce}}`: "timestamp.header", `{timestamp: {header: "a b"}}`: "timestamp.header",
		`{timestamp: {format: iso}}`: "format", `{redis: {}}`: "redis.addresses", `{redis: {addresses: [a]}}`: "redis.addresses[0]",
		`{redis: {addresses: ["a:1"], onFailure: open}}`: "onFailure", `{maxNonces: 0}`: "maxNonces", `{scope: route}`: "scope", `{prefix: a}`: "prefix",
	} {
		t.Run(config, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "replay", JSON: config})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one with %q", err, want)
			}
		})
	}
}

// FuzzTime: what is taken for a time is one, and written as its format has it.
func FuzzTime(f *testing.F) {
	f.Add("unix", "1700000000")
	f.Add("unixMilli", "1700000000000")
	f.Add("rfc3339", "2026-05-06T07:08:09Z")
	f.Fuzz(func(t *testing.T, format, text string) {
		at, err := (&Timestamp{Format: format}).parse(text)
		if err == nil && (at.Unix() < -86400 || at.Year() > 40000) {
			t.Errorf("%s: %q is %v", format, text, at)
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	p := &Replay{MaxNonces: 1 << 30}
	filtertest.New(b, p)
	n := 0
	plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) {
		n++
		h.Set("x-nonce", nonce+strconv.Itoa(n))
		if p.OnRequestHeaders(s, h, true) != filter.Continue {
			b.Fatal("refused")
		}
	})
}
