package inproc

import "sync/atomic"

// Thread is what other goroutines may know of one of Envoy's threads.
type Thread struct {
	depth int           // of crossings on the stack; the thread's own
	at    atomic.Uint64 // odd: in Go
}

// Enter begins a crossing from C into Go on this thread, which Leave ends: it returns t, to be deferred in one line.
func (t *Thread) Enter() *Thread {
	if t.depth++; t.depth == 1 {
		t.at.Add(1)
	}
	return t
}

// Leave ends a crossing.
func (t *Thread) Leave() {
	if t.depth--; t.depth == 0 {
		t.at.Add(1)
	}
}

// position numbers the times that a thread is in Go, and out of it, in turn.
type position uint64

func (p position) inside() bool { return p%2 == 1 }

func (t *Thread) position() position { return position(t.at.Load()) }
