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

// TellChanges hands the changes of a block to Envoy, in one crossing.
func (s *envoyStream) TellChanges(block int) {
	s.Chain.Mu.Lock()
	b := &s.Chain.H[block]
	var changes []byte
	if len(b.Changed) > 0 {
		changes = make([]byte, 0, 256)
		for i, name := range b.Changed {
			changes = appendChange(changes, b, name, i < 64 && b.Fresh&(1<<i) != 0)
		}
		b.ClearChanges()
	}
	s.Chain.Mu.Unlock()
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
func (s *envoyStream) settle() {
	if s.Reply.Begun {
		s.settleReply()
		return
	}
	for dir := range core.Directions {
		switch s.ways[dir].at {
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
func (s *envoyStream) hooked(dir core.Direction) bool {
	return s.e != nil && s.e.kind <= C.EVENT_TRAILERS && core.Direction(s.e.dir) == dir && s.e.stream == s.c
}

// answer lets Envoy go on with dir.
func (s *envoyStream) answer(dir core.Direction, status C.uint32_t) {
	w := &s.ways[dir]
	w.at, w.resumed = elsewhere, !s.hooked(dir)
	if !w.resumed {
		s.e.status = status
		return
	}
	C.golang_host_FilterHttpContinue(unsafe.Pointer(s.c.state[dir]), C.int(status))
}

// Where none of the functions below answers, Envoy waits: the answer to an event is STATUS_RUNNING unless they say so.

func (s *envoyStream) settleHeaders(dir core.Direction) {
	d, w := &s.Dirs[dir], &s.ways[dir]
	switch {
	case !d.HeadersOut && (w.endIn || s.Chain.Busy(dir)):
	case !d.HeadersOut: // a plugin waits for the body
		// Envoy collects a body that is wanted whole, and keeps its limit. It is not asked to later on, because then it
		// crashes where trailers have come meanwhile and no data.
		if s.hooked(dir) && s.Chain.OffloadBuffering(dir) {
			s.answer(dir, C.STATUS_BUFFER)
		} else {
			s.answer(dir, C.STATUS_WATERMARK)
		}
	case w.endIn && !d.EndOut:
	default:
		if w.endIn { // else what a pipe has written already goes with the next chunk, as Envoy has no place for it
			s.add(dir, false)
		}
		s.answer(dir, C.STATUS_CONTINUE)
	}
}

func (s *envoyStream) settleData(dir core.Direction) {
	d, w := &s.Dirs[dir], &s.ways[dir]
	switch {
	case w.injecting:
		d.Unshare()
	case s.Chain.Busy(dir):
		d.Unshare()
		s.inject(dir)
	case !d.HeadersOut && w.endIn:
		d.Unshare()
	case !d.HeadersOut: // the chain has it
		s.giveBack(dir)
	case w.endIn && !d.EndOut:
		d.Unshare()
	default:
		if !d.Untouched() {
			p, n := bytesOf(d.Out)
			C.golang_host_FilterHttpSetBufferHelper(unsafe.Pointer(s.c.state[dir]), w.buffer, p, n, C.Set)
		}
		d.Out = nil
		s.answer(dir, C.STATUS_CONTINUE)
	}
}

// giveBack has Envoy forget the chunk and go on without having passed anything on. Where Envoy gives us the chunk from
// within its own resuming, it takes that answer for a later one only: else it would not go on to trailers that wait.
func (s *envoyStream) giveBack(dir core.Direction) {
	w := &s.ways[dir]
	if w.resumed && s.hooked(dir) {
		w.at = elsewhere
		C.golang_host_FilterHttpContinue(unsafe.Pointer(s.c.state[dir]), C.STATUS_NO_BUFFER)
		return
	}
	s.answer(dir, C.STATUS_NO_BUFFER)
}

// inject hands Envoy what a pipe has written, while the pipe still works on the chunk. Envoy takes it from other
// threads only.
func (s *envoyStream) inject(dir core.Direction) {
	d := &s.Dirs[dir]
	if !d.HeadersOut || len(d.Out) == 0 {
		return
	}
	p := d.Out
	d.Out, s.ways[dir].injecting = nil, true
	go s.handle.inject(dir, p)
}

func (h *handle) inject(dir core.Direction, p []byte) {
	s := h.envoyStream
	var status C.CAPIStatus
	if !h.Do(func() {
		if status = C.CAPIFilterIsGone; !s.Gone() {
			data, n := bytesOf(p)
			status = C.golang_host_FilterHttpInjectData(unsafe.Pointer(s.c.state[dir]), data, n)
		}
	}) {
		return
	}
	h.Post(func() {
		s.ways[dir].injecting = false
		if status != C.CAPIOK { // then it goes with the rest
			s.Dirs[dir].Out = append(p, s.Dirs[dir].Out...)
		}
	})
}

func (s *envoyStream) settleTrailers(dir core.Direction) {
	if s.Chain.Busy(dir) || !s.Dirs[dir].TrailersOut {
		return
	}
	s.add(dir, true)
	s.answer(dir, C.STATUS_CONTINUE)
}

// add hands Envoy body where it has none: behind headers that end the stream, or before trailers.
func (s *envoyStream) add(dir core.Direction, streaming bool) {
	d, w := &s.Dirs[dir], &s.ways[dir]
	if len(d.Out) == 0 {
		return
	}
	out, at := d.Out, w.at
	d.Out, w.at = nil, elsewhere // as Envoy may call us for the response from within
	p, n := bytesOf(out)
	C.golang_host_FilterHttpAddData(unsafe.Pointer(s.c.state[dir]), p, n, C.bool(streaming))
	w.at = at
}
