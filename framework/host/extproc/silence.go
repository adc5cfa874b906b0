package extproc

import (
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mosn.io/moe/framework/internal/deadline"
)

// first waits for the first message, within bounds; without one the stream is over.
func (s *grpcStream) first() (*extprocv3.ProcessingRequest, error) {
	// To end the stream from elsewhere spares a goroutine that reads for each stream, which costs more than all the rest.
	// The method is not part of grpc-go's API, but its transport calls it from any goroutine itself, under a lock and
	// with no effect on a stream that is done. Where a stream does not have it, a goroutine reads.
	if t, ok := grpc.ServerTransportStreamFromContext(s.ctx).(statusWriter); ok {
		s.srv.silences.Begin(&s.silence, t)
		m, err := s.grpc.Recv()
		if s.srv.silences.End(&s.silence) {
			return nil, s.srv.silent()
		}
		return m, gone(s.ctx, err)
	}
	c := make(chan received, 1)
	go func() {
		m, err := s.grpc.Recv()
		c <- received{m, err}
	}()
	timer := time.NewTimer(s.srv.silences.Length())
	defer timer.Stop()
	select {
	case r := <-c:
		return r.m, gone(s.ctx, r.err)
	case <-timer.C:
		return nil, s.srv.silent()
	}
}

// statusWriter is what streams of grpc-go's own transport are.
type statusWriter interface {
	WriteStatus(*status.Status) error
}

// silences ends streams that say nothing.
type silences = deadline.List[statusWriter]

// end is called for a stream that has been silent for too long.
func (s *Server) end(stream statusWriter) { _ = stream.WriteStatus(status.Convert(s.silent())) }

// silent is the error of a stream that says nothing.
func (s *Server) silent() error {
	return status.Errorf(codes.DeadlineExceeded, "no message within %v of the stream's begin", s.silences.Length())
}
