package core

import (
	"strings"
	"unsafe"
)

// MaxLent is how many fields a block may have whose strings are a host's.
const MaxLent = 64

// lent says which strings of a block's fields are a host's memory. Only the host knows how long that lasts, so nobody
// else gets such a string: [Stream.Value] copies what is read, and [Block.Own] all of it.
type lent struct {
	values uint64 // bit i: the value of field i
	names  int    // the names of so many fields, from the first on
}

// Lend fills b with fields whose strings are the host's memory, MaxLent at most. The host takes them back, by Own or Drop,
// before it uses that memory for something else. Stream.Mu is held, as for all methods.
func (b *Block) Lend(fields []Field) {
	b.Fields = append(b.Fields[:0], fields...)
	b.lent = lent{values: 1<<len(fields) - 1, names: len(fields)}
	b.Present = true
}

// Own copies the strings that are lent, in one allocation: all are Go's from then on.
func (b *Block) Own() {
	if b.lent != (lent{}) {
		b.own()
	}
}

func (b *Block) own() {
	size := 0
	for i := range b.lent.names {
		size += len(b.Fields[i].Name) + len(b.Fields[i].Value)
	}
	joined := make([]byte, 0, size)
	keep := func(s *string) {
		at := len(joined)
		joined = append(joined, *s...)
		*s = unsafe.String(unsafe.SliceData(joined[at:]), len(*s))
	}
	for i := range b.lent.names {
		keep(&b.Fields[i].Name)
		if b.lent.values&(1<<i) != 0 {
			keep(&b.Fields[i].Value)
		}
	}
	b.lent = lent{}
}

// Drop forgets the fields of a block that a host still has: it is as if it had not come.
func (b *Block) Drop() {
	clear(b.Fields)
	b.Fields, b.Present, b.lent = b.Fields[:0], false, lent{}
}

// IsLent reports whether some of b's strings are the host's.
func (b *Block) IsLent() bool { return b.lent != (lent{}) }

// SetValue replaces the value of field i.
func (b *Block) SetValue(i int, value string) {
	b.Fields[i].Value = value
	b.lent.values &^= 1 << i
}

// Value returns the value of field i of b, one of s's blocks, as a string of Go's own.
func (s *Stream) Value(b *Block, i int) string {
	if b.lent.values&(1<<i) != 0 {
		b.SetValue(i, s.keep(b.Fields[i].Value))
	}
	return b.Fields[i].Value
}

// Copies of short strings share memory, so that most requests need none of their own. One that is kept keeps no more alive
// than sharedText.
const (
	sharedText = 512
	maxShared  = sharedText / 4
)

// keep returns a copy of text.
func (s *Stream) keep(text string) string {
	if len(text) > cap(s.text)-len(s.text) {
		if len(text) > maxShared {
			return strings.Clone(text)
		}
		s.text = make([]byte, 0, sharedText)
	}
	at := len(s.text)
	s.text = append(s.text, text...)
	return unsafe.String(unsafe.SliceData(s.text[at:]), len(text))
}
