package filter

import "mosn.io/moe/framework/internal/core"

// Key is a typed value that the plugins of one stream share: the one that sets it exports the key. Make it a package
// variable with [NewKey]; two keys never clash, whatever their names.
type Key[T any] struct {
	name string
	id   any // what a value is found by
}

// NewKey makes a key; name is for logs.
func NewKey[T any](name string) *Key[T] {
	k := &Key[T]{name: name}
	k.id = k
	return k
}

// NewSharedKey makes a key of text, in any encoding, that plugins see in all filters of a stream that share a chain (see the
// document's stages), and out of process too. Two keys of one name are the same, so begin it with the name of the plugin.
func NewSharedKey(name string) *Key[string] { return &Key[string]{name, core.SharedKey(name)} }

// String returns the key's name.
func (k *Key[T]) String() string { return k.name }

// Get returns the value, if it is set and the stream goes on.
func (k *Key[T]) Get(s Stream) (v T, ok bool) {
	if !s.lock() {
		return v, false
	}
	defer s.c.Mu.Unlock()
	for i := range s.c.Vals {
		if s.c.Vals[i].Key == k.id {
			v, _ = s.c.Vals[i].Value.(T) // v stays zero for a nil interface, which does not assert
			return v, true
		}
	}
	return v, false
}

// Set sets the value.
func (k *Key[T]) Set(s Stream, v T) {
	if !s.lock() {
		return
	}
	defer s.c.Mu.Unlock()
	for i := range s.c.Vals {
		if s.c.Vals[i].Key == k.id {
			s.c.Vals[i].Value = v
			return
		}
	}
	s.c.Vals = append(s.c.Vals, core.Val{Key: k.id, Value: v})
}
