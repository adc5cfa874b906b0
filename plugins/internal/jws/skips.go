package jws

import (
	"sync"

	"mosn.io/moe/framework/filter"
)

// Skips reports the keys that are not used: each is counted whenever it is read, and logged when it is first seen.
type Skips struct {
	env     *filter.Env
	counter *filter.Counter

	mu   sync.Mutex
	seen map[string]bool
}

// maxSeen bounds how many keys are remembered as logged; those after them are only counted.
const maxSeen = 1000

// NewSkips declares the counter keys_skipped, so that it must be called in Provision.
func NewSkips(env *filter.Env) *Skips {
	return &Skips{env: env, counter: env.Counter("keys_skipped"), seen: map[string]bool{}}
}

// Report reports the skipped keys of a source, whose name and value are attributes of the log.
func (s *Skips) Report(skipped []Skipped, source, value string) {
	for _, k := range skipped {
		s.counter.Inc()
		if s.first(value + "\x00" + k.KeyID + "\x00" + k.Why) {
			s.env.Log().Warn("a key is not used", source, value, "key", k.Position, "kid", short(k.KeyID), "reason", k.Why)
		}
	}
}

func (s *Skips) first(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[key] || len(s.seen) >= maxSeen {
		return false
	}
	s.seen[key] = true
	return true
}
