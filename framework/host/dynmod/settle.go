package dynmod

/*
#include "moe.h"
*/
import "C"

import (
	"strconv"
	"unsafe"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/grpcstatus"
)

// reply is a response of the chain's own.
type reply struct {
	begun, sent, end bool
	headersEnd       bool
	body             []byte
}

// Headers takes headers that leave the chain.
func (h *handle) Headers(dir core.Direction, end bool) {
	s := h.s
	if dir == core.Response && s.st.Replied {
		s.reply.begun, s.reply.end = true, end
		return
	}
	d := &s.dirs[dir]
	d.headersOut, d.endOut = true, end
	s.tellChanges(dir.Headers())
}

// Data takes bytes that leave the chain.
func (h *handle) Data(dir core.Direction, p []byte, end bool) {
	s := h.s
	if dir == core.Response && s.st.Replied {
		s.reply.body, s.reply.end = append(s.reply.body, p...), end
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
	s.tellChanges(dir.Trailers())
}

// Reset ends the stream.
func (h *handle) Reset(reason string) {
	s := h.s
	s.reply = reply{begun: true, sent: true, end: true}
	writer{s.e}.reset("moe: " + reason)
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

// settle tells Envoy what has left the chain during an event. hook is the direction of the hook under way, or
// core.NoDirection.
func (s *stream) settle(hook core.Direction, e *C.moe_event) {
	if s.reply.begun {
		s.settleReply()
		if hook != core.NoDirection {
			e.status = C.STATUS_STOP
			if e.kind == C.EVENT_DATA {
				e.status = C.STATUS_NO_BUFFER
			}
		}
		return
	}
	for dir := range core.Directions {
		switch {
		case dir != hook:
			s.unshare(dir)
			if hook == core.NoDirection {
				s.settlePosted(dir)
			}
		case e.kind == C.EVENT_HEADERS:
			e.status = s.settleHeaders(dir)
		case e.kind == C.EVENT_DATA:
			e.status = s.settleData(dir)
		default:
			e.status = s.settleTrailers(dir)
		}
	}
}

// ready reports whether Envoy can be told to continue: not before the chain has passed the headers on, and not while
// Envoy would end the stream, because its input has ended, and the chain has not.
func (s *stream) ready(dir core.Direction) bool {
	d := &s.dirs[dir]
	return d.headersOut && (d.endOut || s.c.ended[dir] == 0)
}

// maxWaiting is how much may wait in out for the chain to come to rest.
const maxWaiting = 1 << 20

// waits reports whether a plugin still works on what it was given. What comes of it goes on outside of a hook, which
// Envoy allows only after a hook has stopped, and once for each stop: so Envoy stays stopped until the chain rests, or
// the answer to one message would wait for the next. The bound is for a peer that sends faster than plugins work.
func (s *stream) waits(dir core.Direction) bool {
	return s.st.Busy(dir) && len(s.dirs[dir].out) < maxWaiting
}

func (d *direction) stop(status C.uint32_t) C.uint32_t {
	d.stopped = true
	return status
}

func (d *direction) proceed() C.uint32_t {
	d.stopped, d.headersSent, d.out = false, true, nil
	return C.STATUS_CONTINUE
}

func (s *stream) settleHeaders(dir core.Direction) C.uint32_t {
	d := &s.dirs[dir]
	if !s.ready(dir) {
		return d.stop(C.STATUS_STOP)
	}
	if len(d.out) > 0 {
		writer{s.e}.appendBody(dir, d.out)
	}
	return d.proceed()
}

func (s *stream) settleData(dir core.Direction) C.uint32_t {
	d := &s.dirs[dir]
	// Envoy sends all that is in its buffer when we continue after a stop: with foreign bytes there, resume must do it.
	foreign := d.stopped && bool(C.moe_foreign(s.c, C.int(dir)))
	goOn := s.ready(dir) && !s.waits(dir)
	if goOn && !foreign {
		if !s.chunkBack {
			writer{s.e}.replaceChunk(dir, d.out)
		}
		return d.proceed()
	}
	s.unshare(dir)
	writer{s.e}.replaceChunk(dir, nil)
	if goOn {
		s.reschedule()
	}
	return d.stop(C.STATUS_NO_BUFFER)
}

func (s *stream) settleTrailers(dir core.Direction) C.uint32_t {
	d := &s.dirs[dir]
	if !s.ready(dir) {
		return d.stop(C.STATUS_STOP)
	}
	if len(d.out) == 0 && !d.stopped {
		return d.proceed()
	}
	if d.stopped && bool(C.moe_foreign(s.c, C.int(dir))) || !d.stopped && !bool(C.moe_no_buffer(s.c, C.int(dir))) {
		s.reschedule()
		return d.stop(C.STATUS_STOP)
	}
	if len(d.out) > 0 {
		writer{s.e}.appendBody(dir, d.out)
	}
	return d.proceed()
}

// settlePosted tells Envoy of what has left the chain outside of a hook. Where Envoy has not stopped, it waits for the
// next one.
func (s *stream) settlePosted(dir core.Direction) {
	d := &s.dirs[dir]
	if s.c.held[dir] != 0 { // Envoy may be continued once: when the chain has taken what is held
		return
	}
	if !d.stopped || !s.ready(dir) || s.waits(dir) || len(d.out) == 0 && d.headersSent && !d.endOut {
		return
	}
	writer{s.e}.resume(dir, d.out)
	d.proceed()
}

// reschedule has Envoy come back outside of the hook.
func (s *stream) reschedule() {
	s.mu.Lock()
	if s.c.scheduler == nil {
		s.c.scheduler = C.moe_scheduler(s.c)
	}
	s.commit()
	s.mu.Unlock()
}

// settleReply sends the chain's own response, at once if it is complete.
func (s *stream) settleReply() {
	r := &s.reply
	s.c.bytes[core.Response] += C.uint64_t(len(r.body))
	switch {
	case r.sent:
		if len(r.body) > 0 || r.end && !r.headersEnd {
			writer{s.e}.responseData(r.body, r.end)
		}
	case r.end:
		s.localReply()
	default:
		writer{s.e}.responseHeaders(s.st.H[core.ResponseHeaders].Fields, false)
		if len(r.body) > 0 {
			writer{s.e}.responseData(r.body, false)
		}
	}
	r.headersEnd = r.end
	r.sent, r.body = true, r.body[:0]
}

// localReply uses Envoy's local reply, which knows HEAD, gRPC, its own formats and the response code details. To gRPC
// requests Envoy sends trailers only, with the body as grpc-message. The status of a module's reply would always be
// OK, but one that is among the headers stands.
func (s *stream) localReply() {
	status, grpc := 200, s.isGRPC()
	fields := make([]core.Field, 0, maxHeaders)
	for _, f := range s.st.H[core.ResponseHeaders].Fields {
		switch {
		case f.Name == ":status":
			status, _ = strconv.Atoi(f.Value)
		case f.Name == "content-length" || len(fields) == maxHeaders-1: // Envoy sets the length itself
		case grpc && (f.Name == "grpc-status" || f.Name == "grpc-message" || f.Name == "content-type"):
		default:
			fields = append(fields, f)
		}
	}
	if grpc {
		code := s.st.ReplyGRPC
		if code < 0 {
			code = grpcstatus.OfHTTP(status)
		}
		fields = append(fields, core.Field{Name: "grpc-status", Value: strconv.Itoa(code)})
	}
	writer{s.e}.response(status, s.st.ReplyDetails, fields, s.reply.body)
}

// tellChanges has Envoy carry out what plugins have changed in a block.
func (s *stream) tellChanges(block int) { writer{s.e}.writeChanges(block, &s.st.H[block]) }

func (s *stream) isGRPC() bool {
	for _, f := range s.requestFields() {
		if f.Name == "content-type" {
			return grpcstatus.IsRequest(f.Value)
		}
	}
	return false
}

func (s *stream) requestFields() []core.Field {
	if b := &s.st.H[core.RequestHeaders]; b.Present {
		return b.Fields
	}
	return s.fetch(core.RequestHeaders)
}
