package golang

/*
#include "gate.h"
*/
import "C"

import (
	"unsafe"

	"mosn.io/moe/framework/internal/core"
)

// moeGolangEvent is where C enters Go for all that concerns streams.
//
//export moeGolangEvent
func moeGolangEvent(e *C.golang_event) {
	t := threadOf(e.thread)
	t.Cross(logger, func() { t.event(e) }, func() { t.giveUp(e) })
}

func (t *thread) event(e *C.golang_event) {
	for _, c := range unsafe.Slice(e.finished, int(e.finished_n)) {
		t.finish(c)
	}
	switch {
	case e.kind == C.EVENT_UNUSED:
		if e.config != nil {
			unused(e.config)
		}
	case e.kind == C.EVENT_GONE:
		b := t.stream(e.stream).bound
		t.finish(e.stream)
		if b != nil {
			b.flush()
		}
	default:
		t.streamEvent(t.stream(e.stream), e)
	}
}

// giveUp answers a stream whose event has panicked.
func (t *thread) giveUp(e *C.golang_event) {
	if e.stream == nil {
		return
	}
	s := t.streams.Find(uint32(e.stream.slot), uint32(e.stream.life))
	if s == nil {
		return
	}
	defer func(outer *C.golang_event) { s.e = outer }(s.e)
	s.e = e
	s.reject("moe.panic")
	s.settleReply()
}

// streamEvent runs one crossing of a stream.
func (t *thread) streamEvent(s *envoyStream, e *C.golang_event) {
	outer := s.e
	s.e = e
	defer t.leave(s, outer)
	s.Enter(e.kind == C.EVENT_CALLED_BACK)
	if s.Chain == nil && !s.failed {
		s.start()
	}
	if s.failed {
		s.refuse()
		return
	}
	if s.done {
		return
	}
	if s.c.answered != 0 && e.kind != C.EVENT_HEADERS {
		s.missResponse()
	}
	s.Work()
	switch e.kind {
	case C.EVENT_HEADERS:
		s.onHeaders(e)
	case C.EVENT_DATA:
		s.onData(e)
		defer s.Dirs[e.dir].Forget()
	case C.EVENT_TRAILERS:
		s.onTrailers(e)
	case C.EVENT_COMPLETE:
		s.Complete()
		s.done = true
		return
	}
	s.Work()
	s.settle()
}

// missResponse tells the chain that Envoy's response has begun, where no plugin wanted anything of it: a reply comes too
// late.
func (s *envoyStream) missResponse() {
	if s.Chain.Replied || s.Dirs[core.Response].Met {
		return
	}
	if !s.Dirs[core.Request].Met {
		s.Skip(core.Request)
	}
	s.Skip(core.Response)
}

// wants reports whether the chain wants a phase now; Envoy may have entered for something else.
func (s *envoyStream) wants(bit C.uint32_t, dir core.Direction) bool {
	return C.uint32_t(s.Chain.Wants())&(bit<<(3*dir)) != 0
}

func (s *envoyStream) onHeaders(e *C.golang_event) {
	dir := core.Direction(e.dir)
	if dir == core.Response && !s.Dirs[core.Request].Met {
		s.Skip(core.Request)
	}
	s.Dirs[dir].Met = true
	w := &s.ways[dir]
	w.at, w.endIn = atHeaders, e.end != 0
	s.load(dir.Headers())
	if !s.Reply.Begun {
		s.Chain.Headers(dir, w.endIn)
	}
}

func (s *envoyStream) onData(e *C.golang_event) {
	dir := core.Direction(e.dir)
	d, w := &s.Dirs[dir], &s.ways[dir]
	if !s.wants(C.WANT_REQUEST_BODY, dir) && len(d.Out) == 0 && !s.Reply.Begun {
		e.status = C.STATUS_CONTINUE
		return
	}
	if !d.Met {
		s.Skip(dir)
	}
	w.at, w.endIn, w.buffer = atData, e.end != 0, e.buffer
	if s.Reply.Begun {
		return
	}
	chunk := s.received(dir, e)
	d.Feed(chunk)
	s.Chain.Data(dir, chunk, w.endIn)
}

// received copies the chunk of an event.
func (s *envoyStream) received(dir core.Direction, e *C.golang_event) []byte {
	if e.length == 0 {
		return nil
	}
	p := make([]byte, e.length)
	C.golang_host_FilterHttpGetBuffer(unsafe.Pointer(s.c.state[dir]), e.buffer, unsafe.Pointer(&p[0]))
	return p
}

func (s *envoyStream) onTrailers(e *C.golang_event) {
	dir := core.Direction(e.dir)
	d, w := &s.Dirs[dir], &s.ways[dir]
	if !s.wants(C.WANT_REQUEST_TRAILERS, dir) && len(d.Out) == 0 && !s.Reply.Begun {
		s.Remote(dir.Trailers())
		e.status = C.STATUS_CONTINUE
		return
	}
	if !d.Met {
		s.Skip(dir)
	}
	w.at, w.endIn = atTrailers, true
	s.load(dir.Trailers())
	if !s.Reply.Begun {
		s.Chain.Trailers(dir)
	}
}

// load copies headers or trailers, which Envoy shows now, into the chain's block.
func (s *envoyStream) load(block int) {
	s.Load(block, func(to []core.Field) []core.Field {
		var p *C.golang_string
		n := C.golang_copy(s.c, C.int(block), &p)
		return goFields(to, p, n)
	})
}
