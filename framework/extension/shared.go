package extension

import (
	"io"
	"sync"

	"mosn.io/moe/framework/internal/refs"
)

// Shared has values that several configurations of the process use at once, such as a file that all of them append to:
// each is made for its first user and closed after its last. Instances with the same configuration are one instance
// already; Shared is for what is the same in different ones. A package keeps it in a variable. The zero Shared is empty.
// Its methods may be called from any goroutine.
type Shared[K comparable, V io.Closer] struct {
	mu      sync.Mutex
	closing map[K]<-chan struct{} // by key: closed when the latest value to be closed is
	values  refs.Table[K, *sharedValue[K, V]]
}

type sharedValue[K comparable, V io.Closer] struct {
	refs.Share[K]
	v V
}

// Acquire returns the value of a key, usually in Provision. The first caller makes it; others wait for that and get the
// same. If make fails, they all get its error, and the next caller tries again.
//
// The caller releases the value by the function that it gets, usually in the configuration's Close. The last release
// closes the value and returns the error of that; only then is another made for the key. Further calls do nothing and
// return what the first has returned.
func (s *Shared[K, V]) Acquire(key K, make func() (V, error)) (v V, release func() error, err error) {
	fresh := &sharedValue[K, V]{}
	x, err := s.values.Acquire(key, fresh, func() (err error) {
		s.mu.Lock()
		closing := s.closing[key]
		s.mu.Unlock()
		if closing != nil {
			<-closing
		}
		fresh.v, err = make()
		return err
	})
	if err != nil {
		return v, nil, err
	}
	return x.v, sync.OnceValue(func() error { return s.release(key, x) }), nil
}

func (s *Shared[K, V]) release(key K, x *sharedValue[K, V]) error {
	// A caller that finds x released waits for s.mu, and then for closed.
	s.mu.Lock()
	if !s.values.Release(x) {
		s.mu.Unlock()
		return nil
	}
	closed := make(chan struct{})
	if s.closing == nil {
		s.closing = map[K]<-chan struct{}{}
	}
	s.closing[key] = closed
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closing[key] == closed {
			delete(s.closing, key)
		}
		close(closed)
	}()
	return x.v.Close()
}
