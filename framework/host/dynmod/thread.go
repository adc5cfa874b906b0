package dynmod

/*
#include "moe.h"
*/
import "C"

import (
	"fmt"

	"mosn.io/moe/framework/host/internal/perthread"
)

// thread is one of Envoy's threads: its streams, which no other thread reaches by their index.
type thread struct {
	streams perthread.Slots[stream]
	handles []handle
}

var threads perthread.Table[thread]

// stream returns the Go side of c, which it makes at the first event of c that reaches Go.
func (t *thread) stream(c *C.moe_stream) *stream {
	if c.slot != 0 {
		s := t.streams.At(uint32(c.slot))
		if s.gen != uint32(c.life) {
			panic(fmt.Sprintf("an event of life %d of a stream whose slot has life %d", c.life, s.gen))
		}
		return s
	}
	if len(t.handles) == 0 {
		t.handles = make([]handle, 64)
	}
	slot, s := t.streams.Take()
	c.slot, c.life = C.uint32_t(slot), C.uint32_t(s.gen)
	h := &t.handles[0] // never used again, so that a late caller finds its own stream gone
	t.handles = t.handles[1:]
	s.mu.Lock()
	h.s, h.gen = s, s.gen
	s.c, s.handle = c, h
	s.mu.Unlock()
	return s
}

// finish ends the Go side of a stream for good.
func (t *thread) finish(c *C.moe_stream) {
	s := t.stream(c)
	s.finish()
	t.streams.Give(uint32(c.slot))
}
