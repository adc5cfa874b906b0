package refs

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestCount(t *testing.T) {
	var c Count
	if !c.Acquire() {
		t.Fatal("Acquire of a new Count reports false, want true")
	}
	if c.Release() {
		t.Error("Release of the second reference reports that it was the last")
	}
	if !c.Release() {
		t.Error("Release of the maker's reference does not report that it was the last")
	}
	if c.Acquire() {
		t.Error("Acquire after the last release reports true, want false")
	}
	defer func() {
		if recover() == nil {
			t.Error("a release too many does not panic")
		}
	}()
	c.Release()
}

// TestCountConcurrently has goroutines acquire and release while the maker releases: exactly one release is the last,
// and nobody acquires after it.
func TestCountConcurrently(t *testing.T) {
	for range 200 {
		var c Count
		var last, late atomic.Int32
		release := func() {
			if c.Release() {
				last.Add(1)
			}
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 50 {
					if !c.Acquire() {
						return
					}
					if last.Load() > 0 {
						late.Add(1)
					}
					release()
				}
			})
		}
		wg.Go(release)
		wg.Wait()
		if last.Load() != 1 || late.Load() != 0 {
			t.Fatalf("%d releases were the last, want 1; %d acquires after it, want 0", last.Load(), late.Load())
		}
	}
}
