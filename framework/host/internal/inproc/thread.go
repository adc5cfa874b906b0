package inproc

import (
	"log/slog"
	"sync/atomic"
)

// Thread is what other goroutines may know of one of Envoy's threads.
type Thread struct {
	depth int           // of crossings on the stack; the thread's own
	at    atomic.Uint64 // odd: in Go
}

// Cross runs f: all that Go does in one crossing from C on this thread. Where f panics, that is a fault of the framework,
// as plugins' panics are caught where plugins are called: it is logged and goes no further, and after runs.
func (t *Thread) Cross(to slog.Handler, f, after func()) {
	t.enter()
	returned := false
	defer func() {
		if returned {
			t.leave()
			return
		}
		defer t.leave()
		fence(to, "framework panic", recover(), after)
	}()
	f()
	returned = true
}

func (t *Thread) enter() {
	if t.depth++; t.depth == 1 {
		t.at.Add(1)
	}
}

func (t *Thread) leave() {
	if t.depth--; t.depth == 0 {
		t.at.Add(1)
	}
}

// position numbers the times that a thread is in Go, and out of it, in turn.
type position uint64

func (p position) inside() bool { return p%2 == 1 }

func (t *Thread) position() position { return position(t.at.Load()) }
