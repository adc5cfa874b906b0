package hmacauth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// replays remembers signatures for as long as they would be taken again. Its memory is bounded: when it is full it
// takes no more, rather than forget.
type replays struct {
	window time.Duration
	size   int

	mu          sync.Mutex
	now, before map[seenKey]struct{} // of this window and the last
	began       time.Time            // of this window
}

type seenKey [16]byte

// What becomes of a signature.
const (
	fresh = iota
	replayed
	full
)

func newReplays(size int, window time.Duration) *replays {
	return &replays{size: size, window: window, now: map[seenKey]struct{}{}}
}

// add remembers a signature at time t.
func (r *replays) add(signature []byte, t time.Time) int {
	sum := sha256.Sum256(signature)
	key := seenKey(sum[:len(seenKey{})])
	r.mu.Lock()
	defer r.mu.Unlock()
	switch age := t.Sub(r.began); {
	case age >= 2*r.window:
		r.before, r.now, r.began = nil, map[seenKey]struct{}{}, t
	case age >= r.window:
		r.before, r.now, r.began = r.now, map[seenKey]struct{}{}, t
	}
	if _, ok := r.now[key]; ok {
		return replayed
	}
	if _, ok := r.before[key]; ok {
		return replayed
	}
	if len(r.now)+len(r.before) >= r.size {
		return full
	}
	r.now[key] = struct{}{}
	return fresh
}
