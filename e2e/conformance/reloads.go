package conformance

import (
	"sync"
	"time"
)

// Reloads are the times at which listeners were replaced. When an old listener's drain time is over, Envoy closes its
// connections, even one whose request has just begun. Reloads may be used by any goroutine.
type Reloads struct {
	mu  sync.Mutex
	all []replacement
}

// replacement is the time that one takes: seconds, on a busy machine. Envoy replaces the listener at some moment of it.
type replacement struct{ begun, done time.Time }

// Replace runs f, which replaces a listener.
func (r *Reloads) Replace(f func() error) error {
	r.mu.Lock()
	at := len(r.all)
	r.all = append(r.all, replacement{begun: time.Now()})
	r.mu.Unlock()
	err := f()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[at].done = time.Now()
	return err
}

// Closed reports whether Envoy may have closed a listener just before t, since the replacement of one is under way or was
// done less than within before.
func (r *Reloads) Closed(t time.Time, within time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.all {
		if t.Sub(x.begun) > drainTime*9/10 && (x.done.IsZero() || t.Sub(x.done) < within) {
			return true
		}
	}
	return false
}

// Count returns how many listeners were replaced.
func (r *Reloads) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}
