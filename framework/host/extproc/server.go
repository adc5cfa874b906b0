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
	silences  silences
}

// New returns a server without a configuration: until [Server.Load], its streams end with Unavailable.
func New(o Options) *Server {
	o.defaults()
	s := &Server{o: o, log: slog.New(o.Log)}
	s.silences.Init(o.FirstMessage, s.end)
	s.assembler = assembly.New(configHost{o.Log})
	return s
}

// workers is how many goroutines are kept for streams; more streams than that have goroutines of their own. A new
// goroutine's stack grows several times while it serves its stream, which these spare.
const workers = 64

// GRPCOptions are the limits, and how messages are read, for the grpc.Server that s is registered with.
func (s *Server) GRPCOptions() []grpc.ServerOption {
	o := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(s.o.MaxMessage),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.NumStreamWorkers(workers),
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
	st := &grpcStream{srv: s, grpc: g, ctx: g.Context(), begun: time.Now()}
	for dir := range st.dirs {
		st.dirs[dir].Direction = &st.Dirs[dir]
	}
	first, err := st.first()
	if first == nil {
		return err
	}
	if st.gen = s.acquire(); st.gen == nil {
		return status.Error(codes.Unavailable, "no configuration is loaded")
	}
	defer st.gen.release()
	return st.run(first)
}

// gone tells the end of a stream by the other side, which is nil, from an error of it.
func gone(ctx context.Context, err error) error {
	if err == io.EOF || ctx.Err() != nil || status.Code(err) == codes.Canceled {
		return nil
	}
	return err
}
