package extproc

import (
	"sync"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// first waits for the first message, within bounds; without one the stream is over.
func (s *stream) first() (*extprocv3.ProcessingRequest, error) {
	// To end the stream from elsewhere spares a goroutine that reads for each stream, which costs more than all the rest.
	// The method is not part of grpc-go's API, but its transport calls it from any goroutine itself, under a lock and
	// with no effect on a stream that is done. Where a stream does not have it, a goroutine reads.
	if t, ok := grpc.ServerTransportStreamFromContext(s.ctx).(statusWriter); ok {
		s.silence.stream = t
		all := &s.srv.silences
		all.begin(&s.silence, s.begun)
		m, err := s.grpc.Recv()
		if all.end(&s.silence) {
			return nil, all.err()
		}
		return m, gone(s.ctx, err)
	}
	c := make(chan received, 1)
	go func() {
		m, err := s.grpc.Recv()
		c <- received{m, err}
	}()
	timer := time.NewTimer(s.srv.silences.timeout)
	defer timer.Stop()
	select {
	case r := <-c:
		return r.m, gone(s.ctx, r.err)
	case <-timer.C:
		return nil, s.srv.silences.err()
	}
}

// statusWriter is what streams of grpc-go's own transport are.
type statusWriter interface {
	WriteStatus(*status.Status) error
}

// silences ends streams that say nothing. All have the same time, so that the first to have begun is the first to be
// ended, and one timer serves them all; once armed it stays so until it fires, as a timer for each stream costs more.
type silences struct {
	timeout time.Duration

	mu          sync.Mutex
	first, last *silence
	timer       *time.Timer
	armed       bool
}

// silence is that of one stream. The mutex of silences guards it.
type silence struct {
	stream        statusWriter
	since         time.Time
	prev, next    *silence
	waiting, over bool // over: it lasted too long
}

func (s *silences) err() error {
	return status.Errorf(codes.DeadlineExceeded, "no message within %v of the stream's begin", s.timeout)
}

func (s *silences) begin(w *silence, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.since, w.prev, w.waiting = now, s.last, true
	if s.last == nil {
		s.first = w
	} else {
		s.last.next = w
	}
	s.last = w
	if !s.armed {
		s.arm(s.timeout)
	}
}

// end reports whether the silence has lasted too long.
func (s *silences) end(w *silence) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(w)
	return w.over
}

// remove and arm are called with s.mu held.
func (s *silences) remove(w *silence) {
	if !w.waiting {
		return
	}
	if w.prev == nil {
		s.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		s.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.waiting = nil, nil, false
}

func (s *silences) arm(d time.Duration) {
	s.armed = true
	if s.timer == nil {
		s.timer = time.AfterFunc(d, s.ring)
	} else {
		s.timer.Reset(d)
	}
}

// ring runs on the timer's goroutine.
func (s *silences) ring() {
	now := time.Now()
	var due []statusWriter
	s.mu.Lock()
	s.armed = false
	for s.first != nil && now.Sub(s.first.since) >= s.timeout {
		w := s.first
		w.over = true
		due = append(due, w.stream)
		s.remove(w)
	}
	if s.first != nil {
		s.arm(s.timeout - now.Sub(s.first.since))
	}
	s.mu.Unlock()
	for _, stream := range due {
		stream.WriteStatus(status.Convert(s.err()))
	}
}
