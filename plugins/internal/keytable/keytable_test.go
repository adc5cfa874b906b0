package keytable

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestInUse(t *testing.T) {
	seeds := NewSeeds()
	table := New(Options[*int]{New: func() *int { return new(int) }})
	a := seeds.Hash([]byte("a"))
	first, second := table.Acquire(a), table.Acquire(a)
	if first != second {
		t.Error("two users of a key have different entries, want one")
	}
	if other := table.Acquire(seeds.Hash([]byte("b"))); other == first {
		t.Error("two keys have one entry, want two")
	}
	table.Release(first)
	if table.Acquire(a) != second {
		t.Error("the entry is forgotten although it is in use")
	}
	table.Release(second)
	table.Release(second)
	if n := table.Sweep(0); n != 1 {
		t.Errorf("%d entries, want 1: that of b", n)
	}
}

// Values that are not in use stay up to a bound, and those that are precious longer than others.
func TestIdle(t *testing.T) {
	var forgotten atomic.Int64
	next := 0
	table := New(Options[int]{
		New:  func() int { next++; return next },
		Idle: 640, Precious: func(v int) bool { return v <= 64 }, Forgotten: func(int) { forgotten.Add(1) },
	})
	key := func(i int) Key { return Key{uint64(i), 1} }
	for i := range 6400 {
		table.Release(table.Acquire(key(i)))
	}
	if n := table.Sweep(time.Hour); n != 640 || forgotten.Load() != 6400-640 {
		t.Errorf("%d entries stay and %d are forgotten, want 640 and %d", n, forgotten.Load(), 6400-640)
	}
	stayed := 0
	for i := range 64 {
		e := table.Acquire(key(i))
		if e.Value <= 64 {
			stayed++
		}
		table.Release(e)
	}
	if stayed < 48 {
		t.Errorf("%d of 64 precious values stay, want nearly all", stayed)
	}
	if n := table.Sweep(0); n != 0 {
		t.Errorf("%d entries after a sweep of all, want none", n)
	}
}

func TestParallel(t *testing.T) {
	table := New(Options[*atomic.Int64]{New: func() *atomic.Int64 { return new(atomic.Int64) }, Idle: 64})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				e := table.Acquire(Key{uint64(i*g) % 200, 0})
				if n := e.Value.Add(1); n > 8 {
					t.Errorf("%d users of a key at a time, want 8 at most", n)
				}
				e.Value.Add(-1)
				table.Release(e)
			}
		})
	}
	wg.Wait()
	if n := table.Sweep(time.Hour); n > 64 {
		t.Errorf("%d entries stay, want 64 at most", n)
	}
}

func BenchmarkAcquire(b *testing.B) {
	for _, idle := range []int{0, 1000} {
		b.Run(fmt.Sprint("idle ", idle), func(b *testing.B) {
			table := New(Options[*int]{New: func() *int { return nil }, Idle: idle})
			b.ReportAllocs()
			for b.Loop() {
				table.Release(table.Acquire(Key{1, 2}))
			}
		})
	}
}
