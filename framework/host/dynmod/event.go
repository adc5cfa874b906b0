package dynmod

/*
#include <stdlib.h>
#include "moe.h"
*/
import "C"

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"unsafe"

	"mosn.io/moe/framework/internal/core"
)

// moeEvent is where C enters Go for all that concerns streams.
//
//export moeEvent
func moeEvent(e *C.moe_event) {
	defer func() {
		// Plugins' panics are the chain's to catch. One that arrives here is the framework's, and must not take Envoy down.
		if p := recover(); p != nil {
			slog.New(logger).Error("framework panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			e.status = C.STATUS_STOP
			if e.stream != nil {
				writer{e}.reset("moe.panic")
			}
		}
	}()
	t := threads.Of(uint32(e.thread))
	for _, c := range unsafe.Slice(e.finished, int(e.finished_n)) {
		t.finish(c)
	}
	switch {
	case e.stream != nil:
		s := t.stream(e.stream)
		s.event(e)
		if e.kind == C.EVENT_COMPLETE || e.kind == C.EVENT_GONE {
			t.finish(e.stream)
		}
	case e.config != nil:
		configEvent(e)
	}
}

// event runs one crossing.
func (s *stream) event(e *C.moe_event) {
	s.enter(e)
	defer s.leave() // a panic leaves the stream too: else other goroutines would take Envoy's side for still
	if s.st == nil && !s.failed {
		s.start()
	}
	switch {
	case s.failed:
		s.fail()
	case e.kind == C.EVENT_HEADERS:
		s.onHeaders(e)
	case e.kind == C.EVENT_DATA:
		s.onData(e)
	case e.kind == C.EVENT_TRAILERS:
		s.onTrailers(e)
	case e.kind == C.EVENT_SCHEDULED:
		s.onScheduled()
	case e.kind == C.EVENT_WATERMARK:
		s.st.Watermark(e.end != 0)
		s.settle(core.NoDirection, e)
	case e.kind >= C.EVENT_CALLOUT_STARTED:
		s.calloutEvent(e)
	case e.kind == C.EVENT_COMPLETE:
		s.complete()
	}
}

// wants reports whether the chain wants the phase; if it does not, the event serves queued calls only.
func (s *stream) wants(bit C.uint32_t, dir core.Direction) bool {
	return s.c.wants&(bit<<(3*dir)) != 0
}

func (s *stream) onHeaders(e *C.moe_event) {
	dir := core.Direction(e.dir)
	if !s.wants(C.WANT_REQUEST_HEADERS, dir) {
		s.remote(dir.Headers())
		return
	}
	if dir == core.Response && !s.dirs[core.Request].met {
		s.skip(core.Request)
	}
	s.dirs[dir].met = true
	s.load(dir.Headers(), e)
	s.st.Headers(dir, e.end != 0)
	s.settle(dir, e)
}

func (s *stream) onData(e *C.moe_event) {
	dir := core.Direction(e.dir)
	if !s.wants(C.WANT_REQUEST_BODY, dir) {
		return
	}
	if !s.dirs[dir].met {
		s.skip(dir)
	}
	s.feed(dir, goBytes((*C.ebuf)(unsafe.Pointer(e.data)), e.data_n, 0), e.end != 0)
	s.settle(dir, e)
	s.chunk = nil
}

func (s *stream) onTrailers(e *C.moe_event) {
	dir := core.Direction(e.dir)
	if !s.wants(C.WANT_REQUEST_TRAILERS, dir) {
		s.remote(dir.Trailers())
		return
	}
	if !s.dirs[dir].met {
		s.skip(dir)
	}
	s.load(dir.Trailers(), e)
	s.st.Trailers(dir)
	s.settle(dir, e)
}

// onScheduled runs what goroutines have posted, and then feeds the chain what Envoy has kept meanwhile.
func (s *stream) onScheduled() {
	for {
		s.mu.Lock()
		posts := s.posts
		s.posts = nil
		s.mu.Unlock()
		if len(posts) == 0 {
			break
		}
		for _, f := range posts {
			f()
		}
	}
	for dir := range core.Directions {
		s.feedHeld(dir)
	}
	s.settle(core.NoDirection, s.e)
}

func (s *stream) feedHeld(dir core.Direction) {
	c := s.c
	if c.held[dir] != 0 {
		s.dirs[dir].stopped = true // by C, which has held it back without asking here
	}
	for c.held[dir] != 0 && !s.st.Busy(dir) {
		if c.replied != 0 || s.reply.begun {
			return
		}
		if c.held[dir]&C.HELD_DATA != 0 {
			trailers := c.held[dir]&C.HELD_TRAILERS != 0
			c.held[dir] &^= C.HELD_DATA
			p := s.takeHeld(dir) // Envoy has it no more, so it goes out even if it comes back as it is
			s.st.Data(dir, p, c.ended[dir] != 0 && !trailers)
			continue
		}
		c.held[dir] = 0
		s.fetchInto(dir.Trailers())
		s.st.Trailers(dir)
	}
}

// takeHeld takes our bytes out of Envoy's buffer.
func (s *stream) takeHeld(dir core.Direction) []byte {
	chunks, n := s.bufferedChunks(dir)
	p := goBytes(chunks, n, int(s.c.foreign[dir]))
	C.free(unsafe.Pointer(chunks))
	C.moe_drain_ours(s.c, C.int(dir))
	return p
}

// feed gives a chunk to the chain and remembers it: if it comes back as it is, Envoy has it already.
func (s *stream) feed(dir core.Direction, p []byte, end bool) {
	s.chunk, s.chunkDir, s.chunkBack = p, dir, false
	s.st.Data(dir, p, end)
}

// load copies the event's headers or trailers into the chain's block.
func (s *stream) load(block int, e *C.moe_event) {
	s.st.Mu.Lock()
	b := &s.st.H[block]
	b.Fields = goFields(b.Fields[:0], (*C.eheader)(unsafe.Pointer(e.headers)), e.headers_n)
	b.Present = true
	s.st.Mu.Unlock()
}

// fetchInto is load for a block that Envoy did not hand over with the event.
func (s *stream) fetchInto(block int) {
	fields := s.fetch(block)
	s.st.Mu.Lock()
	b := &s.st.H[block]
	b.Fields, b.Present = append(b.Fields[:0], fields...), true
	s.st.Mu.Unlock()
}

// remote notes that a block has passed by, so that a plugin that asks for it later gets it from Envoy.
func (s *stream) remote(block int) {
	s.st.Mu.Lock()
	if !s.st.H[block].Present {
		s.st.Remote |= 1 << block
	}
	s.st.Mu.Unlock()
}

// skip tells the chain that the headers of dir went by without it, because no plugin wanted them.
func (s *stream) skip(dir core.Direction) {
	d := &s.dirs[dir]
	d.met, d.headersOut, d.headersSent = true, true, true
	s.remote(dir.Headers())
	s.st.Skip(dir)
}

func (s *stream) complete() {
	for block := range s.st.H {
		s.remote(block)
	}
	s.st.Done()
	s.done = true
}
