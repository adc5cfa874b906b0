package inproc

import "sync"

// Once remembers what has been said, so that it is said once for each key. The zero Once is ready to use, by any goroutine.
type Once[K comparable] struct {
	mu   sync.Mutex
	said map[K]bool
}

// First reports whether this is the first call for key.
func (o *Once[K]) First(key K) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.said[key] {
		return false
	}
	if o.said == nil {
		o.said = map[K]bool{}
	}
	o.said[key] = true
	return true
}

// Forget makes the next call for key the first.
func (o *Once[K]) Forget(key K) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.said, key)
}
