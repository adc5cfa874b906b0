package golang

/*
#include "gate.h"
*/
import "C"

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"unsafe"

	"mosn.io/moe/framework/internal/core"
)

// moeGolangEvent is where C enters Go for all that concerns streams.
//
//export moeGolangEvent
func moeGolangEvent(e *C.golang_event) {
	defer func() {
		// Plugins' panics are the chain's to catch. One that arrives here is the framework's, and must not take Envoy down.
		if p := recover(); p != nil {
			logPanic("framework panic", p)
			if e.stream != nil && e.stream.slot != 0 {
				threads.Of(uint32(e.thread)).streams.At(uint32(e.stream.slot)).give(e)
			}
		}
	}()
	t := threads.Of(uint32(e.thread))
	for _, c := range unsafe.Slice(e.finished, int(e.finished_n)) {
		t.finish(c.slot)
	}
	switch {
	case e.kind == C.EVENT_UNUSED:
		if e.config != nil {
			unused(e.config)
		}
	case e.kind == C.EVENT_GONE:
		s := t.stream(e.stream)
		b := s.bound
		t.finish(e.stream.slot)
		if b != nil {
			b.flush()
		}
	default:
		t.stream(e.stream).event(e)
	}
}

func logPanic(what string, p any, attrs ...any) {
	slog.New(logger).Error(what, append(attrs, "value", fmt.Sprint(p), "stack", string(debug.Stack()))...)
}

// give up on a stream whose event has panicked.
func (s *stream) give(e *C.golang_event) {
	s.e = e
	s.reply = reply{begun: true, end: true, status: 500, details: "moe.panic"}
	s.settleReply()
}

// event runs one crossing.
func (s *stream) event(e *C.golang_event) {
	outer := s.e
	s.enter(e)
	defer s.leave(outer)
	if s.st == nil && !s.failed {
		s.start()
	}
	if s.failed {
		s.refuse()
		return
	}
	if s.done {
		return
	}
	s.work()
	switch e.kind {
	case C.EVENT_HEADERS:
		s.onHeaders(e)
	case C.EVENT_DATA:
		s.onData(e)
	case C.EVENT_TRAILERS:
		s.onTrailers(e)
	case C.EVENT_COMPLETE:
		s.complete()
		return
	}
	s.work()
	s.settle()
	s.chunk = nil
}

// wants reports whether the chain wants a phase now; Envoy may have entered for something else.
func (s *stream) wants(bit C.uint32_t, dir core.Direction) bool {
	return C.uint32_t(s.st.Wants())&(bit<<(3*dir)) != 0
}

func (s *stream) onHeaders(e *C.golang_event) {
	dir := core.Direction(e.dir)
	d := &s.dirs[dir]
	if dir == core.Response && !s.dirs[core.Request].met {
		s.skip(core.Request)
	}
	d.at, d.met, d.endIn = atHeaders, true, e.end != 0
	s.load(dir.Headers())
	if !s.reply.begun {
		s.st.Headers(dir, d.endIn)
	}
}

func (s *stream) onData(e *C.golang_event) {
	dir := core.Direction(e.dir)
	d := &s.dirs[dir]
	if !s.wants(C.WANT_REQUEST_BODY, dir) && len(d.out) == 0 && !s.reply.begun {
		e.status = C.STATUS_CONTINUE
		return
	}
	if !d.met {
		s.skip(dir)
	}
	d.at, d.endIn, d.buffer = atData, e.end != 0, e.buffer
	if s.reply.begun {
		return
	}
	// If it comes back as it is, Envoy has it already.
	s.chunk, s.chunkDir, s.chunkBack = s.received(dir, e), dir, false
	s.st.Data(dir, s.chunk, d.endIn)
}

// received copies the chunk of an event.
func (s *stream) received(dir core.Direction, e *C.golang_event) []byte {
	if e.length == 0 {
		return nil
	}
	p := make([]byte, e.length)
	C.golang_host_FilterHttpGetBuffer(unsafe.Pointer(s.c.state[dir]), e.buffer, unsafe.Pointer(&p[0]))
	return p
}

func (s *stream) onTrailers(e *C.golang_event) {
	dir := core.Direction(e.dir)
	d := &s.dirs[dir]
	if !s.wants(C.WANT_REQUEST_TRAILERS, dir) && len(d.out) == 0 && !s.reply.begun {
		s.remote(dir.Trailers())
		e.status = C.STATUS_CONTINUE
		return
	}
	if !d.met {
		s.skip(dir)
	}
	d.at, d.endIn = atTrailers, true
	s.load(dir.Trailers())
	if !s.reply.begun {
		s.st.Trailers(dir)
	}
}

// load copies headers or trailers, which Envoy shows now, into the chain's block.
func (s *stream) load(block int) {
	var p *C.golang_string
	n := C.golang_copy(s.c, C.int(block), &p)
	s.st.Mu.Lock()
	b := &s.st.H[block]
	b.Fields, b.Present = goFields(b.Fields[:0], p, n), true
	s.st.Mu.Unlock()
}

// remote notes that a block has passed by, so that a plugin that asks for it later gets it from Envoy if that shows it.
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
	d.met, d.headersOut = true, true
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
