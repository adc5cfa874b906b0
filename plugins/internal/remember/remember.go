// Package remember keeps what was found out about credentials, in a bounded number of entries.
package remember

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// Key stands for a credential: a sum, so that no cache holds one.
type Key [sha256.Size]byte

// Salt makes keys that are of no use outside of this process. Without one, a sum of a password could be guessed.
type Salt [32]byte

// NewSalt returns a salt of chance.
func NewSalt() (s Salt) {
	rand.Read(s[:]) // it never fails
	return s
}

// Key returns the key of parts: other parts, or the same text parted otherwise, have another one.
func (s *Salt) Key(parts ...string) (k Key) {
	h := sha256.New()
	h.Write(s[:])
	var length [8]byte
	for _, p := range parts {
		binary.LittleEndian.PutUint64(length[:], uint64(len(p)))
		h.Write(length[:])
		h.Write([]byte(p))
	}
	h.Sum(k[:0])
	return k
}

// Cache holds values by keys. When it is full, those that were not asked for of late make room (CLOCK). It may be used from
// any goroutine.
type Cache[V any] struct {
	shards [16]shard[V]
}

type shard[V any] struct {
	mu    sync.Mutex
	index map[Key]int
	slots []slot[V]
	hand  int
	size  int
}

type slot[V any] struct {
	key   Key
	value V
	used  bool
}

// NewCache returns a cache of at most size entries; 0 holds none.
func NewCache[V any](size int) *Cache[V] {
	c := &Cache[V]{}
	for i := range c.shards {
		n := size / len(c.shards)
		if i < size%len(c.shards) {
			n++
		}
		c.shards[i].size = n
		c.shards[i].index = make(map[Key]int)
	}
	return c
}

func (c *Cache[V]) of(k *Key) *shard[V] { return &c.shards[k[0]%uint8(len(c.shards))] }

// Get returns the value of a key if good, asked under the cache's lock, says that it still is.
func (c *Cache[V]) Get(k *Key, good func(V) bool) (v V, ok bool) {
	s := c.of(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.index[*k]
	if !ok || !good(s.slots[i].value) {
		return v, false
	}
	s.slots[i].used = true
	return s.slots[i].value, true
}

// Put remembers a value, in place of one that the key had.
func (c *Cache[V]) Put(k *Key, v V) {
	s := c.of(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.index[*k]; ok {
		s.slots[i].value = v
		return
	}
	switch {
	case s.size == 0:
		return
	case len(s.slots) < s.size:
		s.index[*k] = len(s.slots)
		s.slots = append(s.slots, slot[V]{key: *k, value: v})
		return
	}
	for s.slots[s.hand].used {
		s.slots[s.hand].used = false
		s.hand = (s.hand + 1) % len(s.slots)
	}
	delete(s.index, s.slots[s.hand].key)
	s.index[*k] = s.hand
	s.slots[s.hand] = slot[V]{key: *k, value: v}
	s.hand = (s.hand + 1) % len(s.slots)
}

// Len returns how many values are remembered.
func (c *Cache[V]) Len() (n int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += len(s.index)
		s.mu.Unlock()
	}
	return n
}
