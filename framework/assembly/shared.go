package assembly

import "sync"

// share is the part of a value that is made once for a key, used by many, and ended by the last.
type share struct {
	key   digest
	refs  int           // guarded by the table's mu
	ready chan struct{} // closed once the value, or err, is there
	err   error
}

func (s *share) shared() *share { return s }

// shares are the values of a kind that are in use in this process.
type shares[T interface{ shared() *share }] struct {
	mu sync.Mutex
	m  map[digest]T
}

func (t *shares[T]) lives(key digest) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.m[key]
	return ok
}

// join returns the value of a key, with its error. The first who asks for one makes it with start, the others wait for
// that; one that has failed is forgotten. Who gets one without an error leaves it.
func (t *shares[T]) join(key digest, fresh T, start func() error) (T, error) {
	t.mu.Lock()
	if x, ok := t.m[key]; ok {
		s := x.shared()
		s.refs++
		t.mu.Unlock()
		<-s.ready
		return x, s.err
	}
	s := fresh.shared()
	*s = share{key: key, refs: 1, ready: make(chan struct{})}
	t.m[key] = fresh
	t.mu.Unlock()
	if s.err = start(); s.err != nil {
		t.mu.Lock()
		delete(t.m, key)
		t.mu.Unlock()
	}
	close(s.ready)
	return fresh, s.err
}

// leave gives a reference back, and reports whether it was the last: then the value is the caller's to end.
func (t *shares[T]) leave(x T) (last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := x.shared()
	s.refs--
	if s.refs == 0 {
		delete(t.m, s.key)
	}
	return s.refs == 0
}
