package jwtauth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// cache remembers tokens that were verified, by their SHA-256, so that it holds no token. It has a bounded number of
// entries: those that were not asked for of late make room (CLOCK).
type cache struct {
	shards [16]shard
}

type shard struct {
	mu    sync.Mutex
	index map[[sha256.Size]byte]int
	slots []slot
	hand  int
	size  int
}

type slot struct {
	sum  [sha256.Size]byte
	id   *identity
	used bool
}

func newCache(size int) *cache {
	c := &cache{}
	for i := range c.shards {
		n := size / len(c.shards)
		if i < size%len(c.shards) {
			n++
		}
		c.shards[i].size = n
		c.shards[i].index = make(map[[sha256.Size]byte]int)
	}
	return c
}

func (c *cache) of(sum *[sha256.Size]byte) *shard { return &c.shards[sum[0]%uint8(len(c.shards))] }

// get returns who a token is for, if it is still good.
func (c *cache) get(sum *[sha256.Size]byte, now time.Time) *identity {
	s := c.of(sum)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.index[*sum]
	if !ok || !s.slots[i].id.good(now) {
		return nil
	}
	s.slots[i].used = true
	return s.slots[i].id
}

// put remembers a token.
func (c *cache) put(sum *[sha256.Size]byte, id *identity) {
	s := c.of(sum)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.index[*sum]; ok {
		s.slots[i].id = id
		return
	}
	switch {
	case s.size == 0:
		return
	case len(s.slots) < s.size:
		s.index[*sum] = len(s.slots)
		s.slots = append(s.slots, slot{sum: *sum, id: id})
		return
	}
	for s.slots[s.hand].used {
		s.slots[s.hand].used = false
		s.hand = (s.hand + 1) % len(s.slots)
	}
	delete(s.index, s.slots[s.hand].sum)
	s.index[*sum] = s.hand
	s.slots[s.hand] = slot{sum: *sum, id: id}
	s.hand = (s.hand + 1) % len(s.slots)
}

// len returns how many tokens are remembered.
func (c *cache) len() (n int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += len(s.index)
		s.mu.Unlock()
	}
	return n
}
