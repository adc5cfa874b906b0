package dynmod

/*
#include "moe.h"
*/
import "C"

import "mosn.io/moe/framework/host/internal/inproc"

// thread is one of Envoy's threads: its streams, which no other thread reaches by their slots.
type thread struct {
	inproc.Thread
	index   uint32
	streams inproc.Slots[envoyStream]
	handles []handle
}

var threads inproc.Table[*thread]

// threadOf returns the thread of an index that C has given it.
func threadOf(index C.uint32_t) *thread {
	return threads.Of(uint32(index), newThread)
}

func newThread(index uint32) *thread { return &thread{index: index} }

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
