package fault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	_ "mosn.io/moe/plugins/cel"
	"mosn.io/moe/plugins/internal/plugintest"
)

func host(t testing.TB, config string) *filtertest.Host {
	t.Helper()
	return filtertest.New(t, filtertest.Config{Name: "fault", JSON: config})
}

func TestAbort(t *testing.T) {
	for _, c := range []struct {
		name, config, path string
		status             int
		body, reset        string
	}{
		{name: "default", config: `{abort: {}}`, status: 503, body: "fault injected"},
		{name: "status", config: `{abort: {status: 429, body: "slow down"}}`, status: 429, body: "slow down"},
		{name: "reset", config: `{abort: {reset: true}}`, reset: "fault injected"},
		{name: "none of them", config: `{abort: {percentage: 0}}`, status: 200},
		{name: "another path", config: `{prefix: /a, abort: {}}`, path: "/b", status: 200},
		{name: "the path", config: `{prefix: /a, abort: {}}`, path: "/a", status: 503, body: "fault injected"},
		{name: "an expression that fails", config: `{when: "int(request.query['n'][0]) > 0", abort: {}}`, path: "/?n=x", status: 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.path == "" {
				c.path = "/"
			}
			r := host(t, c.config).Get(c.path)
			if r.Status != c.status || r.Reset != c.reset || r.Body != c.body {
				t.Errorf("got %d %q, reset %q; want %d %q, %q", r.Status, r.Body, r.Reset, c.status, c.body, c.reset)
			}
		})
	}
	if r := host(t, `{abort: {grpcStatus: 8}}`).GRPC("/a.B/C", "m"); r.GRPCStatus != 8 {
		t.Errorf("got grpc-status %d, want 8", r.GRPCStatus)
	}
}

// TestPercentage: the share is met within five standard deviations, and the faults are drawn one by one.
func TestPercentage(t *testing.T) {
	const n = 20_000
	for _, percent := range []float64{0.5, 20, 99.5} {
		t.Run(strconv.FormatFloat(percent, 'g', -1, 64), func(t *testing.T) {
			s, hits := Share{Percentage: percent}, 0
			for range n {
				if s.hit() {
					hits++
				}
			}
			want := n * percent / 100
			if margin := 5 * math.Sqrt(want*(1-percent/100)); math.Abs(float64(hits)-want) > margin {
				t.Errorf("%d of %d requests, want %.0f ± %.0f", hits, n, want, margin)
			}
		})
	}
}

func TestDelay(t *testing.T) {
	h := host(t, `{delay: {for: 30ms, jitter: 10ms}, abort: {percentage: 0}}`)
	start := time.Now()
	if r := h.Get("/"); r.Status != 200 || time.Since(start) < 30*time.Millisecond {
		t.Errorf("got %d after %v, want 200 after 30ms at least", r.Status, time.Since(start))
	}
	if n := h.Metric("delayed"); n != 1 {
		t.Errorf("delayed = %d, want 1", n)
	}
	h = host(t, `{delay: {for: 30ms}, abort: {status: 504}}`)
	start = time.Now()
	if r := h.Get("/"); r.Status != 504 || time.Since(start) < 30*time.Millisecond {
		t.Errorf("got %d after %v, want 504 after 30ms at least", r.Status, time.Since(start))
	}
}

// TestMaxActive: what is more passes without a fault.
func TestMaxActive(t *testing.T) {
	h := host(t, `{delay: {for: 200ms}, maxActive: 2}`)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { h.Get("/") })
	}
	wg.Wait()
	if d, o := h.Metric("delayed"), h.Metric("overflowed"); d != 2 || o != 3 {
		t.Errorf("delayed %d, overflowed %d; want 2, 3", d, o)
	}
	if n := h.Metric("active"); n != 0 {
		t.Errorf("active = %d, want 0", n)
	}
}

// TestGone: a client that leaves gives its place back.
func TestGone(t *testing.T) {
	h := &filtertest.Host{Leave: func(after string) bool { return after == "waiting" }}
	if err := h.Load(t, filtertest.Config{Name: "fault", JSON: `{delay: {for: 20s}}`}); err != nil {
		t.Fatalf("loading the plugin: %v", err)
	}
	start := time.Now()
	if r := h.Get("/"); r.Reset != "left" || time.Since(start) > 4*time.Second {
		t.Errorf("got reset %q after %v, want the client to leave at once", r.Reset, time.Since(start))
	}
	for end := time.Now().Add(5 * time.Second); h.Metric("active") != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("active = %d, want 0", h.Metric("active"))
		}
	}
}

func TestBandwidth(t *testing.T) {
	h := host(t, `{bandwidth: {request: 20KiB, response: 20KiB}}`)
	h.Chunk = 1000
	body := strings.Repeat("x", 4<<10)
	start := time.Now()
	r := h.Post("/", body)
	if took := time.Since(start); r.Body != body || r.Sent != body || took < 300*time.Millisecond {
		t.Errorf("got %d bytes after %v, want %d after 400ms", len(r.Body), took, len(body))
	}
	if n := h.Metric("slowed"); n != 2 {
		t.Errorf("slowed = %d, want 2", n)
	}
	if r := h.Get("/"); r.Status != 200 || h.Metric("active") != 0 {
		t.Errorf("without bodies: got %d, active %d; want 200, 0", r.Status, h.Metric("active"))
	}
}

// TestPace: the rate holds to a step, and a body is complete, whatever pieces it comes in.
func TestPace(t *testing.T) {
	for _, rate := range []int64{16, 1000, 1 << 20} {
		t.Run(strconv.FormatInt(rate, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				data := bytes.Repeat([]byte("x"), int(rate)*2)
				var out bytes.Buffer
				start := time.Now()
				err := pace(t.Context(), &out, io.MultiReader(bytes.NewReader(data[:rate/2]), bytes.NewReader(data[rate/2:])), rate)
				if took := time.Since(start); err != nil || out.Len() != len(data) || took < 2*time.Second-step || took > 2*time.Second+step {
					t.Errorf("%d bytes in %v, %v; want %d in 2s", out.Len(), took, err, len(data))
				}
			})
		})
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(filter.ErrStreamDone)
	if err := pace(ctx, io.Discard, strings.NewReader("x"), 1); !errors.Is(err, filter.ErrStreamDone) {
		t.Errorf("got %v, want ErrStreamDone", err)
	}
}

func TestByHeader(t *testing.T) {
	const config = `{byHeader: {maxDelay: 100ms, statuses: [500, 503], minBandwidth: 1KiB}}`
	for _, c := range []struct {
		name, config string
		header       []string
		status       int
		least        time.Duration
		refused      int64
	}{
		{name: "none", config: config, status: 200},
		{name: "not configured", config: `{abort: {percentage: 0}}`, header: []string{abortHeader, "503"}, status: 200},
		{name: "abort", config: config, header: []string{abortHeader, "503"}, status: 503},
		{name: "a status that is not listed", config: config, header: []string{abortHeader, "418"}, status: 200, refused: 1},
		{name: "a status beyond numbers", config: config, header: []string{abortHeader, "99999999999999999999"}, status: 200, refused: 1},
		{name: "text", config: config, header: []string{abortHeader, "five"}, status: 200, refused: 1},
		{name: "two", config: config, header: []string{abortHeader, "503", abortHeader, "500"}, status: 200, refused: 1},
		{name: "share of none", config: config, header: []string{abortHeader, "503", abortShare, "0"}, status: 200},
		{name: "share that is not a number", config: config, header: []string{abortHeader, "503", abortShare, "NaN"}, status: 200, refused: 1},
		{name: "delay", config: config, header: []string{delayHeader, "30"}, status: 200, least: 30 * time.Millisecond},
		{name: "too long a delay", config: config, header: []string{delayHeader, "101"}, status: 200, refused: 1},
		{name: "negative delay", config: config, header: []string{delayHeader, "-1"}, status: 200, refused: 1},
		{name: "only delays", config: `{byHeader: {maxDelay: 1s}}`, header: []string{abortHeader, "503", bandwidthHeader, "1"}, status: 200, refused: 2},
		{name: "bandwidth", config: config, header: []string{bandwidthHeader, "10000"}, status: 200},
		{name: "too little bandwidth", config: config, header: []string{bandwidthHeader, "0"}, status: 200, refused: 1},
		{name: "another path", config: `{prefix: /a, byHeader: {statuses: [503]}}`, header: []string{abortHeader, "503"}, status: 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(t, c.config)
			start := time.Now()
			r := h.Post("/", "body", c.header...)
			if took := time.Since(start); r.Status != c.status || took < c.least {
				t.Errorf("got %d after %v, want %d after %v", r.Status, took, c.status, c.least)
			}
			if n := h.Metric("refused"); n != c.refused {
				t.Errorf("refused = %d, want %d", n, c.refused)
			}
			if r.Upstream == nil || c.name == "not configured" {
				return
			}
			for _, name := range headers {
				if r.Upstream.Header.Get(name) != "" {
					t.Errorf("the upstream sees %s", name)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{}`: "give one fault", `{delay: {}}`: "delay.for", `{delay: {for: 26s}}`: "delay.for", `{delay: {for: 2s, jitter: -1s}}`: "delay.for",
		`{abort: {percentage: 101}}`: "percentage", `{abort: {percentage: -1}}`: "percentage", `{abort: {status: 99}}`: "status",
		`{abort: {grpcStatus: 17}}`: "grpcStatus", `{bandwidth: {}}`: "bandwidth.response", `{bandwidth: {response: 5}}`: "16 bytes",
		`{byHeader: {}}`: "byHeader.maxDelay", `{byHeader: {statuses: [99]}}`: "statuses", `{byHeader: {maxDelay: 1m}}`: "byHeader.maxDelay",
		`{abort: {}, prefix: a}`: "prefix", `{byHeader: {minBandwidth: 1}}`: "minBandwidth",
	} {
		t.Run(config, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "fault", JSON: config})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one with %q", err, want)
			}
		})
	}
}

// TestNeverDelayed: a stream that ends before its delay begins takes no place of others.
func TestNeverDelayed(t *testing.T) {
	p := &Fault{Delay: &Delay{Share: Share{Percentage: 100}, For: 10 * time.Second}, MaxActive: 1}
	filtertest.New(t, p)
	h := filtertest.New(t, &plugintest.Probe{Request: func(s filter.Stream, h filter.RequestHeaders) {
		p.newStream(s).OnRequestHeaders(s, h, true) // the chain drops what a stream that is over returns
	}})
	h.Get("/")
	if n := p.active.Load(); n != 0 {
		t.Errorf("%d requests are delayed, want none", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	p := &Fault{Abort: &Abort{Share: Share{Percentage: 0.0001}, Status: 503}}
	filtertest.New(b, p)
	plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) {
		p.newStream(s).OnRequestHeaders(s, h, true)
	})
}
