package conformance

import (
	"sync"
	"time"
)

// Reloads are when listeners were replaced. Envoy closes what is open on an old one when its time to drain is over, be a
// request on it old or new. Any goroutine may use it.
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

// Closed reports whether Envoy may have closed a listener just before t: one that was replaced less than within ago.
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
