package mosn

import (
	"net/textproto"
	"slices"
	"strings"
	"sync"

	"mosn.io/api"
	"mosn.io/moe/framework/filter"
)

// block is a block of the stream's headers or trailers as MOSN's HeaderMap. It may be used from any goroutine: what comes
// when the block has gone on is dropped and reported as misuse, as by any plugin.
type block struct {
	h filter.Headers

	mu      sync.Mutex
	set     []string // the fields that the filter which runs now has set
	changes int
}

// begin forgets what earlier filters have set.
func (b *block) begin() {
	b.mu.Lock()
	b.set = b.set[:0]
	b.mu.Unlock()
}

// note remembers a change. A key is that of a field that was set.
func (b *block) note(key string) {
	b.mu.Lock()
	b.changes++
	if key != "" {
		b.set = append(b.set, key)
	}
	b.mu.Unlock()
}

// own returns the fields that the filter which runs now has set, as they are.
func (b *block) own() *fields {
	b.mu.Lock()
	names := slices.Clone(b.set)
	b.mu.Unlock()
	out := new(fields)
	for _, name := range names {
		if _, known := out.Get(name); !known {
			for _, v := range b.h.Values(name) {
				out.Add(name, v)
			}
		}
	}
	return out
}

// Get returns the first value of key. "Host" is :authority.
func (b *block) Get(key string) (string, bool) {
	if strings.EqualFold(key, "host") && b.h.Has(":authority") {
		key = ":authority"
	}
	if v := b.h.Get(key); v != "" {
		return v, true
	}
	return "", b.h.Has(key)
}

// Set replaces the values of key. Envoy has no empty ones: to set one removes the field.
func (b *block) Set(key, value string) {
	b.h.Set(key, value)
	b.note(key)
}

// Add appends a value.
func (b *block) Add(key, value string) {
	b.h.Add(key, value)
	b.note(key)
}

// Del removes all values.
func (b *block) Del(key string) {
	b.h.Del(key)
	b.note("")
}

// Range calls f with the fields in order, their names as Go and MOSN write them (X-Real-Ip), and "Host" for :authority.
func (b *block) Range(f func(key, value string) bool) {
	for key, value := range b.h.All() {
		switch {
		case key == ":authority":
			key = "Host"
		case strings.HasPrefix(key, ":"):
			continue
		default:
			key = textproto.CanonicalMIMEHeaderKey(key)
		}
		if !f(key, value) {
			return
		}
	}
}

// copyOf returns a copy of headers for filters.
func copyOf(h filter.Headers) api.HeaderMap { return (&block{h: h}).Clone() }

// Clone returns a copy that remembers which fields it had from the start.
func (b *block) Clone() api.HeaderMap {
	b.mu.Lock()
	set := slices.Clone(b.set)
	b.mu.Unlock()
	out := new(fields)
	b.Range(func(key, value string) bool {
		own := slices.ContainsFunc(set, func(s string) bool { return strings.EqualFold(s, key) })
		out.list = append(out.list, field{key, value, !own})
		return true
	})
	return out
}

// ByteSize returns the length of all names and values.
func (b *block) ByteSize() (n uint64) {
	b.Range(func(key, value string) bool {
		n += uint64(len(key) + len(value))
		return true
	})
	return n
}

// replace makes the block's fields those of m.
func (b *block) replace(m api.HeaderMap) {
	if isNil(m) || m == api.HeaderMap(b) {
		return
	}
	var with fields
	m.Range(func(key, value string) bool {
		with.Add(key, value)
		return true
	})
	b.Range(func(key, _ string) bool {
		if _, kept := with.Get(key); !kept {
			b.Del(key)
		}
		return true
	})
	seen := map[string]bool{}
	for _, f := range with.list {
		if name := strings.ToLower(f.name); seen[name] {
			b.Add(f.name, f.value)
		} else {
			seen[name] = true
			b.Set(f.name, f.value)
		}
	}
}

// fields are headers that no message of Envoy's has: those of a reply that a filter makes, and copies.
type fields struct{ list []field }

type field struct {
	name, value string
	inherited   bool // from the request of which this is a copy
}

// Get returns the first value of key.
func (f *fields) Get(key string) (string, bool) {
	for _, e := range f.list {
		if strings.EqualFold(e.name, key) {
			return e.value, true
		}
	}
	return "", false
}

// Set replaces the values of key.
func (f *fields) Set(key, value string) {
	for i, e := range f.list {
		if strings.EqualFold(e.name, key) {
			f.list[i] = field{key, value, false}
			rest := slices.DeleteFunc(f.list[i+1:], func(e field) bool { return strings.EqualFold(e.name, key) })
			f.list = f.list[:i+1+len(rest)]
			return
		}
	}
	f.Add(key, value)
}

// Add appends a value.
func (f *fields) Add(key, value string) { f.list = append(f.list, field{key, value, false}) }

// Del removes all values of key.
func (f *fields) Del(key string) {
	f.list = slices.DeleteFunc(f.list, func(e field) bool { return strings.EqualFold(e.name, key) })
}

// Range calls do with the fields in order.
func (f *fields) Range(do func(key, value string) bool) {
	for _, e := range slices.Clone(f.list) {
		if !do(e.name, e.value) {
			return
		}
	}
}

// Clone returns a copy.
func (f *fields) Clone() api.HeaderMap { return &fields{slices.Clone(f.list)} }

// ByteSize returns the length of all names and values.
func (f *fields) ByteSize() (n uint64) {
	for _, e := range f.list {
		n += uint64(len(e.name) + len(e.value))
	}
	return n
}

// sameFields reports whether two blocks have the same fields in the same order.
func sameFields(a, b api.HeaderMap) bool {
	var lists [2][]string
	for i, m := range []api.HeaderMap{a, b} {
		m.Range(func(key, value string) bool {
			lists[i] = append(lists[i], strings.ToLower(key), value)
			return true
		})
	}
	return slices.Equal(lists[0], lists[1])
}
