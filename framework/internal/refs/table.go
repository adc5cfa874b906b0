package refs

import (
	"errors"
	"slices"
	"sync"
)

// ErrNotMade is the error of a caller that has waited for a value whose making panicked.
var ErrNotMade = errors.New("what is shared was not made")

// Share is the part of a value that is made once for a key, used by many, and ended by the last. It is embedded.
type Share[K comparable] struct {
	key   K
	refs  Count
	ready chan struct{} // closed once the value, or err, is there
	err   error
}

func (s *Share[K]) share() *Share[K] { return s }

// Table has the values of one kind that are in use. The zero Table is empty.
type Table[K comparable, T interface{ share() *Share[K] }] struct {
	mu sync.Mutex
	m  map[K]T
}

// Lives reports whether there is a value for key.
func (t *Table[K, T]) Lives(key K) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.m[key]
	return ok
}

// Acquire returns the value of a key. The first that asks for one makes it of fresh by start; the others wait for that.
// A value whose start fails or panics is forgotten. Every successful acquire needs a release.
func (t *Table[K, T]) Acquire(key K, fresh T, start func() error) (T, error) {
	t.mu.Lock()
	if x, ok := t.m[key]; ok && x.share().refs.Acquire() {
		t.mu.Unlock()
		s := x.share()
		<-s.ready
		return x, s.err
	}
	s := fresh.share()
	s.key, s.ready, s.err = key, make(chan struct{}), ErrNotMade
	if t.m == nil {
		t.m = map[K]T{}
	}
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

// Release drops a reference, and reports whether it was the last: then the value is the caller's to end.
func (t *Table[K, T]) Release(x T) (last bool) {
	if !x.share().refs.Release() {
		return false
	}
	t.remove(x)
	return true
}

func (t *Table[K, T]) remove(x T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := x.share()
	if now, ok := t.m[s.key]; ok && now.share() == s {
		delete(t.m, s.key)
	}
}

// Ready returns the values that there are, but for those that are still being made.
func (t *Table[K, T]) Ready() []T {
	all := t.All()
	return slices.DeleteFunc(all, func(x T) bool {
		select {
		case <-x.share().ready:
			return x.share().err != nil
		default:
			return true
		}
	})
}

// All returns the values that there are.
func (t *Table[K, T]) All() []T {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]T, 0, len(t.m))
	for _, x := range t.m {
		list = append(list, x)
	}
	return list
}
