package extproc

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"mosn.io/moe/framework/host/internal/exchange"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/deadline"
)

// grpcStream is one HTTP stream, for which Envoy has one of gRPC. What is not said to be guarded belongs to its goroutine.
type grpcStream struct {
	srv  *Server
	gen  *generation
	grpc extprocv3.ExternalProcessor_ProcessServer
	ctx  context.Context
	life uint32 // the chain's Stream is ours while it has this Gen

	exchange.Exchange

	begun   time.Time
	silence deadline.Wait[statusWriter]
	dirs    [2]direction
	observe bool  // nothing is answered
	early   bool  // bodies come without waiting for the answer to the headers
	over    bool  // nothing is to be sent any more
	err     error // what the gRPC stream ends with
	held    int64 // of Server.held

	msgs    chan received // nil while the stream's goroutine reads itself
	ask     *time.Timer
	asking  bool
	escaped atomic.Bool

	mu         sync.Mutex    // guards the rest
	wake       chan struct{} // made when something may be posted
	posts      []func()
	done       bool
	attributes map[string]*structpb.Value
	metadata   map[string]*structpb.Struct // as Envoy told, with our own changes
	changed    map[string]*structpb.Struct // changes that Envoy does not know of yet
	clearRoute bool
}

// direction is what Envoy and the chain have said of one.
type direction struct {
	*exchange.Direction
	mode modev3.ProcessingMode_BodySendMode

	headersIn, bodyIn, trailersIn, endIn bool // has come; endIn: nothing follows
	headersEnd                           bool // the headers are all there is
	headersPending, trailersPending      bool // Envoy waits for the answer
	bodyPending                          int  // chunks that Envoy waits for answers to, but for FULL_DUPLEX_STREAMED
	headersHeld                          bool // answered, but their changes come with the body's answer
	faked                                bool // the chain was given trailers, so that it lets go of the body

	mutation, trailerMutation *extprocv3.HeaderMutation
	eosSent                   bool
	bytes                     atomic.Int64
	backlog                   int // bytes that came while the chain could not take them
}

func (d *direction) duplex() bool { return d.mode == modev3.ProcessingMode_FULL_DUPLEX_STREAMED }

type received struct {
	m   *extprocv3.ProcessingRequest
	err error
}

// run runs the stream, whose first message has come.
func (s *grpcStream) run(first *extprocv3.ProcessingRequest) error {
	defer s.finish()
	if err := s.begin(first); err != nil {
		return err
	}
	s.handle(first)
	var wake chan struct{}
	for s.err == nil && !s.over {
		if s.msgs == nil && s.escaped.Load() {
			s.msgs = make(chan received)
			s.mu.Lock()
			wake = s.waker()
			s.mu.Unlock()
			go s.receive()
		}
		if s.msgs == nil {
			m, err := s.grpc.Recv()
			if err != nil {
				return gone(s.ctx, err)
			}
			s.handle(m)
			continue
		}
		in := s.msgs
		if s.full() {
			in = nil
		}
		var ask <-chan time.Time
		if s.asking {
			ask = s.ask.C
		}
		select {
		case r := <-in:
			if r.err != nil {
				return gone(s.ctx, r.err)
			}
			s.handle(r.m)
		case <-wake:
			s.runPosts()
			s.settle()
		case <-ask:
			s.askForTime()
		case <-s.ctx.Done():
			return nil
		}
	}
	return s.err
}

// receive reads messages; it ends with the stream's context.
func (s *grpcStream) receive() {
	for {
		m, err := s.grpc.Recv()
		select {
		case s.msgs <- received{m, err}:
		case <-s.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// handle takes a message.
func (s *grpcStream) handle(m *extprocv3.ProcessingRequest) {
	reg := s.srv.o.Registry
	kind, start := kindOf(m), time.Now()
	s.learn(m)
	if s.err = s.feed(m); s.err != nil {
		return
	}
	s.runPosts()
	s.settle()
	reg.server.messages[kind].add(time.Since(start))
}

// Post has f run on the stream's goroutine.
func (s *grpcStream) Post(f func()) {
	s.mu.Lock()
	if !s.done {
		s.posts = append(s.posts, f)
	}
	wake := s.waker()
	s.mu.Unlock()
	select {
	case wake <- struct{}{}:
	default:
	}
}

// waker is called with s.mu held.
func (s *grpcStream) waker() chan struct{} {
	if s.wake == nil {
		s.wake = make(chan struct{}, 1)
	}
	return s.wake
}

func (s *grpcStream) runPosts() {
	if !s.escaped.Load() {
		return
	}
	for {
		s.mu.Lock()
		posts := s.posts
		s.posts = nil
		s.mu.Unlock()
		if len(posts) == 0 {
			return
		}
		for _, f := range posts {
			f()
		}
	}
}

// Escaped has messages read by another goroutine from now on.
func (s *grpcStream) Escaped() { s.escaped.Store(true) }

// finish ends the stream for the chain, and for whoever still has a handle.
func (s *grpcStream) finish() {
	if s.ask != nil {
		s.ask.Stop()
	}
	s.over = true
	if s.Chain != nil {
		s.Chain.Done()
	}
	s.mu.Lock()
	s.done, s.posts = true, nil
	s.mu.Unlock()
	s.account(0)
}

// account notes how many bytes of body the stream holds back; false: too many for the server.
func (s *grpcStream) account(held int64) bool {
	if held == s.held {
		return true
	}
	total := s.srv.held.Add(held - s.held)
	grown := held > s.held
	s.held = held
	return !grown || total <= s.srv.o.TotalLimit
}

// full reports whether so much waits for plugins that nothing more should be read.
func (s *grpcStream) full() bool {
	for dir := range core.Directions {
		if s.dirs[dir].backlog > s.srv.o.BufferLimit && s.Chain.Busy(dir) {
			return true
		}
	}
	return false
}

// started reports whether a message of dir has come.
func (d *direction) started() bool { return d.headersIn || d.bodyIn || d.trailersIn }

var (
	_ core.Sink = (*grpcStream)(nil)
	_ core.Host = (*grpcStream)(nil)
)
