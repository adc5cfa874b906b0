package golang

/*
#include "gate.h"
*/
import "C"

import "mosn.io/moe/framework/host/internal/perthread"

// thread is one of Envoy's threads with its streams, which no other thread reaches by their index.
type thread struct{ streams perthread.Slots[stream] }

var threads perthread.Table[thread]

// stream returns the Go side of c, which it makes at the first event of c that reaches Go.
func (t *thread) stream(c *C.golang_stream) *stream {
	if c.slot != 0 {
		return t.streams.At(uint32(c.slot))
	}
	slot, s := t.streams.Take()
	c.slot = C.uint32_t(slot)
	s.mu.Lock()
	s.c = c
	s.handle = &handle{s, s.gen} // never used again, so that a late caller finds its own stream gone
	s.mu.Unlock()
	return s
}

// finish ends the Go side of a stream for good.
func (t *thread) finish(slot C.uint32_t) {
	t.streams.Give(uint32(slot))
	t.streams.At(uint32(slot)).finish()
}
