package dynmod

/*
#include "moe.h"
*/
import "C"

import (
	"sync/atomic"
	"unsafe"

	"mosn.io/moe/framework/host/internal/exchange"
	"mosn.io/moe/framework/host/internal/inproc"
	"mosn.io/moe/framework/internal/core"
)

// envoyStream is the Go side of one filter instance of Envoy's. Its memory is used again for a later one of the same
// thread. c, thread and callouts are guarded by the Life; all else belongs to the stream's thread.
type envoyStream struct {
	inproc.Life
	c        *C.moe_instance
	thread   *thread
	callouts callouts

	exchange.Exchange
	handle *handle
	conf   *filterConfig
	bound  *bound
	e      *C.moe_event // of the crossing under way
	ways   [2]way
	loans  uint8 // bit i: block i is in Envoy's memory, until the crossing ends
	failed bool  // there is no chain: the stream is refused
	done   bool  // OnComplete has run

	replyEnded bool // Envoy knows of the reply's end
	spans      spans
}

// way is what Envoy knows of one direction.
type way struct {
	headersSent bool // Envoy has gone on with the headers
	stopped     bool // it waits for us to continue
}

// handle is a stream in one of its lives, as core.Host and core.Sink.
type handle struct {
	inproc.Handle
	*envoyStream
}

// start chooses the chain.
func (s *envoyStream) start() {
	conf := configs.Get(uint32(s.c.config.id))
	b, err := conf.bound(uint32(s.e.route))
	if err != nil {
		conf.refuse(uint32(s.e.route), err)
		s.failed = true
		return
	}
	s.conf, s.bound = conf, b
	s.Start(b.chain, s.handle, s.handle, s)
	s.c.wants, s.c.constants = b.wants, b.constants
	if s.e.kind != C.EVENT_HEADERS || s.e.dir != 0 {
		s.Remote(core.RequestHeaders)
	}
}

// refuse answers a stream whose configuration could not be made into a chain: no request passes unchecked.
func (s *envoyStream) refuse() {
	if s.e.kind != C.EVENT_HEADERS || s.Reply.Sent {
		return
	}
	s.Reply.Sent = true
	s.write().response(500, "moe.configuration", nil, nil)
	s.e.status = C.STATUS_STOP
}

// write returns the writer of the answer to the event under way.
func (s *envoyStream) write() writer { return writer{s.e} }

// leave ends a crossing; outer is the event of the one around it, if there is one.
func (s *envoyStream) leave(outer *C.moe_event) {
	if s.loans != 0 {
		s.returnLoans()
	}
	s.Leave()
	s.e = outer
}

// report tells C what the chain has come to, and Envoy what was counted.
func (s *envoyStream) report() {
	switch {
	case s.Chain == nil || s.done:
	case s.Chain.Steady():
		s.c.wants, s.c.busy = s.bound.wants, [core.Directions]C.uint8_t{}
	default:
		s.c.wants, s.c.constants = offer(s.Chain)
		for dir := range core.Directions {
			s.c.busy[dir] = cbool(s.Chain.Busy(dir))
		}
	}
	if s.bound != nil && s.e.kind != C.EVENT_GONE {
		s.bound.flush(s.write())
	}
}

// finish ends this life: the chain's stream, if it has not completed, and whoever waits.
func (s *envoyStream) finish() {
	if s.Chain != nil && !s.done {
		s.Chain.Done()
	}
	s.endSpans()
	s.End()
	for _, c := range s.callouts.end() {
		c.fail(core.ErrStreamDone)
	}
	s.c.completed = 1 // C frees it
	s.c, s.handle, s.conf, s.bound, s.e = nil, nil, nil, nil, nil
	s.Exchange, s.ways, s.loans = exchange.Exchange{}, [2]way{}, 0
	s.failed, s.done, s.replyEnded, s.spans = false, false, false, spans{}
}

func cbool(b bool) C.uint8_t {
	if b {
		return 1
	}
	return 0
}

// The stream is the inproc.Door to itself.

// OnThread reports whether the caller runs on the stream's thread: there nobody else uses Envoy's side.
func (s *envoyStream) OnThread() bool { return bool(C.moe_on_thread(C.uint32_t(s.thread.number))) }

// OnAny reports whether the caller runs on one of Envoy's threads.
func (s *envoyStream) OnAny() bool { return bool(C.moe_on_envoy_thread()) }

// Wake has the stream's thread enter Go: at once if there is a scheduler, else at Envoy's next event.
func (s *envoyStream) Wake() bool {
	if s.c.scheduler != nil {
		C.moe_commit(s.c)
		return true
	}
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&s.c.attention)), 1)
	return false
}

// Prepare makes the stream's scheduler.
func (s *envoyStream) Prepare() {
	if s.c.scheduler == nil && s.c.envoy != nil && !s.done {
		s.c.scheduler = C.moe_scheduler(s.c)
	}
}

// Gone reports whether Envoy has destroyed the filter.
func (s *envoyStream) Gone() bool {
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&s.c.gone))) != 0
}

// Escape has the stream get a scheduler, and its end told at once.
func (s *envoyStream) Escape() { s.c.escaped = 1 }
