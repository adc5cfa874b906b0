// Package nonces remembers values that may be used once only, such as nonces and signatures.
package nonces

import (
	"crypto/sha256"
	"sync"
	"time"
)

// Memory remembers values for a time. It is bounded: when it is full it takes no more, rather than forget. Its methods may be
// called from any goroutine.
//
// How long it remembers goes by the monotonic clock, and whether a value is recent by the wall clock. Lest a wall clock that
// is set back make a value recent again that has been forgotten, values are refused that were made before one of those.
type Memory struct {
	keep time.Duration
	size int

	mu          sync.Mutex
	now, before generation
	forgotten   time.Time // when the youngest of the values that are forgotten was made
}

// generation is what came within a time.
type generation struct {
	seen   map[key]struct{}
	began  time.Time
	newest time.Time // of the times at which its values were made
}

type key [16]byte

// Result is what becomes of a value.
type Result int

// The results.
const (
	Fresh Result = iota
	Replayed
	Full      // it is not known and cannot be remembered
	Forgotten // it was made when others were that have been forgotten, so that it cannot be known
)

// New returns a memory of up to size values, each for keep at least and twice that at most.
func New(size int, keep time.Duration) *Memory {
	return &Memory{keep: keep, size: size, now: generation{seen: map[key]struct{}{}}}
}

// Add remembers a value, if it is fresh. made is when the value was made; zero: that is not known.
func (m *Memory) Add(value []byte, now, made time.Time) Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, result := m.find(value, now, made)
	if result != Fresh {
		return result
	}
	if len(m.now.seen)+len(m.before.seen) >= m.size {
		return Full
	}
	m.now.seen[k] = struct{}{}
	if made.After(m.now.newest) {
		m.now.newest = made
	}
	return Fresh
}

// Has returns Fresh for a value that Add would find to be fresh, and does not remember it.
func (m *Memory) Has(value []byte, now, made time.Time) Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, result := m.find(value, now, made)
	return result
}

func (m *Memory) find(value []byte, now, made time.Time) (key, Result) {
	sum := sha256.Sum256(value)
	k := key(sum[:len(key{})])
	switch age := now.Sub(m.now.began); {
	case age >= 2*m.keep:
		m.forget(&m.before)
		m.forget(&m.now)
		m.before, m.now = generation{}, generation{seen: map[key]struct{}{}, began: now}
	case age >= m.keep:
		m.forget(&m.before)
		m.before, m.now = m.now, generation{seen: map[key]struct{}{}, began: now}
	}
	if _, ok := m.now.seen[k]; ok {
		return k, Replayed
	}
	if _, ok := m.before.seen[k]; ok {
		return k, Replayed
	}
	if !made.IsZero() && !m.forgotten.IsZero() && !made.After(m.forgotten) {
		return k, Forgotten
	}
	return k, Fresh
}

func (m *Memory) forget(g *generation) {
	if g.newest.After(m.forgotten) {
		m.forgotten = g.newest
	}
}
