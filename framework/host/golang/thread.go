package golang

/*
#include "gate.h"
*/
import "C"

import (
	"sync"
	"sync/atomic"
)

// thread is one of Envoy's threads with its streams, which no other thread reaches by their index.
type thread struct {
	streams []*stream
	free    []uint32
}

var (
	threadsMu sync.Mutex
	threads   atomic.Pointer[[]*thread]
)

// threadOf returns the thread with an index that C counts from 0.
func threadOf(index C.uint32_t) *thread {
	if all := threads.Load(); all != nil && int(index) < len(*all) {
		return (*all)[index]
	}
	threadsMu.Lock()
	defer threadsMu.Unlock()
	var all []*thread
	if old := threads.Load(); old != nil {
		all = append(all, *old...)
	}
	for len(all) <= int(index) {
		all = append(all, &thread{})
	}
	threads.Store(&all)
	return all[index]
}

// stream returns the Go side of c, which it makes at the first event of c that reaches Go.
func (t *thread) stream(c *C.golang_stream) *stream {
	if c.slot != 0 {
		return t.streams[c.slot-1]
	}
	if n := len(t.free); n > 0 {
		c.slot = C.uint32_t(t.free[n-1])
		t.free = t.free[:n-1]
	} else {
		t.streams = append(t.streams, &stream{})
		c.slot = C.uint32_t(len(t.streams))
	}
	s := t.streams[c.slot-1]
	s.mu.Lock()
	s.c = c
	s.handle = &handle{s, s.gen} // never used again, so that a late caller finds its own stream gone
	s.mu.Unlock()
	return s
}

// finish ends the Go side of a stream for good.
func (t *thread) finish(s *stream) {
	t.free = append(t.free, uint32(s.c.slot))
	s.finish()
}
