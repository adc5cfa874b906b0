package golang

/*
#include "gate.h"
*/
import "C"

import (
	"encoding/binary"
	"unsafe"

	"mosn.io/moe/framework/internal/core"
)

// Headers takes headers that leave the chain.
func (h *handle) Headers(dir core.Direction, end bool) {
	s := h.s
	if dir == core.Response && s.st.Replied {
		s.begin(end)
		return
	}
	d := &s.dirs[dir]
	d.headersOut, d.endOut = true, end
	s.change(dir.Headers())
}

// Data takes bytes that leave the chain.
func (h *handle) Data(dir core.Direction, p []byte, end bool) {
	s := h.s
	if dir == core.Response && s.st.Replied {
		s.reply.add(p, end)
		return
	}
	d := &s.dirs[dir]
	d.endOut = end
	if s.chunk != nil && s.chunkDir == dir && !s.chunkBack && len(d.out) == 0 && same(p, s.chunk) {
		s.chunkBack = true
		return
	}
	s.unshare(dir)
	d.out = append(d.out, p...)
}

// Trailers takes trailers that leave the chain.
func (h *handle) Trailers(dir core.Direction) {
	s := h.s
	if dir == core.Response && s.st.Replied {
		s.reply.end = true
		return
	}
	d := &s.dirs[dir]
	d.endOut, d.trailersOut = true, true
	s.change(dir.Trailers())
}

func same(p, q []byte) bool {
	return len(p) == len(q) && (len(p) == 0 || unsafe.SliceData(p) == unsafe.SliceData(q))
}

// unshare makes the untouched chunk part of out, because something else goes with it.
func (s *stream) unshare(dir core.Direction) {
	if s.chunkBack && s.chunkDir == dir {
		s.chunkBack = false
		s.dirs[dir].out = append(s.dirs[dir].out, s.chunk...)
		s.chunk = nil
	}
}

// change hands the changes of a block to Envoy, in one crossing.
func (s *stream) change(block int) {
	s.st.Mu.Lock()
	b := &s.st.H[block]
	var changes []byte
	if len(b.Changed) > 0 {
		changes = make([]byte, 0, 256)
		for i, name := range b.Changed {
			changes = appendChange(changes, b, name, i < 64 && b.Fresh&(1<<i) != 0)
		}
		b.ClearChanges()
	}
	s.st.Mu.Unlock()
	if len(changes) > 0 {
		C.golang_change(s.c, C.int(block), (*C.uint8_t)(unsafe.Pointer(&changes[0])), C.size_t(len(changes)))
	}
}

// appendChange writes what has become of the fields called name; fresh tells that Envoy has none yet.
func appendChange(p []byte, b *core.Block, name string, fresh bool) []byte {
	kind := byte(C.CHANGE_SET)
	if fresh {
		kind = C.CHANGE_ADD
	}
	found := fresh
	for i := range b.Fields {
		if b.Fields[i].Name == name {
			p = appendField(append(p, kind), b.Fields[i])
			kind, found = C.CHANGE_ADD, true
		}
	}
	if !found {
		p = appendField(append(p, C.CHANGE_REMOVE), core.Field{Name: name})
	}
	return p
}

func appendField(p []byte, f core.Field) []byte {
	p = binary.NativeEndian.AppendUint32(p, uint32(len(f.Name)))
	p = binary.NativeEndian.AppendUint32(p, uint32(len(f.Value)))
	return append(append(p, f.Name...), f.Value...)
}

// settle tells Envoy what has left the chain.
func (s *stream) settle() {
	if s.reply.begun {
		s.settleReply()
		return
	}
	for dir := range core.Directions {
		switch s.dirs[dir].at {
		case atHeaders:
			s.settleHeaders(dir)
		case atData:
			s.settleData(dir)
		case atTrailers:
			s.settleTrailers(dir)
		}
	}
}

// hooked reports whether the event under way is one of dir, so that its answer is what it returns.
func (s *stream) hooked(dir core.Direction) bool {
	return s.e != nil && s.e.kind <= C.EVENT_TRAILERS && core.Direction(s.e.dir) == dir && s.e.stream == s.c
}

// answer lets Envoy go on with dir.
func (s *stream) answer(dir core.Direction, status C.uint32_t) {
	d := &s.dirs[dir]
	d.at, d.resumed = elsewhere, !s.hooked(dir)
	if !d.resumed {
		s.e.status = status
		return
	}
	C.golang_host_FilterHttpContinue(unsafe.Pointer(s.c.state[dir]), C.int(status))
}

// Where none of the functions below answers, Envoy waits: the answer to an event is STATUS_RUNNING unless they say so.

func (s *stream) settleHeaders(dir core.Direction) {
	d := &s.dirs[dir]
	switch {
	case !d.headersOut && (d.endIn || s.st.Busy(dir)):
	case !d.headersOut: // a plugin waits for the body
		// Envoy collects a body that is wanted whole, and keeps its limit. It is not asked to later on, because then it
		// crashes where trailers have come meanwhile and no data.
		if s.hooked(dir) && s.st.OffloadBuffering(dir) {
			s.answer(dir, C.STATUS_BUFFER)
		} else {
			s.answer(dir, C.STATUS_WATERMARK)
		}
	case d.endIn && !d.endOut:
	default:
		if d.endIn { // else what a pipe has written already goes with the next chunk, as Envoy has no place for it
			s.add(dir, false)
		}
		s.answer(dir, C.STATUS_CONTINUE)
	}
}

func (s *stream) settleData(dir core.Direction) {
	d := &s.dirs[dir]
	switch {
	case d.injecting:
		s.unshare(dir)
	case s.st.Busy(dir):
		s.unshare(dir)
		s.inject(dir)
	case !d.headersOut && d.endIn:
		s.unshare(dir)
	case !d.headersOut: // the chain has it
		s.giveBack(dir)
	case d.endIn && !d.endOut:
		s.unshare(dir)
	default:
		if !s.chunkBack || s.chunkDir != dir {
			p, n := bytesOf(d.out)
			C.golang_host_FilterHttpSetBufferHelper(unsafe.Pointer(s.c.state[dir]), d.buffer, p, n, C.Set)
		}
		d.out = nil
		s.answer(dir, C.STATUS_CONTINUE)
	}
}

// giveBack has Envoy forget the chunk and go on without having passed anything on. Where Envoy gives us the chunk from
// within its own resuming, it takes that answer for a later one only: else it would not go on to trailers that wait.
func (s *stream) giveBack(dir core.Direction) {
	d := &s.dirs[dir]
	if d.resumed && s.hooked(dir) {
		d.at = elsewhere
		C.golang_host_FilterHttpContinue(unsafe.Pointer(s.c.state[dir]), C.STATUS_NO_BUFFER)
		return
	}
	s.answer(dir, C.STATUS_NO_BUFFER)
}

// inject hands Envoy what a pipe has written, while the pipe still works on the chunk. Envoy takes it from other
// threads only.
func (s *stream) inject(dir core.Direction) {
	d := &s.dirs[dir]
	if !d.headersOut || len(d.out) == 0 {
		return
	}
	p := d.out
	d.out, d.injecting = nil, true
	go s.handle.inject(dir, p)
}

func (h *handle) inject(dir core.Direction, p []byte) {
	s := h.s
	s.mu.Lock()
	if s.gen != h.gen || s.gone() {
		s.mu.Unlock()
		return
	}
	data, n := bytesOf(p)
	status := C.golang_host_FilterHttpInjectData(unsafe.Pointer(s.c.state[dir]), data, n)
	s.mu.Unlock()
	h.Post(func() {
		d := &s.dirs[dir]
		d.injecting = false
		if status != C.CAPIOK { // then it goes with the rest
			d.out = append(p, d.out...)
		}
	})
}

func (s *stream) settleTrailers(dir core.Direction) {
	d := &s.dirs[dir]
	if s.st.Busy(dir) || !d.trailersOut {
		return
	}
	s.add(dir, true)
	s.answer(dir, C.STATUS_CONTINUE)
}

// add hands Envoy body where it has none: behind headers that end the stream, or before trailers.
func (s *stream) add(dir core.Direction, streaming bool) {
	d := &s.dirs[dir]
	if len(d.out) == 0 {
		return
	}
	out, at := d.out, d.at
	d.out, d.at = nil, elsewhere // as Envoy may call us for the response from within
	p, n := bytesOf(out)
	C.golang_host_FilterHttpAddData(unsafe.Pointer(s.c.state[dir]), p, n, C.bool(streaming))
	d.at = at
}
