package conformance

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"mosn.io/moe/framework/filter"
)

// grpcBed is a listener before the gRPC server, and a client before it.
func grpcBed(b *Bed, plugins ...M) (*Listener, grpc_testing.TestServiceClient, context.Context) {
	b.Helper()
	ln := b.Listen(Listen{Chain: Chain(plugins...), Routes: []M{To("grpc", "/")}})
	conn, err := grpc.NewClient("passthrough:///"+ln.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), b.Patience)
	b.Cleanup(cancel)
	return ln, grpc_testing.NewTestServiceClient(conn), metadata.AppendToOutgoingContext(ctx, "x-echo", "echo")
}

func payload(s string) *grpc_testing.Payload { return &grpc_testing.Payload{Body: []byte(s)} }

// one returns the values of a key, joined.
func one(md metadata.MD, key string) string { return strings.Join(md.Get(key), "|") }

func grpcScenarios() []Scenario {
	return []Scenario{
		{Name: "gRPC: unary, metadata and trailers changed", Run: func(b *Bed) {
			_, c, ctx := grpcBed(b, Probe("p", "request_headers", "set x-new 1; set x-echo ${req.x-echo}ed",
				"response_headers", "set x-seen ${resp.x-echo-header}", "response_trailers", "set x-t ${respt.x-echo-trailer}; set x-status ${respt.grpc-status}"))
			var header, trailer metadata.MD
			r, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{Payload: payload("hello")}, grpc.Header(&header), grpc.Trailer(&trailer))
			if err != nil {
				b.Fatal(err)
			}
			Equal(b, "payload", string(r.GetPayload().GetBody()), "hello")
			Equal(b, "request metadata", one(header, "seen-x-new"), "1")
			Equal(b, "response header", one(header, "x-seen"), "echoed")
			Equal(b, "trailer", one(trailer, "x-t")+one(trailer, "x-status"), "echoed0")
		}},
		{Name: "gRPC: unary, bodies waited for", Run: func(b *Bed) {
			_, c, ctx := grpcBed(b, ProbeOf("probewhole", "p", "request", "set x-len ${bodylen}", "response", "set x-len ${bodylen}"))
			var header metadata.MD
			r, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{Payload: payload(strings.Repeat("x", 10000))}, grpc.Header(&header))
			if err != nil {
				b.Fatal(err)
			}
			Equal(b, "payload", len(r.GetPayload().GetBody()), 10000)
			Equal(b, "lengths", one(header, "seen-x-len")+"/"+one(header, "x-len"), "10011/10011")
		}},
		{Name: "gRPC: the server's error passes", Run: func(b *Bed) {
			_, c, ctx := grpcBed(b, Probe("p", "response_headers", "set x-seen 1", "response_trailers", "set x-t ${respt.grpc-message}",
				"complete", "log info 'done grpc ${resp.grpc-status}${respt.grpc-status}'"))
			var header metadata.MD
			_, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{ResponseStatus: &grpc_testing.EchoStatus{Code: 5, Message: "nothing here"}}, grpc.Header(&header))
			Equal(b, "code", status.Code(err), codes.NotFound)
			Contains(b, "message", fmt.Sprint(err), "nothing here")
			b.WaitLog("done grpc 5")
		}},
		{Name: "gRPC: a plugin replies", Run: func(b *Bed) {
			for script, want := range map[string]codes.Code{
				"reply 403 'no way'":        codes.PermissionDenied,
				"reply 403 'no way' grpc=8": codes.ResourceExhausted,
				"go; reply 401 'no way'":    codes.Unauthenticated,
				"reply 503 'no way'":        codes.Unavailable,
			} {
				_, c, ctx := grpcBed(b, Probe("p", "request_headers", script))
				_, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{Payload: payload("hello")})
				Equal(b, script, status.Code(err), want)
				Contains(b, script, fmt.Sprint(err), "no way")
			}
		}},
		{Name: "gRPC: a plugin replies in later phases", Run: func(b *Bed) {
			for _, on := range [][]string{
				{"request_body", "reply 403 no"},
				{"request_headers", "waitbody", "request", "reply 403 no"},
				{"response_headers", "reply 403 no"},
				{"response_headers", "waitbody", "response", "reply 403 no"},
			} {
				_, c, ctx := grpcBed(b, Probe("p", on...))
				_, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{Payload: payload("hello")})
				Equal(b, fmt.Sprint(on), status.Code(err), codes.PermissionDenied)
			}
		}},
		{Name: "gRPC: a panic is an error to the client", Run: func(b *Bed) {
			_, c, ctx := grpcBed(b, Probe("p", "request_headers", "panic boom"))
			_, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{})
			Equal(b, "code", status.Code(err), codes.Unknown)
			b.WaitLog("boom")
			if strings.Contains(fmt.Sprint(err), "boom") {
				b.Errorf("the panic got out: %v", err)
			}
		}},
		{Name: "gRPC: bidirectional, each message answered before the next, streamed", Run: func(b *Bed) {
			bidi(b, Probe("p", "response_headers", "set x-seen 1", "response_trailers", "set x-t 1", "request_body", "if 1 0", "response_body", "if 1 0"))
		}},
		{Name: "gRPC: bidirectional, each message answered before the next, piped", Run: func(b *Bed) {
			bidi(b, Probe("p", "request_headers", "pipe copy", "response_headers", "set x-seen 1; pipe copy", "response_trailers", "set x-t 1"))
		}},
		{Name: "gRPC: bidirectional, each message answered before the next, async", Run: func(b *Bed) {
			bidi(b, Probe("p", "request_headers", "go", "request_body", "go; sleep 1ms", "response_headers", "go; set x-seen 1",
				"response_body", "go", "response_trailers", "go; set x-t 1"))
		}},
		{Name: "gRPC: bidirectional, the client cancels, the request piped", Run: func(b *Bed) {
			cancels(b, Probe("p", "request_headers", "pipe copy"))
		}},
		{Name: "gRPC: bidirectional, the client cancels, the response piped", Run: func(b *Bed) {
			cancels(b, Probe("p", "response_headers", "pipe copy"))
		}},
		{Name: "gRPC: bidirectional, the client cancels, both piped", Run: func(b *Bed) {
			cancels(b, Probe("p", "request_headers", "pipe copy", "response_headers", "pipe copy"))
		}},
		{Name: "gRPC: what a pipe has written leaves before its next Read", Needs: filter.CanPipePromptly, Run: func(b *Bed) {
			cancels(b, Probe("p", "response_headers", "pipe ahead"))
		}},
		{Name: "gRPC: the client's deadline while a plugin thinks", Run: func(b *Bed) {
			_, c, ctx := grpcBed(b, ProbeOf("probestream", "s"), Probe("p", "request_headers", "go; wait"))
			before := b.Live()
			ctx, cancel := context.WithTimeout(ctx, b.Patience/30)
			defer cancel()
			_, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{})
			Equal(b, "code", status.Code(err), codes.DeadlineExceeded)
			CompletedAll(b, before)
		}},
	}
}

// cancels has the client go away after one message each way.
func cancels(b *Bed, p M) {
	_, c, ctx := grpcBed(b, ProbeOf("probestream", "s"), p)
	before := b.Live()
	ctx, cancel := context.WithCancel(ctx)
	s, err := c.FullDuplexCall(ctx)
	if err != nil {
		b.Fatal(err)
	}
	s.Send(&grpc_testing.StreamingOutputCallRequest{Payload: payload("x")})
	if _, err := s.Recv(); err != nil {
		b.Fatal(err)
	}
	cancel()
	CompletedAll(b, before)
}

func bidi(b *Bed, p M) {
	_, c, ctx := grpcBed(b, p)
	s, err := c.FullDuplexCall(ctx)
	if err != nil {
		b.Fatal(err)
	}
	for i := range pings {
		text := strings.Repeat(fmt.Sprintf("m%d ", i), i*50+1)
		if err := s.Send(&grpc_testing.StreamingOutputCallRequest{Payload: payload(text)}); err != nil {
			b.Fatal(err)
		}
		r, err := s.Recv()
		if err != nil {
			b.Fatalf("message %d: %v", i, err)
		}
		Equal(b, "message", string(r.GetPayload().GetBody()), text)
	}
	s.CloseSend()
	if _, err := s.Recv(); err == nil {
		b.Error("a message after the end")
	}
	header, _ := s.Header()
	Equal(b, "header", one(header, "x-seen"), "1")
	Equal(b, "trailer", one(s.Trailer(), "x-t")+one(s.Trailer(), "x-echo-trailer"), "1echo")
}
