// Package keytable has what plugins know about the keys that requests have, such as how many of a key are in flight. It is
// there while requests use it, and a bounded number stays afterwards.
package keytable

import (
	"hash/maphash"
	"sync"
	"time"
)

// Key is a hash of a key with seeds that clients do not know, so that they can neither make keys collide nor make them long.
type Key [2]uint64

// Seeds are those of a table's keys.
type Seeds [2]maphash.Seed

// NewSeeds makes seeds.
func NewSeeds() Seeds { return Seeds{maphash.MakeSeed(), maphash.MakeSeed()} }

// Hash returns the hash of a key.
func (s *Seeds) Hash(key []byte) Key { return Key{maphash.Bytes(s[0], key), maphash.Bytes(s[1], key)} }

// Options say what a table does with its values. The functions are called with a part of the table locked.
type Options[V any] struct {
	// New makes the value of a key.
	New func() V
	// Idle is about how many values stay that are not in use; with 0 none does.
	Idle int
	// Precious reports whether a value that is not in use should stay rather than others; nil: all are alike.
	Precious func(v V) bool
	// Forgotten is called when a value that stayed goes; it may be nil.
	Forgotten func(v V)
}

// Table has a value for each key. Its methods may be called from any goroutine.
type Table[V any] struct {
	o      Options[V]
	idle   int // of a shard
	shards [64]shard[V]
}

type shard[V any] struct {
	mu      sync.Mutex
	entries map[Key]*Entry[V]
	idle    int
}

// Entry is a key with its value.
type Entry[V any] struct {
	// Value is what New has made.
	Value V

	key   Key
	users int
	used  time.Time // when the last user released it
}

// New makes an empty table.
func New[V any](o Options[V]) *Table[V] {
	t := &Table[V]{o: o}
	t.idle = (o.Idle + len(t.shards) - 1) / len(t.shards)
	return t
}

func (t *Table[V]) shard(key Key) *shard[V] { return &t.shards[key[0]%uint64(len(t.shards))] }

// Acquire returns the entry of a key. Every Acquire needs a Release.
func (t *Table[V]) Acquire(key Key) *Entry[V] {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if e == nil {
		e = &Entry[V]{Value: t.o.New(), key: key}
		if s.entries == nil {
			s.entries = map[Key]*Entry[V]{}
		}
		s.entries[key] = e
	} else if e.users == 0 {
		s.idle--
	}
	e.users++
	return e
}

// Release ends a use of an entry.
func (t *Table[V]) Release(e *Entry[V]) {
	s := t.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.users--; e.users > 0 {
		return
	}
	if t.idle == 0 {
		delete(s.entries, e.key)
		return
	}
	e.used = time.Now()
	if s.idle++; s.idle > t.idle {
		t.forget(s, t.worst(s))
	}
}

// worst returns one of a few entries that are not in use, by chance: one that is not precious, if there is one.
func (t *Table[V]) worst(s *shard[V]) (found *Entry[V]) {
	const few = 8
	seen := 0
	for _, e := range s.entries { // in random order
		if e.users > 0 {
			continue
		}
		if found = e; t.o.Precious == nil || !t.o.Precious(e.Value) {
			return found
		}
		if seen++; seen == few {
			break
		}
	}
	return found
}

func (t *Table[V]) forget(s *shard[V], e *Entry[V]) {
	delete(s.entries, e.key)
	s.idle--
	if t.o.Forgotten != nil {
		t.o.Forgotten(e.Value)
	}
}

// Sweep forgets what was not in use for a time, and returns how many entries there are.
func (t *Table[V]) Sweep(unused time.Duration) (entries int) {
	before := time.Now().Add(-unused)
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for _, e := range s.entries {
			if e.users == 0 && e.used.Before(before) {
				t.forget(s, e)
			}
		}
		entries += len(s.entries)
		s.mu.Unlock()
	}
	return entries
}
