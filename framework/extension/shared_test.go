package extension

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// opened counts how many of its kind are open.
type opened struct {
	open *atomic.Int64
	err  error
}

func (o *opened) Close() error {
	if n := o.open.Add(-1); n < 0 {
		return errors.New("closed more often than opened")
	}
	return o.err
}

func TestShared(t *testing.T) {
	var s Shared[string, *opened]
	var open atomic.Int64
	make := func() (*opened, error) { open.Add(1); return &opened{open: &open, err: errors.New("disk full")}, nil }
	acquire := func(key string) (*opened, func() error) {
		t.Helper()
		v, release, err := s.Acquire(key, make)
		if err != nil {
			t.Fatalf("Acquire(%q): %v", key, err)
		}
		return v, release
	}
	a1, release1 := acquire("a")
	a2, release2 := acquire("a")
	b, releaseB := acquire("b")
	if a1 != a2 || a1 == b {
		t.Errorf("got %p and %p for one key and %p for another, want two values", a1, a2, b)
	}
	if err := release1(); err != nil || open.Load() != 2 {
		t.Errorf("release of the first of two users: got error %v and %d open, want none and 2", err, open.Load())
	}
	if err := release1(); err != nil || open.Load() != 2 {
		t.Errorf("the first user's second release: got error %v and %d open, want none and 2", err, open.Load())
	}
	for range 2 {
		if err := release2(); err == nil || err.Error() != "disk full" || open.Load() != 1 {
			t.Errorf("release of the last user: got error %v and %d open, want Close's error and 1", err, open.Load())
		}
	}
	again, releaseAgain := acquire("a")
	if again == a1 {
		t.Error("after the last release: got the closed value, want another")
	}
	releaseAgain()
	releaseB()
	if open.Load() != 0 || len(s.values.All()) != 0 || len(s.closing) != 0 {
		t.Errorf("at the end: got %d open, values %v and closing %v, want none", open.Load(), s.values.All(), s.closing)
	}
}

func TestSharedFails(t *testing.T) {
	var s Shared[string, *opened]
	var open atomic.Int64
	for what, make := range map[string]func() (*opened, error){
		"an error": func() (*opened, error) { return nil, errors.New("no such file") },
		"a panic":  func() (*opened, error) { panic("oh") },
	} {
		t.Run(what, func(t *testing.T) {
			func() {
				defer func() { _ = recover() }()
				if _, release, err := s.Acquire("a", make); err == nil || release != nil {
					t.Errorf("Acquire: got error %v and a release %t, want an error alone", err, release != nil)
				}
			}()
			_, release, err := s.Acquire("a", func() (*opened, error) { open.Add(1); return &opened{open: &open}, nil })
			if err != nil {
				t.Fatalf("the next Acquire: %v", err)
			}
			if err := release(); err != nil {
				t.Errorf("release: %v", err)
			}
		})
	}
}

// TestSharedConcurrently has many users of two keys come and go: of each key at most one value is open at a time.
func TestSharedConcurrently(t *testing.T) {
	var s Shared[int, *opened]
	var open [2]atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			key := i % 2
			for range 200 {
				_, release, err := s.Acquire(key, func() (*opened, error) {
					if n := open[key].Add(1); n != 1 {
						t.Errorf("got %d values of a key open at once, want 1", n)
					}
					return &opened{open: &open[key]}, nil
				})
				if err != nil {
					t.Errorf("Acquire: %v", err)
					return
				}
				if i < 2 {
					time.Sleep(time.Microsecond)
				}
				if open[key].Load() != 1 {
					t.Error("a value is closed while it is in use")
				}
				if err := release(); err != nil {
					t.Errorf("release: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if open[0].Load() != 0 || open[1].Load() != 0 || len(s.closing) != 0 {
		t.Errorf("at the end: got %d and %d open, and %d closing, want none", open[0].Load(), open[1].Load(), len(s.closing))
	}
}
