package upstream

import (
	"context"
	"io"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// GRPC is a gRPC server: grpc.testing.TestService. It sends back metadata: x-echo as header x-echo-header and as
// trailer x-echo-trailer, and every x-… it has seen as header seen-….
type GRPC struct {
	Addr string

	server *grpc.Server
	grpc_testing.UnimplementedTestServiceServer
}

// StartGRPC starts a server on a free port of 127.0.0.1.
func StartGRPC() (*GRPC, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &GRPC{Addr: ln.Addr().String(), server: grpc.NewServer()}
	grpc_testing.RegisterTestServiceServer(g.server, g)
	go g.server.Serve(ln)
	return g, nil
}

// Close stops the server and its streams.
func (g *GRPC) Close() { g.server.Stop() }

// UnaryCall answers with the payload, or with the status that was asked for.
func (g *GRPC) UnaryCall(ctx context.Context, r *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	header, trailer := echoed(ctx)
	grpc.SetHeader(ctx, header)
	grpc.SetTrailer(ctx, trailer)
	if s := r.GetResponseStatus(); s != nil {
		return nil, status.Error(codes.Code(s.Code), s.Message)
	}
	return &grpc_testing.SimpleResponse{Payload: r.Payload}, nil
}

// FullDuplexCall answers each message at once.
func (g *GRPC) FullDuplexCall(s grpc_testing.TestService_FullDuplexCallServer) error {
	header, trailer := echoed(s.Context())
	s.SendHeader(header)
	s.SetTrailer(trailer)
	for {
		r, err := s.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(&grpc_testing.StreamingOutputCallResponse{Payload: r.Payload}); err != nil {
			return err
		}
	}
}

func echoed(ctx context.Context) (header, trailer metadata.MD) {
	header, trailer = metadata.MD{}, metadata.MD{}
	in, _ := metadata.FromIncomingContext(ctx)
	for k, vs := range in {
		if len(k) > 2 && k[:2] == "x-" {
			header.Append("seen-"+k, vs...)
		}
	}
	header.Append("x-echo-header", in.Get("x-echo")...)
	trailer.Append("x-echo-trailer", in.Get("x-echo")...)
	return header, trailer
}
