package golang

/*
#include "gate.h"
*/
import "C"

import (
	"sync/atomic"
	"unsafe"

	"mosn.io/moe/framework/host/internal/exchange"
	"mosn.io/moe/framework/host/internal/inproc"
	"mosn.io/moe/framework/internal/core"
)

// envoyStream is the Go side of one stream of Envoy's. Its memory is used again for a later stream of the same thread. c is
// guarded by the Life; all else belongs to the stream's thread.
type envoyStream struct {
	inproc.Life
	c *C.golang_instance

	exchange.Exchange
	handle  *handle
	bound   *bound
	e       *C.golang_event // of the crossing under way
	ways    [2]way
	failed  bool   // there is no chain: the stream is refused
	done    bool   // OnComplete has run
	over    uint32 // the slot, where Envoy has destroyed the stream within an event of it
	refusal refusal
}

// Where Envoy is with a direction.
const (
	elsewhere  = iota // not with us: it will come with the next event
	atHeaders         // it waits for our answer to an event
	atData            //
	atTrailers        //
)

// way is what Envoy knows of one direction, and what it waits with.
type way struct {
	at        uint8
	endIn     bool // the event that Envoy waits with is the last
	resumed   bool // the last event was answered later: Envoy may give us the next from within that
	injecting bool // a goroutine hands Envoy what was written early
	buffer    C.uint64_t
}

// handle is a stream in one of its lives, as core.Host and core.Sink.
type handle struct {
	inproc.Handle
	*envoyStream
}

// start chooses the chain.
func (s *envoyStream) start() {
	conf, b, err := configOf(uint64(s.c.request.configId))
	if conf != nil {
		s.c.config = conf.c
	}
	if err != nil {
		conf.refuse(err)
		s.failed = true
		return
	}
	s.bound = b
	s.Start(b.chain, s.handle, s.handle, s)
	s.c.wants = C.uint32_t(b.chain.Wants())
	if s.e.kind != C.EVENT_HEADERS || s.e.dir != 0 {
		s.Remote(core.RequestHeaders)
	}
}

// leave ends a crossing; outer is the event of the one around it, if there is one.
func (s *envoyStream) leave(outer *C.golang_event) {
	defer func() {
		s.Leave()
		s.e = outer
	}()
	if s.Chain != nil && !s.done {
		wants := C.uint32_t(s.Chain.Wants())
		for dir := range core.Directions {
			if len(s.Dirs[dir].Out) > 0 { // it goes with the next chunk, or before the trailers
				wants |= (C.WANT_REQUEST_BODY | C.WANT_REQUEST_TRAILERS) << (3 * dir)
			}
		}
		s.c.wants = wants
	}
	if s.bound != nil {
		s.bound.flush()
	}
}

func setFlag(flag *C.uint32_t) { atomic.StoreUint32((*uint32)(unsafe.Pointer(flag)), 1) }

// finish ends this life: the chain's stream, if it has not completed, and whoever waits.
func (s *envoyStream) finish() {
	if s.Chain != nil && !s.done {
		s.Chain.Done()
	}
	s.End()
	s.c, s.handle, s.bound, s.e = nil, nil, nil, nil
	s.Exchange, s.ways = exchange.Exchange{}, [2]way{}
	s.failed, s.done, s.refusal = false, false, refusal{}
}

// The stream is the inproc.Door to itself.

// OnThread reports whether the caller runs in an event of the stream: Envoy answers only there.
func (s *envoyStream) OnThread() bool { return bool(C.golang_here(s.c)) }

// OnAny reports whether the caller runs in an event of any stream.
func (s *envoyStream) OnAny() bool { return bool(C.golang_in_event()) }

// Wake has the stream's thread enter Go: soon if Envoy waits for us, else at its next event. It has to be asked on another
// thread than Envoy's.
func (s *envoyStream) Wake() (coming bool) {
	if bool(C.golang_in_event()) {
		go s.handle.Handle.Wake()
		return false
	}
	switch C.golang_call_back(s.c) {
	case C.CAPIYield:
		return true
	case C.CAPINotInGo:
		setFlag(&s.c.attention)
	}
	return false
}

// Prepare does nothing: what Wake does takes no more than the stream.
func (*envoyStream) Prepare() {}

// Gone reports whether Envoy has destroyed the stream.
func (s *envoyStream) Gone() bool {
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&s.c.gone))) != 0
}

// Escape has the stream's end told at once.
func (s *envoyStream) Escape() { setFlag(&s.c.escaped) }
