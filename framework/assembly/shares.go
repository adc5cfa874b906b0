package assembly

import (
	"sync"

	"mosn.io/moe/framework/internal/refs"
)

// share is the part of a value that is made once for a key, used by many, and ended by the last.
type share struct {
	key   digest
	refs  refs.Count
	ready chan struct{} // closed once the value, or err, is there
	err   error
}

func (s *share) shared() *share { return s }

// shares are the values of one kind that are in use.
type shares[T interface{ shared() *share }] struct {
	mu sync.Mutex
	m  map[digest]T
}

func newShares[T interface{ shared() *share }]() *shares[T] { return &shares[T]{m: map[digest]T{}} }

// lives reports whether there is a value for key.
func (t *shares[T]) lives(key digest) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.m[key]
	return ok
}

// acquire returns the value of a key. The first that asks for one makes it of fresh by start; the others wait for that.
// A value whose start fails or panics is forgotten. Every successful acquire needs a release.
func (t *shares[T]) acquire(key digest, fresh T, start func() error) (T, error) {
	t.mu.Lock()
	if x, ok := t.m[key]; ok && x.shared().refs.Acquire() {
		t.mu.Unlock()
		s := x.shared()
		<-s.ready
		return x, s.err
	}
	s := fresh.shared()
	s.key, s.ready, s.err = key, make(chan struct{}), errNotStarted
	t.m[key] = fresh
	t.mu.Unlock()
	defer func() {
		if s.err != nil {
			t.remove(fresh)
		}
		close(s.ready)
	}()
	s.err = start()
	return fresh, s.err
}

// release drops a reference, and reports whether it was the last: then the value is the caller's to end.
func (t *shares[T]) release(x T) (last bool) {
	if !x.shared().refs.Release() {
		return false
	}
	t.remove(x)
	return true
}

func (t *shares[T]) remove(x T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := x.shared()
	if now, ok := t.m[s.key]; ok && now.shared() == s {
		delete(t.m, s.key)
	}
}

// all returns the values that there are.
func (t *shares[T]) all() []T {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]T, 0, len(t.m))
	for _, x := range t.m {
		list = append(list, x)
	}
	return list
}
