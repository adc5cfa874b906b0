package tempdir

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTurn(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())

	t.Run("one at a time", func(t *testing.T) {
		var at, most atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				done, err := Turn(t.Context(), "start")
				if err != nil {
					t.Errorf("Turn: %v", err)
					return
				}
				most.Store(max(most.Load(), at.Add(1)))
				time.Sleep(time.Millisecond)
				at.Add(-1)
				done()
			})
		}
		all.Wait()
		if most.Load() != 1 {
			t.Errorf("up to %d had a turn at once, want 1", most.Load())
		}
	})
	t.Run("other names are other turns", func(t *testing.T) {
		a, err := Turn(t.Context(), "a")
		if err != nil {
			t.Fatalf("Turn: %v", err)
		}
		defer a()
		b, err := Turn(t.Context(), "b")
		if err != nil {
			t.Fatalf("Turn of another name: %v", err)
		}
		b()
	})
	t.Run("the wait ends with its context", func(t *testing.T) {
		done, err := Turn(t.Context(), "start")
		if err != nil {
			t.Fatalf("Turn: %v", err)
		}
		defer done()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Turn(ctx, "start"); !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want %v", err, context.Canceled)
		}
	})
}
