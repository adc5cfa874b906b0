package limitreq

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/framework/filtertest"
)

func TestLimitReq(t *testing.T) {
	p := &LimitReq{Rate: 0.5, Burst: 1}
	h := filtertest.New(t, p)
	if r := h.Get("/"); r.Status != 200 {
		t.Error("first", r.Status)
	}
	if r := h.Get("/"); r.Status != 429 || r.Header.Get("retry-after") != "2" || r.Upstream != nil {
		t.Error("second", r.Status, r.Header)
	}
	if filtertest.Value(p.limited) != 1 {
		t.Error("counted", filtertest.Value(p.limited))
	}
}

func TestRefill(t *testing.T) {
	start := time.Now()
	p := &LimitReq{Rate: 10, Burst: 2, tokens: 2, last: start}
	for _, step := range []struct {
		name  string
		after time.Duration
		want  float64
	}{
		{name: "the first token", after: 0, want: 0},
		{name: "the second token", after: 0, want: 0},
		{name: "no token", after: 0, want: 0.1},
		{name: "half a token later", after: 50 * time.Millisecond, want: 0.05},
		{name: "a token later", after: 100 * time.Millisecond, want: 0},
		{name: "an hour later", after: time.Hour, want: 0},
		{name: "an hour later, the second token", after: time.Hour, want: 0},
		{name: "an hour later, no token", after: time.Hour, want: 0.1},
		{name: "the clock set back", after: time.Second, want: 0.1},
	} {
		t.Run(step.name, func(t *testing.T) {
			if wait := p.take(start.Add(step.after)); math.Abs(wait-step.want) > 1e-6 {
				t.Errorf("take after %v: got %v s to wait, want %v", step.after, wait, step.want)
			}
		})
	}
}

func TestManyThreads(t *testing.T) {
	p := &LimitReq{Rate: 1e-9, Burst: 100}
	filtertest.New(t, p)
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if p.take(time.Now()) == 0 {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if passed.Load() != 100 {
		t.Errorf("passed.Load() = %d, want 100", passed.Load())
	}
}

func TestRefused(t *testing.T) {
	for name, p := range map[string]*LimitReq{
		"no rate": {Burst: 1}, "a negative rate": {Rate: -1, Burst: 1}, "a rate that is not a number": {Rate: math.NaN(), Burst: 1},
		"a burst of less than one": {Rate: 1, Burst: 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			if new(filtertest.Host).Load(t, p) == nil {
				t.Errorf("rate %v, burst %v is accepted", p.Rate, p.Burst)
			}
		})
	}
}
