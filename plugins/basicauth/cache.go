package basicauth

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// cache remembers which passwords were right, so that a hash that is made to be slow is computed once in a while and
// not for every request. It holds no password, but salted sums that are of no use outside of this process.
type cache struct {
	salt [32]byte
	ttl  time.Duration
	size int

	mu   sync.Mutex
	ends map[cacheKey]time.Time
}

type cacheKey [sha256.Size]byte

func newCache(size int, ttl time.Duration) *cache {
	c := &cache{ttl: ttl, size: size, ends: map[cacheKey]time.Time{}}
	rand.Read(c.salt[:]) // it never fails
	return c
}

// key stands for a user, the hash of the user's password and the password that was given: another hash is another key.
func (c *cache) key(user, hash, given string) cacheKey {
	h := sha256.New()
	h.Write(c.salt[:])
	for _, s := range []string{user, hash, given} {
		sum := sha256.Sum256([]byte(s))
		h.Write(sum[:])
	}
	return cacheKey(h.Sum(nil))
}

func (c *cache) has(k cacheKey, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	end, ok := c.ends[k]
	return ok && now.Before(end)
}

// add remembers k. Where there are too many, those that have ended go, or any.
func (c *cache) add(k cacheKey, now time.Time) {
	if c.size == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ends) >= c.size {
		n := 0
		for other, end := range c.ends { // begins anywhere
			if n++; now.After(end) || n > 8 {
				delete(c.ends, other)
				break
			}
		}
		for other := range c.ends {
			if len(c.ends) < c.size {
				break
			}
			delete(c.ends, other)
		}
	}
	c.ends[k] = now.Add(c.ttl)
}
