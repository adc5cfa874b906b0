package conformance

import (
	"sync"
	"time"
)

// Reloads are the times at which listeners were replaced. When an old listener's drain time is over, Envoy closes its
// connections, even one whose request has just begun. Reloads may be used by any goroutine.
type Reloads struct {
	mu sync.Mutex
	at []time.Time
}

// Add notes that a listener was replaced at t.
func (r *Reloads) Add(t time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = append(r.at, t)
}

// Closed reports whether Envoy may have closed a listener just before t, since one was replaced less than within before.
func (r *Reloads) Closed(t time.Time, within time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, at := range r.at {
		if d := t.Sub(at); d > drainTime*9/10 && d < within {
			return true
		}
	}
	return false
}
