package chain_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// interleave runs one random stream and returns what was wrong with it.
func interleave(seed uint64) []string {
	r := rand.New(rand.NewPCG(seed, 1))
	h := &strict{method: []string{"POST", "POST", "GET", "HEAD"}[r.IntN(4)]}
	var ps []chain.Plugin
	var all []*chaos
	never := r.IntN(60) == 0
	for i := range r.IntN(5) {
		c := chaos{seed: seed*31 + uint64(i), rare: []int{4, 15, 1000}[r.IntN(3)], never: never, h: h}
		p := chain.Plugin{Name: fmt.Sprint("p", i)}
		if r.IntN(3) == 0 {
			s := &slim{}
			s.seed, s.rare, s.h = c.seed, c.rare, h
			p.Reg, p.Config, all = filter.Lookup("slim"), s, append(all, &s.chaos)
		} else {
			f := &chaos{seed: c.seed, rare: c.rare, never: never, h: h}
			p.Reg, p.Config, all = filter.Lookup("chaos"), f, append(all, f)
		}
		ps = append(ps, p)
	}
	for di := range core.Directions {
		if n := []int{0, 5, 60, 200}[r.IntN(4)]; h.method != "HEAD" || di == 0 {
			h.input[di] = make([]byte, n)
			for i := range n {
				h.input[di][i] = byte('a' + r.IntN(26))
			}
		}
		h.trails[di] = r.IntN(4) == 0 && h.method != "HEAD"
	}
	if r.IntN(4) == 0 {
		h.limit = 50
	}
	o := chain.Options{Misuse: func(p, what string) {
		if !strings.Contains(what, "chaos") && !strings.Contains(what, "Goexit") && !strings.Contains(what, "answer within") {
			h.bug("%s %s", p, what)
		}
	}}
	if never {
		o.Timeout = 2 * time.Millisecond
	}
	c := chain.New(ps, o)
	h.st = c.Start(h, h)
	watched := &pairs{h: h}
	if seed%2 == 0 {
		h.st.Observer = watched
		if seed%4 == 0 {
			h.st.ObserveHeaders()
		}
	}
	h.drive(r, c, [2][]func(){h.script(r, 0), h.script(r, 1)})
	for range 3 { // what comes late
		for h.post(r) {
		}
		runtime.Gosched()
	}
	if seed%2 == 0 && !watched.ended {
		h.bug("the observer did not learn of the end")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, c := range all {
		if n := c.completed.Load(); n != 1 {
			h.bugs = append(h.bugs, fmt.Sprintf("plugin %d completed %d times", i, n))
		}
	}
	return h.bugs
}

// TestInterleavings drives random chains over random streams, many at a time because most of them wait.
func TestInterleavings(t *testing.T) {
	n := uint64(40000)
	if testing.Short() || raceEnabled {
		n = 5000
	}
	var failed atomic.Bool
	defer chain.SetMaxUnflushed(48)()
	defer chain.VerifyStreams(func(what string) { t.Errorf("a stream contradicts itself: %s", what); failed.Store(true) })()
	const workers = 32
	var wg sync.WaitGroup
	for w := range uint64(workers) {
		wg.Go(func() {
			for seed := w; seed < n && !failed.Load(); seed += workers {
				if bugs := interleave(seed); len(bugs) > 0 {
					failed.Store(true)
					t.Errorf("seed %d: %s", seed, strings.Join(bugs, "\n"))
				}
			}
		})
	}
	wg.Wait()
}

// FuzzInterleavings looks for more of them.
func FuzzInterleavings(f *testing.F) {
	f.Add(uint64(1))
	var wrong atomic.Value
	defer chain.VerifyStreams(func(what string) { wrong.Store(what) })()
	f.Fuzz(func(t *testing.T, seed uint64) {
		defer func() {
			if what := wrong.Load(); what != nil {
				t.Errorf("seed %d: %s", seed, what)
			}
		}()
		if bugs := interleave(seed); len(bugs) > 0 {
			t.Errorf("seed %d: %s", seed, strings.Join(bugs, "\n"))
		}
	})
}
