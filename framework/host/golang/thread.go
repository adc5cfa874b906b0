package golang

/*
#include "gate.h"
*/
import "C"

import "mosn.io/moe/framework/host/internal/inproc"

// thread is one of Envoy's threads with its streams, which no other thread reaches by their slots.
type thread struct {
	inproc.Thread
	streams inproc.Slots[envoyStream]
}

var threads inproc.Table[*thread]

// threadOf returns the thread that C has given a number.
func threadOf(number C.uint32_t) *thread {
	return threads.Of(uint32(number), newThread)
}

func newThread(uint32) *thread { return &thread{} }

// stream returns the Go side of c, which it makes at the first event of c that reaches Go.
func (t *thread) stream(c *C.golang_instance) *envoyStream {
	if c.slot != 0 {
		return t.streams.At(uint32(c.slot), uint32(c.life))
	}
	slot, life, s := t.streams.Take()
	c.slot, c.life = C.uint32_t(slot), C.uint32_t(life)
	s.c, s.Reply.Limit = c, maxReply
	s.handle = &handle{s.Begin(s, &t.Thread), s} // never used again, so that a late caller finds its own stream gone
	return s
}

// finish ends the Go side of a stream for good. Envoy may destroy a stream while it does what an event of the stream has
// asked for: then the slot is free when that event is over.
func (t *thread) finish(c *C.golang_instance) {
	s := t.stream(c)
	inside := s.Inside()
	s.finish()
	if inside {
		s.over = uint32(c.slot)
	} else {
		t.streams.Give(uint32(c.slot))
	}
}

// leave ends an event of a stream; outer is the one around it, if there is one.
func (t *thread) leave(s *envoyStream, outer *C.golang_event) {
	if s.over == 0 {
		s.leave(outer)
	} else if outer == nil {
		t.streams.Give(s.over)
		s.over = 0
	}
}
