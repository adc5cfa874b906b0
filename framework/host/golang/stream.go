package golang

/*
#include "gate.h"
*/
import "C"

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/internal/core"
)

// stream is the Go side of one stream of Envoy's. Its memory is used again for a later stream of the same thread; gen
// tells the lives apart.
type stream struct {
	mu     sync.Mutex // guards the fields up to rung, and every use of c by other goroutines
	gen    uint32
	inside int // how many crossings are on the stack: while there is one, the stream may be used
	c      *C.golang_stream
	calls  []call   // for Envoy's side, waiting for the next crossing
	posts  []func() // for the chain, likewise
	rung   bool     // Envoy will come back

	// The stream's thread only.
	handle *handle
	bound  *bound
	st     *chain.Stream
	e      *C.golang_event // of the crossing under way
	dirs   [2]direction
	failed bool // there is no chain: the stream is refused
	done   bool // OnComplete has run
	reply  reply

	chunk     []byte // what Envoy has received, as the chain was given it
	chunkDir  core.Direction
	chunkBack bool // the chain has passed chunk on untouched, and nothing before it
}

// Where Envoy is with a direction.
const (
	elsewhere  = iota // not with us: it will come with the next event
	atHeaders         // it waits for our answer to an event
	atData            //
	atTrailers        //
)

// direction is what has become of one direction of a stream.
type direction struct {
	at          uint8
	met         bool // the chain has seen the headers, or they have been skipped
	headersOut  bool // the chain has passed the headers on
	endIn       bool // the event that Envoy waits with is the last
	endOut      bool // the chain has ended the direction
	trailersOut bool // with trailers
	resumed     bool // the last event was answered later: Envoy may give us the next from within that
	injecting   bool // a goroutine hands Envoy what was written early
	buffer      C.uint64_t
	out         []byte // what the chain has passed on and Envoy has not got
}

// handle is a stream in one of its lives, as core.Host and core.Sink.
type handle struct {
	s   *stream
	gen uint32
}

// call is something to be done with Envoy's side of a stream, on its thread.
type call struct {
	run  func(*stream)
	drop func() // instead of run, when the stream is gone
}

// start chooses the chain.
func (s *stream) start() {
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
	s.st = b.chain.Start(s.handle, s.handle)
	s.c.wants = C.uint32_t(s.st.Wants())
	if s.e.kind != C.EVENT_HEADERS || s.e.dir != 0 {
		s.remote(core.RequestHeaders)
	}
}

// enter begins a crossing and serves the calls that have waited for it.
func (s *stream) enter(e *C.golang_event) {
	s.mu.Lock()
	s.inside++
	s.e = e
	if e.kind == C.EVENT_RUNG {
		s.rung = false
	}
	s.mu.Unlock()
}

// work does what other goroutines have left for the stream's thread.
func (s *stream) work() {
	for range 64 { // and then Envoy has its turn again
		s.mu.Lock()
		calls, posts := s.calls, s.posts
		s.calls, s.posts = nil, nil
		s.mu.Unlock()
		if len(calls) == 0 && len(posts) == 0 {
			return
		}
		for _, f := range calls {
			f.run(s)
		}
		for _, f := range posts {
			f()
		}
	}
}

// leave ends a crossing; outer is the one around it, if there is one.
func (s *stream) leave(outer *C.golang_event) {
	if s.st != nil && !s.done {
		wants := C.uint32_t(s.st.Wants())
		for dir := range core.Directions {
			if len(s.dirs[dir].out) > 0 { // it goes with the next chunk, or before the trailers
				wants |= (C.WANT_REQUEST_BODY | C.WANT_REQUEST_TRAILERS) << (3 * dir)
			}
		}
		s.c.wants = wants
	}
	if s.bound != nil {
		s.bound.flush()
	}
	s.mu.Lock()
	s.inside--
	s.e = outer
	if s.inside == 0 && (len(s.posts) > 0 || len(s.calls) > 0) {
		go s.handle.ring()
	}
	s.mu.Unlock()
}

// ring has Envoy come back, from a goroutine that is not on its thread.
func (h *handle) ring() {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.s.gen == h.gen && h.s.inside == 0 {
		h.s.wake()
	}
}

// wake has the stream's thread enter Go: soon if Envoy waits for us, else at its next event. s.mu is held, and nothing
// is inside.
func (s *stream) wake() {
	if s.rung {
		return
	}
	switch C.golang_ring(s.c) {
	case C.CAPIYield:
		s.rung = true
	case C.CAPIOK: // this is Envoy's thread, in the midst of another stream's event
		go s.handle.ring()
	case C.CAPINotInGo:
		setFlag(&s.c.attention)
	}
}

func setFlag(flag *C.uint32_t) { atomic.StoreUint32((*uint32)(unsafe.Pointer(flag)), 1) }

// gone reports whether Envoy has destroyed the stream. s.mu is held.
func (s *stream) gone() bool { return atomic.LoadUint32((*uint32)(unsafe.Pointer(&s.c.gone))) != 0 }

// finish ends this life: the chain's stream, if it has not completed, and whoever waits.
func (s *stream) finish() {
	if s.st != nil && !s.done {
		s.st.Done()
	}
	s.mu.Lock()
	s.gen++
	calls := s.calls
	s.calls, s.posts, s.rung, s.inside, s.c = nil, nil, false, 0, nil
	s.mu.Unlock()
	for _, f := range calls {
		f.drop()
	}
	s.handle, s.bound, s.st, s.e, s.chunk = nil, nil, nil, nil, nil
	s.dirs, s.failed, s.done, s.chunkBack, s.reply = [2]direction{}, false, false, false, reply{}
}

// Host and sink.

// Escaped notes that other goroutines may use the stream, so that they hear of its end at once.
func (h *handle) Escaped() {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.s.gen == h.gen {
		setFlag(&h.s.c.escaped)
	}
}

// Post runs f on the stream's thread.
func (h *handle) Post(f func()) {
	s := h.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen != h.gen {
		return
	}
	s.posts = append(s.posts, f)
	if s.inside == 0 {
		s.wake()
	}
}

// do runs f with Envoy's side of the stream, and waits for the stream's thread if that is not in Go now.
func (h *handle) do(f func(*stream)) error {
	s := h.s
	s.mu.Lock()
	if s.gen != h.gen {
		s.mu.Unlock()
		return core.ErrStreamDone
	}
	if s.here() {
		s.mu.Unlock()
		f(s)
		return nil
	}
	done := make(chan error, 1)
	s.calls = append(s.calls, call{
		run:  func(s *stream) { f(s); done <- nil },
		drop: func() { done <- core.ErrStreamDone },
	})
	setFlag(&s.c.escaped) // who waits must hear of the end
	if s.inside == 0 {
		s.wake()
	}
	gone := s.gone() // after escaped was set, as C looks for that after it has set gone
	s.mu.Unlock()
	if gone {
		return core.ErrStreamDone
	}
	return <-done
}

// here reports whether this goroutine is in an event of the stream. s.mu is held.
func (s *stream) here() bool { return s.inside > 0 && bool(C.golang_here(s.c)) }

// later runs f like do, but does not wait: a change need only be there before the stream goes on.
func (h *handle) later(f func(*stream)) error {
	s := h.s
	s.mu.Lock()
	if s.gen != h.gen || s.gone() {
		s.mu.Unlock()
		return core.ErrStreamDone
	}
	if s.here() {
		s.mu.Unlock()
		f(s)
		return nil
	}
	s.calls = append(s.calls, call{run: f, drop: func() {}})
	s.mu.Unlock()
	return nil
}
