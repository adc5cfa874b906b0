package extproc

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mosn.io/moe/framework/assembly"
)

// Server serves Envoy's external processing protocol. Its methods may be called from any goroutine.
type Server struct {
	extprocv3.UnimplementedExternalProcessorServer

	o         Options
	log       *slog.Logger
	assembler *assembly.Assembler
	current   atomic.Pointer[generation]
	held      atomic.Int64 // bytes of body that all streams hold back
}

// New returns a server without a configuration: until [Server.Load], its streams end with Unavailable.
func New(o Options) *Server {
	o.defaults()
	s := &Server{o: o, log: slog.New(o.Log)}
	s.assembler = assembly.New(configHost{o.Log})
	return s
}

// GRPCOptions are the limits, and how messages are read, for the grpc.Server that s is registered with.
func (s *Server) GRPCOptions() []grpc.ServerOption {
	o := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(s.o.MaxMessage),
		grpc.ForceServerCodecV2(newCodec()),
	}
	if s.o.MaxStreams > 0 {
		o = append(o, grpc.MaxConcurrentStreams(s.o.MaxStreams))
	}
	return o
}

// Register registers the service with g.
func (s *Server) Register(g *grpc.Server) { extprocv3.RegisterExternalProcessorServer(g, s) }

// Process runs one stream.
func (s *Server) Process(g extprocv3.ExternalProcessor_ProcessServer) (err error) {
	ctx := g.Context()
	m := &s.o.Registry.server
	m.started.Add(1)
	m.active.Add(1)
	defer func() {
		if v := recover(); v != nil { // plugins' panics are the chain's to catch
			m.panics.Add(1)
			s.log.Error("framework panic", "value", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = status.Error(codes.Internal, "panic")
		}
		m.active.Add(-1)
		if err != nil {
			m.failed.Add(1)
			s.log.Warn("a stream fails", "error", err)
		}
	}()
	first, err := s.first(g)
	if first == nil {
		return err
	}
	gen := s.acquire()
	if gen == nil {
		return status.Error(codes.Unavailable, "no configuration is loaded")
	}
	defer gen.release()
	st := &stream{srv: s, gen: gen, grpc: g, ctx: ctx, begun: time.Now(), wake: make(chan struct{}, 1)}
	return st.run(first)
}

// first waits for the first message, within bounds; without one the stream is over.
func (s *Server) first(g extprocv3.ExternalProcessor_ProcessServer) (*extprocv3.ProcessingRequest, error) {
	silence := func() error {
		return status.Errorf(codes.DeadlineExceeded, "no message within %v of the stream's begin", s.o.FirstMessage)
	}
	// To end the stream from a timer spares a goroutine that reads for each stream, which costs more than all the rest.
	// The method is not part of grpc-go's API, but its transport calls it from any goroutine itself, under a lock and
	// with no effect on a stream that is done. Where a stream does not have it, a goroutine reads.
	if t, ok := grpc.ServerTransportStreamFromContext(g.Context()).(statusWriter); ok {
		var silent atomic.Bool
		timer := time.AfterFunc(s.o.FirstMessage, func() {
			silent.Store(true)
			t.WriteStatus(status.Convert(silence()))
		})
		m, err := g.Recv()
		timer.Stop()
		if silent.Load() {
			return nil, silence()
		}
		return m, gone(g.Context(), err)
	}
	c := make(chan received, 1)
	go func() {
		m, err := g.Recv()
		c <- received{m, err}
	}()
	timer := time.NewTimer(s.o.FirstMessage)
	defer timer.Stop()
	select {
	case r := <-c:
		return r.m, gone(g.Context(), r.err)
	case <-timer.C:
		return nil, silence()
	}
}

// statusWriter is what streams of grpc-go's own transport are.
type statusWriter interface {
	WriteStatus(*status.Status) error
}

// gone tells the end of a stream by the other side, which is nil, from an error of it.
func gone(ctx context.Context, err error) error {
	if err == io.EOF || ctx.Err() != nil || status.Code(err) == codes.Canceled {
		return nil
	}
	return err
}
