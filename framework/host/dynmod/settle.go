package dynmod

/*
#include "moe.h"
*/
import "C"

import (
	"strconv"

	"mosn.io/moe/framework/host/internal/exchange"
	"mosn.io/moe/framework/internal/core"
)

// Reset ends the stream.
func (s *envoyStream) Reset(reason string) {
	s.Reply = exchange.Reply{Begun: true, Sent: true, End: true}
	s.replyEnded = true
	s.write().reset("moe: " + reason)
}

// TellChanges has Envoy carry out what plugins have changed in a block.
func (s *envoyStream) TellChanges(block int) { s.write().changes(block, &s.Chain.H[block]) }

// settle tells Envoy what has left the chain during an event. hook is the direction of the hook under way, or
// core.NoDirection.
func (s *envoyStream) settle(hook core.Direction, e *C.moe_event) {
	if s.Reply.Begun {
		s.settleReply()
		if hook != core.NoDirection {
			e.status = C.STATUS_STOP
			if e.kind == C.EVENT_DATA {
				e.status = C.STATUS_NO_BUFFER
			}
		}
		return
	}
	if e.kind == C.EVENT_HEADERS && len(s.Dirs[hook].Out) == 0 && !s.Dirs[1-hook].Untouched() && s.ready(hook) {
		e.status = s.proceed(hook) // as nearly always
		return
	}
	for dir := range core.Directions {
		switch {
		case dir != hook:
			s.Dirs[dir].Unshare()
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

// ready reports whether Envoy may continue: not before the chain has passed the headers on, and not while
// Envoy would end the stream, because its input has ended, and the chain has not.
func (s *envoyStream) ready(dir core.Direction) bool {
	d := &s.Dirs[dir]
	return d.HeadersOut && (d.EndOut || s.c.ended[dir] == 0)
}

// maxWaiting is how much may wait for the chain to come to rest.
const maxWaiting = 1 << 20

// waits reports whether a plugin still works on what it was given. What comes of it goes on outside of a hook, which
// Envoy allows only after a hook has stopped, and once for each stop: so Envoy stays stopped until the chain rests, or
// the answer to one message would wait for the next. The bound is for a peer that sends faster than plugins work.
func (s *envoyStream) waits(dir core.Direction) bool {
	return s.Chain.Busy(dir) && len(s.Dirs[dir].Out) < maxWaiting
}

func (s *envoyStream) stop(dir core.Direction, status C.uint32_t) C.uint32_t {
	s.ways[dir].stopped = true
	return status
}

func (s *envoyStream) proceed(dir core.Direction) C.uint32_t {
	s.ways[dir] = way{headersSent: true}
	s.Dirs[dir].Out = nil
	return C.STATUS_CONTINUE
}

func (s *envoyStream) settleHeaders(dir core.Direction) C.uint32_t {
	if !s.ready(dir) {
		return s.stop(dir, C.STATUS_STOP)
	}
	s.appendOut(dir)
	return s.proceed(dir)
}

// appendOut puts what has left the chain behind what Envoy has buffered.
func (s *envoyStream) appendOut(dir core.Direction) {
	if out := s.Dirs[dir].Out; len(out) > 0 {
		s.write().appendBody(dir, out)
	}
}

func (s *envoyStream) settleData(dir core.Direction) C.uint32_t {
	d := &s.Dirs[dir]
	// Envoy sends all that is in its buffer when we continue after a stop: with foreign bytes there, resume must do it.
	foreign := s.ways[dir].stopped && bool(C.moe_foreign(s.c, C.int(dir)))
	goOn := s.ready(dir) && !s.waits(dir)
	if goOn && !foreign {
		if !d.Untouched() {
			s.write().replaceChunk(dir, d.Out)
		}
		return s.proceed(dir)
	}
	d.Unshare()
	s.write().replaceChunk(dir, nil)
	if goOn {
		s.CallBack()
	}
	return s.stop(dir, C.STATUS_NO_BUFFER)
}

func (s *envoyStream) settleTrailers(dir core.Direction) C.uint32_t {
	stopped := s.ways[dir].stopped
	switch {
	case !s.ready(dir):
		return s.stop(dir, C.STATUS_STOP)
	case len(s.Dirs[dir].Out) == 0 && !stopped:
	case stopped && bool(C.moe_foreign(s.c, C.int(dir))), !stopped && !bool(C.moe_no_buffer(s.c, C.int(dir))):
		s.CallBack()
		return s.stop(dir, C.STATUS_STOP)
	default:
		s.appendOut(dir)
	}
	return s.proceed(dir)
}

// settlePosted tells Envoy of what has left the chain outside of a hook. Where Envoy has not stopped, it waits for the
// next one.
func (s *envoyStream) settlePosted(dir core.Direction) {
	d, w := &s.Dirs[dir], &s.ways[dir]
	switch {
	case s.c.held[dir] != 0: // Envoy may be continued once: when the chain has taken what is held
	case !w.stopped || !s.ready(dir) || s.waits(dir):
	case len(d.Out) == 0 && w.headersSent && !d.EndOut: // there is nothing to tell
	default:
		s.write().resume(dir, d.Out)
		s.proceed(dir)
	}
}

// settleReply sends the chain's own response, at once if it is complete.
func (s *envoyStream) settleReply() {
	r := &s.Reply
	s.c.bytes[core.Response] += C.uint64_t(len(r.Body))
	switch {
	case r.Sent:
		if len(r.Body) > 0 || r.End && !s.replyEnded {
			s.write().responseData(r.Body, r.End)
		}
	case r.End:
		s.localReply()
	default:
		s.write().responseHeaders(s.Chain.H[core.ResponseHeaders].Fields, false)
		if len(r.Body) > 0 {
			s.write().responseData(r.Body, false)
		}
	}
	s.replyEnded = r.End
	r.Sent, r.Body = true, r.Body[:0]
}

// localReply uses Envoy's local reply, which knows HEAD, gRPC, its own formats and the response code details. The gRPC
// status of a module's reply would always be OK, but one that is among the headers stands.
func (s *envoyStream) localReply() {
	status, grpc := s.ReplyStatus(), exchange.IsGRPC(s.requestFields())
	fields := make([]core.Field, 0, maxHeaders)
	for f := range s.ReplyFields(grpc) {
		if len(fields) < maxHeaders-1 {
			fields = append(fields, f)
		}
	}
	if grpc {
		fields = append(fields, core.Field{Name: "grpc-status", Value: strconv.Itoa(s.ReplyGRPC(status))})
	}
	s.write().response(status, s.Chain.ReplyDetails, fields, s.Reply.Body)
}

// requestFields returns the request's headers. Plugins may ask for what is in them from newStream, when there is no chain yet.
func (s *envoyStream) requestFields() []core.Field {
	if s.Chain != nil {
		if b := &s.Chain.H[core.RequestHeaders]; b.Present {
			return b.Fields
		}
	}
	return s.fetch(core.RequestHeaders)
}
