package inproc

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Table finds objects by the numbers that C keeps for them. Reading takes no lock. The zero Table is ready to use, by any
// goroutine.
type Table[T any] struct {
	mu   sync.Mutex // of writers
	all  atomic.Pointer[map[uint32]T]
	last uint32
}

// Get returns the object of a number, or a zero one.
func (t *Table[T]) Get(id uint32) T { return t.All()[id] }

// All returns all objects by their numbers; it is not to be changed.
func (t *Table[T]) All() map[uint32]T {
	if all := t.all.Load(); all != nil {
		return *all
	}
	return nil
}

// Add gives an object a number, from 1 on, that no other has had; made, unless it is nil, is told it before others can find
// the object.
func (t *Table[T]) Add(v T, made func(id uint32)) (id uint32) {
	t.change(func(all map[uint32]T) {
		t.last++
		id = t.last
		if made != nil {
			made(id)
		}
		all[id] = v
	})
	return id
}

// Remove forgets an object and returns it, or a zero one.
func (t *Table[T]) Remove(id uint32) (v T) {
	t.change(func(all map[uint32]T) {
		v = all[id]
		delete(all, id)
	})
	return v
}

// Of returns the object of a number that C has chosen, which it makes at the first call.
func (t *Table[T]) Of(id uint32, make func() T) T {
	if v, ok := t.All()[id]; ok {
		return v
	}
	t.change(func(all map[uint32]T) {
		if _, ok := all[id]; !ok {
			all[id] = make()
		}
	})
	return t.Get(id)
}

// change works on a copy, so that readers never wait.
func (t *Table[T]) change(f func(all map[uint32]T)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := maps.Clone(t.All())
	if all == nil {
		all = map[uint32]T{}
	}
	f(all)
	t.all.Store(&all)
}
