package dynmod

/*
#include "moe.h"
*/
import "C"

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"unsafe"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/internal/core"
)

// stream is the Go side of one stream of Envoy's. Its memory is used again for a later stream of the same thread; gen
// tells the lives apart.
type stream struct {
	mu        sync.Mutex // guards the fields up to callouts, and every use of c by other goroutines
	gen       uint32
	inside    bool // C has entered Go: Envoy's side of the stream stands still and may be used
	c         *C.moe_stream
	calls     []call   // for Envoy's side, waiting for the next crossing
	posts     []func() // for the chain, waiting for EVENT_SCHEDULED
	scheduled bool
	escaped   bool
	callouts  callouts

	// The stream's thread only.
	handle *handle
	conf   *filterConfig
	bound  *bound
	st     *chain.Stream
	e      *C.moe_event // of the crossing under way
	dirs   [2]direction
	failed bool // there is no chain: the stream is refused
	done   bool
	reply  reply

	chunk     []byte // what Envoy has received, as the chain was given it
	chunkDir  core.Direction
	chunkBack bool // the chain has passed chunk on untouched, and nothing before it
}

// direction is what has become of one direction of a stream.
type direction struct {
	met         bool   // the chain has seen the headers, or they have been skipped
	headersOut  bool   // the chain has passed the headers on
	headersSent bool   // and so has Envoy been told
	endOut      bool   // the chain has ended the direction
	trailersOut bool   // with trailers
	stopped     bool   // Envoy waits for us to continue
	out         []byte // what the chain has passed on and Envoy has not got
}

// handle is a stream in one of its lives, as core.Host and core.Sink.
type handle struct {
	s   *stream
	gen uint32
}

// start chooses the chain.
func (s *stream) start() {
	conf := configs.get(uint32(s.c.config.id))
	b, err := conf.bound(uint32(s.e.route))
	if err != nil {
		conf.refuse(uint32(s.e.route), err)
		s.failed = true
		return
	}
	s.conf, s.bound = conf, b
	s.st = b.chain.Start(s.handle, s.handle)
	s.c.wants = C.uint32_t(s.st.Wants())
	if s.e.kind != C.EVENT_HEADERS || s.e.dir != 0 {
		s.remote(core.RequestHeaders)
	}
}

// fail answers a stream whose configuration could not be made into a chain: no request passes unchecked.
func (s *stream) fail() {
	if s.e.kind != C.EVENT_HEADERS || s.reply.sent {
		return
	}
	s.reply.sent = true
	writer{s.e}.response(500, "moe.configuration", nil, nil)
	s.e.status = C.STATUS_STOP
}

// enter begins a crossing and serves the calls that have waited for it.
func (s *stream) enter(e *C.moe_event) {
	s.mu.Lock()
	s.inside, s.e = true, e
	if e.kind == C.EVENT_SCHEDULED {
		s.scheduled = false
	}
	for len(s.calls) > 0 {
		calls := s.calls
		s.calls = nil
		for _, f := range calls {
			f.run(s)
		}
	}
	s.mu.Unlock()
}

// leave ends a crossing. Whoever has posted since must find the scheduler or have it called here.
func (s *stream) leave() {
	if s.st != nil && !s.done {
		s.c.wants = C.uint32_t(s.st.Wants())
		for dir := range core.Directions {
			s.c.busy[dir] = cbool(s.st.Busy(dir))
		}
	}
	if s.bound != nil && s.e.kind != C.EVENT_GONE {
		s.bound.flush(s)
	}
	s.mu.Lock()
	live := !s.done && s.c.envoy != nil
	waiting := len(s.posts) > 0 || len(s.calls) > 0
	if live && s.c.scheduler == nil && (s.escaped || waiting) {
		s.c.scheduler = C.moe_scheduler(s.c)
	}
	if live && waiting {
		s.commit()
	}
	s.inside, s.e = false, nil
	s.mu.Unlock()
}

// commit has Envoy come back with EVENT_SCHEDULED. s.mu is held.
func (s *stream) commit() {
	if !s.scheduled {
		s.scheduled = true
		C.moe_commit(s.c)
	}
}

// wake has the stream's thread enter Go: at once if the door is there, else at Envoy's next event. s.mu is held.
func (s *stream) wake() {
	switch {
	case s.c.scheduler != nil:
		s.commit()
	case !s.inside:
		atomic.StoreUint32((*uint32)(unsafe.Pointer(&s.c.attention)), 1)
	}
}

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
	s.calls, s.posts, s.scheduled, s.escaped, s.inside = nil, nil, false, false, false
	pending := s.callouts.end()
	c := s.c
	s.c = nil
	s.mu.Unlock()
	for _, f := range calls {
		f.drop()
	}
	for _, c := range pending {
		c.fail(core.ErrStreamDone)
	}
	s.handle, s.conf, s.bound, s.st, s.e, s.chunk = nil, nil, nil, nil, nil, nil
	s.dirs, s.failed, s.done, s.reply = [2]direction{}, false, false, reply{}
	c.completed = 1 // C frees it
}

func cbool(b bool) C.uint8_t {
	if b {
		return 1
	}
	return 0
}

// Host and sink.

// Escaped notes that other goroutines may use the stream, so that it gets a scheduler and they hear of its end at once.
func (h *handle) Escaped() {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.s.gen == h.gen {
		h.s.escaped = true
		h.s.c.escaped = 1
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
	if !s.inside {
		s.wake()
	}
}

// Log returns the handler of Envoy's log.
func (h *handle) Log() slog.Handler { return logger }
