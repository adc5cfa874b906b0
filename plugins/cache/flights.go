package cache

import (
	"context"
	"sync"
	"time"
)

// flights are the requests on their way to the upstream whose responses others wait for.
type flights struct {
	mu sync.Mutex
	m  map[digest]*flight
}

type flight struct {
	key    digest
	landed chan struct{} // closed when the response is stored, or is not going to be
}

// join returns the flight of a key, and whether the caller has begun it and has to land it.
func (f *flights) join(key digest) (fl *flight, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl = f.m[key]; fl != nil {
		return fl, false
	}
	fl = &flight{key: key, landed: make(chan struct{})}
	f.m[key] = fl
	return fl, true
}

// land ends a flight; once it has, it does nothing.
func (f *flights) land(fl *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.m[fl.key] == fl {
		delete(f.m, fl.key)
		close(fl.landed)
	}
}

// wait waits for the end of a flight, for a bounded time.
func (fl *flight) wait(ctx context.Context, most time.Duration) {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-fl.landed:
	case <-t.C:
	case <-ctx.Done():
	}
}
