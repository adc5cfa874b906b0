package ratelimit

import (
	"math/bits"
	"sync"
)

// table remembers the counts of a bounded number of keys. A key is the two halves of a hash whose seed clients do not
// know, so that they can neither make keys collide nor make them long.
//
// A key has two places, in buckets of eight slots, in a shard with a lock of its own. A slot whose count is forgotten is
// free. When all sixteen slots are taken the shard grows, up to its share of the bound. Beyond that, the count that would
// be forgotten first makes room: that of a key with few requests, and not one that is at its limit. Slots hold no
// pointers, so that the garbage collector does not look at them; a shard is small, so that to rebuild it takes little
// time.
type table struct {
	shards []shard
	most   int // buckets of a shard
}

type shard struct {
	mu    sync.Mutex
	slots []slot // whole buckets
	_     [32]byte
}

type slot struct {
	key [2]uint64
	count
}

const (
	ways      = 8    // slots of a bucket
	shardKeys = 2048 // of a shard, about
	slack     = 4    // a bound of n keys has room for n/slack more, so that n fit before the first has to go
)

func newTable(keys int) *table {
	n := 1
	for n < 4096 && n*shardKeys < keys || n < 16 && n*64 < keys {
		n *= 2
	}
	return &table{shards: make([]shard, n), most: (keys+keys/slack+n*ways-1)/(n*ways) + 1}
}

// take has a claim's rule decide and count. evicted is whether a count that still meant something has made room for it.
func (t *table) take(c *claim, now int64) (evicted bool) {
	s := t.lock(c.key)
	defer s.mu.Unlock()
	n, evicted := s.find(c.key, now, t.most)
	c.verdict = c.rule.algorithm.take(n, now, c.cost, c.rule.MaxDelay)
	return evicted
}

// giveBack undoes a take, unless the count is forgotten.
func (t *table) giveBack(c *claim, now int64) {
	s := t.lock(c.key)
	defer s.mu.Unlock()
	if n := s.look(c.key); n != nil && n.until > now {
		c.rule.algorithm.giveBack(n, c.cost)
	}
}

func (t *table) lock(key [2]uint64) *shard {
	s := &t.shards[(key[0]^key[1])&uint64(len(t.shards)-1)]
	s.mu.Lock()
	return s
}

// bucket returns the slots for one half of a key.
func (s *shard) bucket(half uint64) []slot {
	i, _ := bits.Mul64(half, uint64(len(s.slots)/ways))
	return s.slots[i*ways : (i+1)*ways]
}

// find returns the count of a key, a zero one if it has none.
func (s *shard) find(key [2]uint64, now int64, most int) (c *count, evicted bool) {
	if c = s.look(key); c != nil {
		return c, false
	}
	for len(s.slots) > 0 {
		first, free := s.room(key, now)
		if !free && len(s.slots) < most*ways {
			s.rebuild(min(2*len(s.slots)/ways, most), now)
			continue
		}
		*first = slot{key: key}
		return &first.count, !free
	}
	s.slots = make([]slot, ways)
	return s.find(key, now, most)
}

// look returns the count of a key, nil if it has none.
func (s *shard) look(key [2]uint64) *count {
	if len(s.slots) == 0 {
		return nil
	}
	for _, half := range key {
		b := s.bucket(half)
		for i := range b {
			if b[i].key == key {
				return &b[i].count
			}
		}
	}
	return nil
}

// room returns where a key can go: a free slot of the bucket that has more of them, or, if none is free, the slot that
// would be forgotten first.
func (s *shard) room(key [2]uint64, now int64) (at *slot, free bool) {
	most := 0
	for _, half := range key {
		b := s.bucket(half)
		first, n := &b[0], 0
		for i := range b {
			if b[i].until <= now {
				n++
			}
			if b[i].until < first.until {
				first = &b[i]
			}
		}
		if at == nil || n > most || n == most && first.until < at.until {
			at, most = first, n
		}
	}
	return at, most > 0
}

// rebuild makes room for n buckets, and keeps what is not forgotten.
func (s *shard) rebuild(n int, now int64) {
	old := s.slots
	s.slots = make([]slot, n*ways)
	for _, o := range old {
		if o.until > now {
			c, _ := s.find(o.key, now, n) // n buckets are enough for all, but for a few that crowd
			*c = o.count
		}
	}
}

// sweep returns how many keys a shard has, and gives back memory that it does not need.
func (s *shard) sweep(now int64) (keys int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.slots {
		if s.slots[i].until > now {
			keys++
		}
	}
	if keys == 0 {
		s.slots = nil
	} else if len(s.slots) > 8*keys && len(s.slots) > 8*ways {
		s.rebuild((2*keys+ways-1)/ways, now)
	}
	return keys
}
