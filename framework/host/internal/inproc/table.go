package inproc

import (
	"cmp"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
)

// Table finds objects by the numbers that C keeps for them. Reading takes no lock. The zero Table is ready to use, by any
// goroutine.
type Table[T any] struct {
	mu   sync.Mutex // of writers
	all  atomic.Pointer[[]row[T]]
	last uint32
}

type row[T any] struct {
	id     uint32
	object T
}

// rows are in the order of their numbers.
func (t *Table[T]) rows() []row[T] {
	if all := t.all.Load(); all != nil {
		return *all
	}
	return nil
}

func find[T any](rows []row[T], id uint32) (at int, ok bool) {
	if inPlace(rows, id) {
		return int(id) - 1, true
	}
	return slices.BinarySearchFunc(rows, id, func(r row[T], id uint32) int { return cmp.Compare(r.id, id) })
}

// inPlace reports whether the object of a number stands where it does unless one before it was removed.
func inPlace[T any](rows []row[T], id uint32) bool {
	return id != 0 && int(id) <= len(rows) && rows[id-1].id == id
}

// Get returns the object of a number, or a zero one.
func (t *Table[T]) Get(id uint32) (object T) {
	rows := t.rows()
	if inPlace(rows, id) {
		return rows[id-1].object
	}
	if at, ok := find(rows, id); ok {
		return rows[at].object
	}
	return object
}

// All returns the objects that are there now.
func (t *Table[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, r := range t.rows() {
			if !yield(r.object) {
				return
			}
		}
	}
}

// Add gives an object a number, from 1 on, that no other has had; made, unless it is nil, gets the number before others can
// find the object.
func (t *Table[T]) Add(object T, made func(id uint32)) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	if made != nil {
		made(t.last)
	}
	t.store(append(slices.Clone(t.rows()), row[T]{t.last, object}))
	return t.last
}

// Remove forgets an object and returns it, or a zero one.
func (t *Table[T]) Remove(id uint32) (object T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rows := t.rows()
	at, ok := find(rows, id)
	if !ok {
		return object
	}
	t.store(slices.Delete(slices.Clone(rows), at, at+1))
	return rows[at].object
}

// Of returns the object of a number, from 1 on, that C has chosen. Where there is none yet it makes one, by make.
func (t *Table[T]) Of(id uint32, make func(id uint32) T) T {
	if rows := t.rows(); inPlace(rows, id) {
		return rows[id-1].object
	}
	return t.made(id, make)
}

func (t *Table[T]) made(id uint32, make func(id uint32) T) T {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := find(t.rows(), id)
	if !ok {
		t.store(slices.Insert(slices.Clone(t.rows()), at, row[T]{id, make(id)}))
	}
	return t.rows()[at].object
}

// store puts a changed copy in the place of the rows, so that readers never wait. mu is held.
func (t *Table[T]) store(rows []row[T]) { t.all.Store(&rows) }
