// Package perthread keeps what belongs to one of Envoy's threads where that thread finds it without a lock.
package perthread

import (
	"sync"
	"sync/atomic"
)

// Table is a T for each thread. The zero Table is ready to use, by any goroutine.
type Table[T any] struct {
	mu  sync.Mutex
	all atomic.Pointer[[]*T]
}

// Of returns the T of the thread with this index. The host counts threads from 0; the first call for one makes its T.
func (t *Table[T]) Of(index uint32) *T {
	if all := t.all.Load(); all != nil && int(index) < len(*all) {
		return (*all)[index]
	}
	return t.grow(index)
}

func (t *Table[T]) grow(index uint32) *T {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*T
	if old := t.all.Load(); old != nil {
		all = append(all, *old...)
	}
	for len(all) <= int(index) {
		all = append(all, new(T))
	}
	t.all.Store(&all)
	return all[index]
}

// Slots are the objects of one thread, which C knows by number; 0 is none. Only that thread may use them.
type Slots[S any] struct {
	all  []*S
	free []uint32
}

// At returns the object in a slot.
func (s *Slots[S]) At(slot uint32) *S { return s.all[slot-1] }

// Take returns a free slot, and the object in it: a zero one, or as it was when its slot was given back.
func (s *Slots[S]) Take() (slot uint32, object *S) {
	if n := len(s.free); n > 0 {
		slot = s.free[n-1]
		s.free = s.free[:n-1]
		return slot, s.all[slot-1]
	}
	object = new(S)
	s.all = append(s.all, object)
	return uint32(len(s.all)), object
}

// Give makes a slot free.
func (s *Slots[S]) Give(slot uint32) { s.free = append(s.free, slot) }
