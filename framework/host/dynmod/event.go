package dynmod

/*
#include <stdlib.h>
#include "moe.h"
*/
import "C"

import (
	"unsafe"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// moeEvent is where C enters Go for all that concerns streams.
//
//export moeEvent
func moeEvent(e *C.moe_event) {
	t := threadOf(e.thread)
	t.Cross(logger, func() { t.event(e) }, func() { giveUp(e) })
}

// giveUp resets a stream whose event has panicked.
func giveUp(e *C.moe_event) {
	e.status = C.STATUS_STOP
	if e.stream != nil {
		writer{e}.reset("moe.panic")
	}
}

func (t *thread) event(e *C.moe_event) {
	for _, c := range unsafe.Slice(e.finished, int(e.finished_n)) {
		t.finish(c)
	}
	switch {
	case e.stream != nil:
		t.stream(e.stream).event(e)
		if e.kind == C.EVENT_COMPLETE || e.kind == C.EVENT_GONE {
			t.finish(e.stream)
		}
	case e.config != nil:
		configEvent(e)
	}
}

// event runs one crossing.
func (s *envoyStream) event(e *C.moe_event) {
	outer := s.e
	s.e = e
	defer s.leave(outer)
	s.Enter(e.kind == C.EVENT_SCHEDULED)
	defer s.report()
	if s.Chain == nil && !s.failed {
		s.start()
	}
	if s.c.answered != 0 && e.kind != C.EVENT_HEADERS {
		s.missResponse()
	}
	switch {
	case s.failed:
		s.refuse()
	case e.kind == C.EVENT_HEADERS:
		s.onHeaders(e)
	case e.kind == C.EVENT_DATA:
		s.onData(e)
	case e.kind == C.EVENT_TRAILERS:
		s.onTrailers(e)
	case e.kind == C.EVENT_SCHEDULED:
		s.onScheduled()
	case e.kind == C.EVENT_WATERMARK:
		s.Chain.Watermark(e.end != 0)
		s.settle(core.NoDirection, e)
	case e.kind >= C.EVENT_CALLOUT_STARTED:
		s.callouts.event(writer{e}, e)
	case e.kind == C.EVENT_COMPLETE:
		s.endRoot()
		s.Complete()
		s.done = true
		s.endSpans()
	}
}

// wants reports whether the chain wants the phase; if it does not, the event serves queued calls only.
func (s *envoyStream) wants(bit C.uint32_t, dir core.Direction) bool {
	return s.c.wants&(bit<<(3*dir)) != 0
}

func (s *envoyStream) onHeaders(e *C.moe_event) {
	dir := core.Direction(e.dir)
	if !s.wants(C.WANT_REQUEST_HEADERS, dir) && s.c.constants[dir] == nil { // those are the chain's, as Go is entered
		s.Remote(dir.Headers())
		return
	}
	if dir == core.Response && !s.Dirs[core.Request].Met {
		s.skip(core.Request)
	}
	s.Dirs[dir].Met = true
	s.load(dir.Headers(), e)
	s.Chain.Headers(dir, e.end != 0)
	s.settle(dir, e)
}

func (s *envoyStream) onData(e *C.moe_event) {
	dir := core.Direction(e.dir)
	if !s.wants(C.WANT_REQUEST_BODY, dir) {
		return
	}
	if !s.Dirs[dir].Met {
		s.skip(dir)
	}
	chunk := goBytes((*C.ebuf)(unsafe.Pointer(e.data)), e.data_n, 0)
	s.Dirs[dir].Feed(chunk)
	s.Chain.Data(dir, chunk, e.end != 0)
	s.settle(dir, e)
	s.Dirs[dir].Forget()
}

func (s *envoyStream) onTrailers(e *C.moe_event) {
	dir := core.Direction(e.dir)
	if !s.wants(C.WANT_REQUEST_TRAILERS, dir) {
		s.Remote(dir.Trailers())
		return
	}
	if !s.Dirs[dir].Met {
		s.skip(dir)
	}
	s.load(dir.Trailers(), e)
	s.Chain.Trailers(dir)
	s.settle(dir, e)
}

// onScheduled runs what goroutines have posted, and then feeds the chain what Envoy has kept meanwhile.
func (s *envoyStream) onScheduled() {
	s.Work()
	for dir := range core.Directions {
		s.feedHeld(dir)
	}
	s.settle(core.NoDirection, s.e)
}

func (s *envoyStream) feedHeld(dir core.Direction) {
	c := s.c
	if c.held[dir] != 0 {
		s.ways[dir].stopped = true // by C, which has held it back without asking here
	}
	for c.held[dir] != 0 && !s.Chain.Busy(dir) {
		if c.replied != 0 || s.Reply.Begun {
			return
		}
		if c.held[dir]&C.HELD_DATA != 0 {
			trailers := c.held[dir]&C.HELD_TRAILERS != 0
			c.held[dir] &^= C.HELD_DATA
			p := s.takeHeld(dir) // Envoy has it no more, so it goes out even if it comes back as it is
			s.Chain.Data(dir, p, c.ended[dir] != 0 && !trailers)
			continue
		}
		c.held[dir] = 0
		fields := s.fetch(dir.Trailers())
		s.Load(dir.Trailers(), func(to []core.Field) []core.Field { return append(to, fields...) })
		s.Chain.Trailers(dir)
	}
}

// takeHeld takes our bytes out of Envoy's buffer.
func (s *envoyStream) takeHeld(dir core.Direction) []byte {
	chunks, n := s.bufferedChunks(dir)
	p := goBytes(chunks, n, int(s.c.foreign[dir]))
	C.free(unsafe.Pointer(chunks))
	C.moe_drain_ours(s.c, C.int(dir))
	return p
}

// load brings the event's headers or trailers into the chain's block. They stay where they are: in Envoy's memory, until
// leave returns them, or in that of C's copy, which lasts as long as the stream.
func (s *envoyStream) load(block int, e *C.moe_event) {
	if e.headers_n > core.MaxLent {
		s.Load(block, func(to []core.Field) []core.Field { return goFields(to, e.headers, e.headers_n) })
		return
	}
	s.Lend(block, lentFields(e.headers, e.headers_n))
	if e.kept == 0 {
		s.loans |= 1 << block
	}
}

// later are the messages that may come when those of a block have passed.
var later = [...]phase.Messages{
	core.RequestHeaders:   ^phase.RequestHeaders,
	core.RequestTrailers:  ^(phase.RequestHeaders | phase.RequestBody | phase.RequestTrailers),
	core.ResponseHeaders:  ^(phase.RequestHeaders | phase.ResponseHeaders),
	core.ResponseTrailers: phase.Complete,
}

// returnLoans gives Envoy's memory back before Envoy goes on.
func (s *envoyStream) returnLoans() {
	for block := range later {
		if s.loans&(1<<block) != 0 {
			dir := core.Direction(block / 2)
			needed := phase.Messages(s.c.wants)&later[block] != 0 || !s.Reply.Begun && !s.Dirs[dir].HeadersOut
			s.Return(block, needed)
		}
	}
	s.loans = 0
}

// missResponse tells the chain that Envoy's response has begun, where no plugin wanted its headers: a reply comes too late.
func (s *envoyStream) missResponse() {
	if s.Chain == nil || s.Chain.Replied || s.Dirs[core.Response].Met {
		return
	}
	if !s.Dirs[core.Request].Met {
		s.skip(core.Request)
	}
	s.skip(core.Response)
}

// skip notes that the headers of dir have passed by, because no plugin wanted them.
func (s *envoyStream) skip(dir core.Direction) {
	s.ways[dir].headersSent = true
	s.Skip(dir)
}
