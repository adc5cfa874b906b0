package limitreq

import (
	"fmt"
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
	for _, c := range []struct {
		after time.Duration
		wait  float64
	}{
		{0, 0},
		{0, 0},
		{0, 0.1},
		{50 * time.Millisecond, 0.05},
		{100 * time.Millisecond, 0},
		{time.Hour, 0},
		{time.Hour, 0},
		{time.Hour, 0.1},
		{time.Second, 0.1},
	} {
		if wait := p.take(start.Add(c.after)); math.Abs(wait-c.wait) > 1e-6 {
			t.Errorf("after %v: %v, want %v", c.after, wait, c.wait)
		}
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
	for i, p := range []*LimitReq{{Burst: 1}, {Rate: -1, Burst: 1}, {Rate: math.NaN(), Burst: 1}, {Rate: 1, Burst: 0.5}} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if new(filtertest.Host).Load(t, p) == nil {
				t.Errorf("rate %v, burst %v is accepted", p.Rate, p.Burst)
			}
		})
	}
}
