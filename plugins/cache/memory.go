package cache

import (
	"container/list"
	"slices"
	"sync"
	"time"

	"mosn.io/moe/framework/filter"
)

// digest is the hash of a key.
type digest [32]byte

// memory has resources within a number of bytes. Those that were not used for longest go first.
type memory struct {
	most     int64 // bytes
	variants int   // of a resource

	mu        sync.Mutex
	used      int64
	resources map[digest]*resource
	order     list.List // of *resource, the last used first
	tags      map[string]map[*resource]struct{}
	purges    purges

	bytes, objects *filter.Gauge
	evicted        *filter.Counter
}

// resource is what has one key: its variants, by Vary, or that it is not to be stored.
type resource struct {
	key     digest
	entries []*entry  // replaced, and not changed
	pass    time.Time // until then, requests for it do not wait for each other
	known   time.Time // when it was stored, or Redis was last asked about it
	size    int64
	at      *list.Element
}

func newMemory(most int64, variants int) *memory {
	return &memory{most: most, variants: variants, resources: map[digest]*resource{}, tags: map[string]map[*resource]struct{}{}}
}

// get returns what is stored under a key, whether requests for it need not wait for each other, and since when that is known.
func (m *memory) get(key digest, now time.Time) (entries []*entry, pass bool, known time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.resources[key]
	if r == nil {
		return nil, false, known
	}
	m.order.MoveToFront(r.at)
	return r.entries, now.Before(r.pass), r.known
}

// begin returns a moment before a request or a look at Redis.
func (m *memory) begin() begun {
	m.mu.Lock()
	defer m.mu.Unlock()
	return begun{mark: m.purges.mark, at: time.Now()}
}

// replace stores what Redis has under a key, which may be nothing, but for what was purged since then.
func (m *memory) replace(key digest, entries []*entry, now time.Time, since begun) {
	m.mu.Lock()
	defer m.mu.Unlock()
	entries = slices.DeleteFunc(entries, func(e *entry) bool { return m.purges.since(since.mark, e.Tags) })
	r := m.resources[key]
	switch {
	case len(entries) > 0:
		m.set(key, entries, time.Time{}, now)
		m.evict()
	case r != nil && now.Before(r.pass):
		m.set(key, nil, r.pass, now)
	case r != nil:
		m.remove(r)
	}
}

// put stores an entry, in place of the one for the same requests. Of others with the key, nothing is known since then that
// was not known before. It reports whether the entry may be stored, which it may not if it was purged since then.
func (m *memory) put(key digest, e *entry, now time.Time, since begun) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.purges.since(since.mark, e.Tags) {
		return false
	}
	if e.size() > m.most {
		return true
	}
	kept, known := []*entry{e}, now
	if r := m.resources[key]; r != nil {
		for _, other := range r.entries {
			if !slices.Equal(other.Vary, e.Vary) && len(kept) < m.variants { // the ones that came last
				kept, known = append(kept, other), r.known
			}
		}
	}
	m.set(key, kept, time.Time{}, known)
	m.evict()
	return true
}

// notePass remembers that a resource is not to be stored.
func (m *memory) notePass(key digest, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var kept []*entry
	var known time.Time
	if r := m.resources[key]; r != nil {
		kept, known = r.entries, r.known
	}
	m.set(key, kept, until, known)
	m.evict()
}

// set replaces a resource. m.mu is locked.
func (m *memory) set(key digest, entries []*entry, pass, known time.Time) {
	r := m.resources[key]
	if r == nil {
		r = &resource{key: key}
		r.at = m.order.PushFront(r)
		m.resources[key] = r
	} else {
		m.account(r, -1)
		m.order.MoveToFront(r.at)
	}
	r.entries, r.pass, r.known = entries, pass, known
	r.size = overhead
	for _, e := range entries {
		e.prepare()
		r.size += e.size()
	}
	m.account(r, 1)
	for _, e := range entries {
		for _, t := range e.Tags {
			if m.tags[t] == nil {
				m.tags[t] = map[*resource]struct{}{}
			}
			m.tags[t][r] = struct{}{}
		}
	}
}

// account adds a resource to what is used, or takes it away, together with its tags.
func (m *memory) account(r *resource, sign int64) {
	m.used += sign * r.size
	m.bytes.Add(sign * r.size)
	m.objects.Add(sign * int64(len(r.entries)))
	if sign > 0 {
		return
	}
	for _, e := range r.entries {
		for _, t := range e.Tags {
			if delete(m.tags[t], r); len(m.tags[t]) == 0 {
				delete(m.tags, t)
			}
		}
	}
}

// evict makes room. m.mu is locked.
func (m *memory) evict() {
	for m.used > m.most {
		r := m.order.Back().Value.(*resource)
		m.remove(r)
		m.evicted.Inc()
	}
}

func (m *memory) remove(r *resource) {
	m.account(r, -1)
	m.order.Remove(r.at)
	delete(m.resources, r.key)
}

// purge removes the resources of which an entry has a tag, and returns how many these are.
func (m *memory) purge(tag string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.purges.note(tag)
	for r := range m.tags[tag] {
		m.remove(r)
		n++
	}
	return n
}

// close takes what is there out of the gauges.
func (m *memory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.resources {
		m.remove(r)
	}
}
