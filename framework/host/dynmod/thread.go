package dynmod

/*
#include "moe.h"
*/
import "C"

import "mosn.io/moe/framework/host/internal/inproc"

// thread is one of Envoy's threads: its streams, which no other thread reaches by their slots.
type thread struct {
	inproc.Thread
	number  uint32 // that C has given it
	streams inproc.Slots[envoyStream]
	handles []handle
}

var threads inproc.Table[*thread]

// threadOf returns the thread that C has given a number.
func threadOf(number C.uint32_t) *thread {
	return threads.Of(uint32(number), newThread)
}

func newThread(number uint32) *thread { return &thread{number: number} }

// stream returns the Go side of c, which it makes at the first event of c that reaches Go.
func (t *thread) stream(c *C.moe_instance) *envoyStream {
	if c.slot != 0 {
		return t.streams.At(uint32(c.slot), uint32(c.life))
	}
	if len(t.handles) == 0 {
		t.handles = make([]handle, 64)
	}
	slot, life, s := t.streams.Take()
	c.slot, c.life = C.uint32_t(slot), C.uint32_t(life)
	h := &t.handles[0] // never used again, so that a late caller finds its own stream gone
	t.handles = t.handles[1:]
	s.c, s.thread, s.handle = c, t, h
	h.envoyStream, h.Handle = s, s.Begin(s, &t.Thread)
	return s
}

// finish ends the Go side of a stream for good.
func (t *thread) finish(c *C.moe_instance) {
	t.stream(c).finish()
	t.streams.Give(uint32(c.slot))
}
