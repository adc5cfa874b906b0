package filter

import (
	"strconv"

	"mosn.io/moe/framework/internal/core"
)

// Set replaces every value of key. Not every host can carry an empty value: Set(key, "") removes key on all of them.
//
// What Envoy or its peers would refuse is reported as a bug of the plugin instead of being set: a name that is not a
// token, control characters in a value, a pseudo-header that does not belong to the block, a :status outside of 200 to
// 599, a :path that does not begin with "/", a content-length that is not a number, and transfer-encoding in a request,
// which is Envoy's. Whitespace around a value is cut off. In a request, "host" is ":authority".
func (h Headers) Set(key, value string) {
	if !plain(key, value) { // which is rare
		h.set(key, value)
		return
	}
	b := h.lock()
	if b == nil {
		return
	}
	if b.Owner.Load() != int32(h.plugin)+1 {
		h.c.Mu.Unlock()
		h.change(key, "")
		return
	}
	i := b.Index(key)
	b.MarkChanged(key, i)
	put(b, i, key, value)
	h.c.Mu.Unlock()
}

// set is Set for any field.
func (h Headers) set(key, value string) {
	value = trim(value)
	if value == "" {
		h.Del(key)
		return
	}
	key, class := h.canonical(key)
	if b := h.change(key, h.refuses(key, class, value)); b != nil {
		put(b, b.Index(key), key, value)
		h.c.Mu.Unlock()
	}
}

// put replaces the values of key by one; i is the first one's index.
func put(b *core.Block, i int, key, value string) {
	if i < 0 {
		b.Fields = append(b.Fields, core.Field{Name: key, Value: value})
	} else {
		b.SetValue(i, value)
		remove(b, i+1, key)
	}
}

// Add appends a value of key, within the bounds of [Headers.Set]. An empty one is not added, and neither is another
// value of a pseudo-header.
func (h Headers) Add(key, value string) {
	value = trim(value)
	if value == "" {
		return
	}
	key, class := h.canonical(key)
	why := h.refuses(key, class, value)
	if key != "" && key[0] == ':' {
		why = "adds to the pseudo-header " + strconv.Quote(key)
	}
	if b := h.change(key, why); b != nil {
		b.Multi = true
		b.Fields = append(b.Fields, core.Field{Name: key, Value: value})
		h.c.Mu.Unlock()
	}
}

// Del removes every value of key. Pseudo-headers cannot be removed.
func (h Headers) Del(key string) {
	key, _ = h.canonical(key)
	why := ""
	if key != "" && key[0] == ':' {
		why = "removes the pseudo-header " + strconv.Quote(key)
	}
	b := h.change(key, why)
	if b == nil {
		return
	}
	remove(b, 0, key)
	h.c.Mu.Unlock()
}

// change locks the block for a change of key. Where why is not empty, or it is not the plugin's turn, it reports that as
// misuse and returns nil, unlocked. The chain keeps what is reported, as it outlives the stream.
func (h Headers) change(key, why string) *core.Block {
	b := h.lock()
	if b == nil {
		return nil // the stream is gone, and with it anyone who could see the change
	}
	self := int32(h.plugin) + 1
	if owner := b.Owner.Load(); owner != self {
		if b.Revoked.Load() == self {
			h.c.Mu.Unlock()
			return nil
		}
		why = "changes " + key + " of headers that are sent or have not arrived"
	} else if why == "" {
		b.MarkChanged(key, b.Index(key))
		return b
	}
	misuse, request := h.c.Misuse, h.c.RequestID()
	h.c.Mu.Unlock()
	if misuse != nil {
		misuse(int(h.plugin), why, request)
	}
	return nil
}

// remove removes the fields called key, from the from-th on.
func remove(b *core.Block, from int, key string) {
	n := b.IndexFrom(from, key)
	if n < 0 {
		return
	}
	b.Own() // which tells by their places what is lent
	for i := n; i < len(b.Fields); i++ {
		if b.Fields[i].Name != key {
			if n != i {
				b.Fields[n] = b.Fields[i]
			}
			n++
		}
	}
	clear(b.Fields[n:])
	b.Fields = b.Fields[:n]
}
