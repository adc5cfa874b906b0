package ratelimit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

var perHour = &Rule{Name: "x", Limit: 10, Per: time.Hour, algorithm: newBucket(10, 10, time.Hour)}

func keyOf(r *rand.Rand) [2]uint64 { return [2]uint64{r.Uint64(), r.Uint64()} }

func (t *table) keys(now int64) (n int) {
	for i := range t.shards {
		n += t.shards[i].sweep(now)
	}
	return n
}

// As many keys as there may be are remembered, each with its own count.
func TestTableRemembers(t *testing.T) {
	for _, most := range []int{16, 1000, 100_000} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			tab := newTable(most)
			evicted := 0
			for pass := range 3 {
				r := rand.New(rand.NewPCG(1, 2))
				for i := range most {
					c := claim{rule: perHour, cost: 1, key: keyOf(r)}
					if tab.take(&c, 1) {
						evicted++
					}
					if want := int64(9 - pass); c.remaining != want && evicted == 0 {
						t.Fatalf("key %d, request %d: %d are left, want %d", i, pass, c.remaining, want)
					}
				}
			}
			if evicted > most/200 {
				t.Errorf("%d of %d keys had to go", evicted, most)
			}
		})
	}
}

// A flood of keys takes no more memory than is allowed, and does not make a key at its limit forgotten.
func TestTableFlood(t *testing.T) {
	const most = 10_000
	tab := newTable(most)
	r := rand.New(rand.NewPCG(3, 4))
	spent := make([][2]uint64, 100)
	for i := range spent {
		spent[i] = keyOf(r)
		c := claim{rule: perHour, cost: 10, key: spent[i]}
		tab.take(&c, 1)
	}
	evicted := 0
	for range 20 * most {
		c := claim{rule: perHour, cost: 1, key: keyOf(r)}
		if tab.take(&c, 1) {
			evicted++
		}
	}
	if keys := tab.keys(1); keys > most*3/2 || evicted == 0 {
		t.Errorf("%d keys are remembered, want about %d; %d had to go, want some", keys, most, evicted)
	}
	for i, key := range spent {
		c := claim{rule: perHour, cost: 1, key: key}
		if tab.take(&c, 1); c.ok {
			t.Errorf("key %d was at its limit and may go on", i)
		}
	}
	if keys := tab.keys(1 + int64(time.Hour)); keys != 0 {
		t.Errorf("%d keys are remembered after an hour, want 0", keys)
	}
	for i := range tab.shards {
		if tab.shards[i].slots != nil {
			t.Fatalf("shard %d keeps memory for no key", i)
		}
	}
}

func TestTableShrinks(t *testing.T) {
	tab := newTable(100_000)
	r := rand.New(rand.NewPCG(5, 6))
	long := &Rule{algorithm: newBucket(1, 1, 24*time.Hour)}
	var kept [][2]uint64
	for i := range 50_000 {
		c := claim{rule: perHour, cost: 1, key: keyOf(r)}
		if i%100 == 0 {
			c.rule = long
			kept = append(kept, c.key)
		}
		tab.take(&c, 1)
	}
	before := tab.slots()
	if keys := tab.keys(1 + int64(time.Hour)); keys != len(kept) || tab.slots() > before/4 {
		t.Errorf("%d keys in %d slots of %d, want %d in a quarter at most", keys, tab.slots(), before, len(kept))
	}
	for _, key := range kept {
		c := claim{rule: long, cost: 1, key: key}
		if tab.take(&c, 1+int64(time.Hour)); c.ok {
			t.Fatal("a count is lost when memory is given back")
		}
	}
}

func (t *table) slots() (n int) {
	for i := range t.shards {
		n += len(t.shards[i].slots)
	}
	return n
}

func TestTableParallel(t *testing.T) {
	tab := newTable(1000)
	rule := &Rule{algorithm: newBucket(1000, 1000, time.Hour)}
	key := [2]uint64{1, 2}
	var wg sync.WaitGroup
	var passed [8]int
	for g := range passed {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(g)))
			for range 500 {
				c := claim{rule: rule, cost: 1, key: key}
				if tab.take(&c, 1); c.ok {
					passed[g]++
				}
				other := claim{rule: rule, cost: 1, key: keyOf(r)}
				tab.take(&other, 1)
				tab.giveBack(&other, 1)
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range passed {
		sum += n
	}
	if sum != 1000 {
		t.Errorf("%d pass, want 1000", sum)
	}
}

// instrumented is whether the race detector is compiled in, with which nothing takes the time that it takes.
var instrumented bool

// With a million keys: what a key takes, how long the longest call takes while the table grows, and while it is swept.
func TestMillionKeys(t *testing.T) {
	keys := 1_000_000
	if instrumented {
		keys /= 20
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	var tab *table
	r := rand.New(rand.NewPCG(8, 9))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slowest := time.Hour
	for try := 0; try < 3 && slowest > 5*time.Millisecond; try++ { // a call that is slow by itself is so in each attempt
		tab = newTable(keys)
		longest := time.Duration(0)
		for range keys {
			c := claim{rule: perHour, cost: 1, key: keyOf(r)}
			start := threadCPU()
			tab.take(&c, 1)
			longest = max(longest, threadCPU()-start)
		}
		slowest = min(slowest, longest)
	}
	each := float64(heap()-before) / float64(keys)
	start := threadCPU()
	if tab.shards[0].sweep(1) == 0 {
		t.Error("the shard has no keys")
	}
	shard := threadCPU() - start
	found := tab.keys(1)
	t.Logf("%d keys: %.0f bytes each, longest call %v, sweep of a shard %v", found, each, slowest, shard)
	if found < keys*99/100 || each > 80 {
		t.Errorf("%d keys of %.0f bytes, want %d of 80 at most", found, each, keys)
	}
	if !instrumented && (slowest > 5*time.Millisecond || shard > 5*time.Millisecond) {
		t.Errorf("the longest call took %v, the sweep of a shard %v, want 5ms at most", slowest, shard)
	}
	runtime.KeepAlive(tab)
}

func TestSweepEnds(t *testing.T) {
	p := &RateLimit{table: newTable(16), now: monotonic}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.sweep(ctx)
	}()
	cancel()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("sweep goes on after its context is cancelled")
	}
}

func BenchmarkTake(b *testing.B) {
	for _, keys := range []int{1, 1_000_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			tab := newTable(1_000_000)
			all := make([][2]uint64, keys)
			r := rand.New(rand.NewPCG(1, 1))
			for i := range all {
				all[i] = keyOf(r)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c := claim{rule: perHour, cost: 1, key: all[i%keys]}
				tab.take(&c, 1)
				i++
			}
		})
	}
}
