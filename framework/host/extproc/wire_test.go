package extproc

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The tests here speak gRPC over a socket: what the wire, and not only the messages, may bring.

// listen serves s, and returns a connection to it.
func listen(tb testing.TB, s *Server, more ...grpc.ServerOption) *grpc.ClientConn {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("net.Listen: %v", err)
	}
	g := grpc.NewServer(append(s.GRPCOptions(), more...)...)
	s.Register(g)
	go g.Serve(ln)
	tb.Cleanup(g.Stop)
	conn, err := grpc.NewClient(ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatalf("grpc.NewClient: %v", err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn
}

// wire is a stream over a socket.
type wire struct {
	extprocv3.ExternalProcessor_ProcessClient
	tb     testing.TB
	cancel context.CancelFunc
	config *extprocv3.ProtocolConfiguration
}

func dial(tb testing.TB, conn *grpc.ClientConn, mode modev3.ProcessingMode_BodySendMode, md ...string) *wire {
	tb.Helper()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(tb.Context(), md...), 5*time.Minute)
	tb.Cleanup(cancel)
	c, err := extprocv3.NewExternalProcessorClient(conn).Process(ctx)
	if err != nil {
		tb.Fatalf("extprocv3.NewExternalProcessorClient(conn).Process: %v", err)
	}
	return &wire{c, tb, cancel, &extprocv3.ProtocolConfiguration{RequestBodyMode: mode, ResponseBodyMode: mode}}
}

// send sends messages; that the stream has ended shows as they are answered.
func (w *wire) send(ms ...*extprocv3.ProcessingRequest) {
	for _, m := range ms {
		m.ProtocolConfig, w.config = w.config, nil
		w.Send(m)
	}
}

func (w *wire) ask(m *extprocv3.ProcessingRequest) *extprocv3.ProcessingResponse {
	w.tb.Helper()
	w.send(m)
	r, err := w.Recv()
	if err != nil {
		w.tb.Fatal(err)
	}
	return r
}

// ended returns the status of the stream, after any answers.
func (w *wire) ended() *status.Status {
	for {
		switch _, err := w.Recv(); err {
		case nil:
		case io.EOF:
			return status.New(codes.OK, "")
		default:
			return status.Convert(err)
		}
	}
}

// serves fails where another stream of the connection does not get its answer.
func serves(tb testing.TB, conn *grpc.ClientConn) {
	tb.Helper()
	w := dial(tb, conn, duplex)
	if w.ask(requestHeaders(true)).GetRequestHeaders() == nil {
		tb.Error("another stream is not served")
	}
	w.CloseSend()
	if st := w.ended(); st.Code() != codes.OK {
		tb.Errorf("another stream: %v", st)
	}
}

// empty waits until no stream runs and nothing is held.
func (s *Server) empty(tb testing.TB) {
	tb.Helper()
	for deadline := time.Now().Add(30 * time.Second); s.Streams() > 0 || s.held.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("%d streams, %d bytes held", s.Streams(), s.held.Load())
		}
	}
}

// Messages that no Envoy sends end their stream with a status that says what was wrong, and no other.
func TestWireMisuse(t *testing.T) {
	type messages []*extprocv3.ProcessingRequest
	unknown := requestHeaders(true)
	unknown.ProtoReflect().SetUnknown([]byte{0xfa, 0x3f, 3, 'a', 'b', 'c'}) // field 1023
	answer := &extprocv3.ProcessingRequest{}                                // only fields that the message does not have
	answer.ProtoReflect().SetUnknown([]byte{0xfa, 0x3f, 0})
	s := newServer(t, Options{}, "upper", "marks")
	conn := listen(t, s)
	for what, c := range map[string]struct {
		ms   messages
		code codes.Code
		text string
	}{
		"two headers":           {messages{requestHeaders(false), requestHeaders(false)}, 3, "a second request_headers"},
		"two responses":         {messages{responseHeaders(false), responseHeaders(false)}, 3, "a second response_headers"},
		"body before headers":   {messages{requestBody("a", false), requestHeaders(true)}, 3, "after the request's body"},
		"request after answer":  {messages{responseHeaders(true), requestHeaders(true)}, 3, "after the response"},
		"body after its end":    {messages{requestHeaders(true), requestBody("a", true)}, 3, "after the request's end"},
		"trailers twice":        {messages{responseTrailers(), responseTrailers()}, 3, "second response_trailers"},
		"no request":            {messages{{}}, 3, "a message without a request"},
		"unknown fields alone":  {messages{answer}, 3, "a message without a request"},
		"unknown fields beside": {messages{unknown}, 0, ""},
		"nothing":               {nil, 0, ""},
	} {
		t.Run(what, func(t *testing.T) {
			w := dial(t, conn, duplex)
			w.send(c.ms...)
			w.CloseSend()
			if st := w.ended(); st.Code() != c.code || !strings.Contains(st.Message(), c.text) {
				t.Errorf("st.Code() = %v, want %v; st.Message() = %q, want it to contain %q: %s, %v",
					st.Code(), c.code, st.Message(), c.text, what, st)
			}
			serves(t, conn)
		})
	}
	s.empty(t)
}

// What is not UTF-8 passes in raw_value, as Envoy sends it, and comes back as it was.
func TestWireRawBytes(t *testing.T) {
	s := newServer(t, Options{}, "echoes")
	conn := listen(t, s)
	const bad = "a\xff\xc3\x28b"
	r := dial(t, conn, none).ask(requestHeaders(true, "x-in", bad))
	if got := values(r.GetRequestHeaders().GetResponse().GetHeaderMutation(), "x-out"); len(got) != 1 || got[0] != bad {
		t.Errorf("got %q", got)
	}
	if m := r.GetDynamicMetadata().GetFields()["a\uFFFD(b"]; m == nil {
		t.Errorf("metadata: %v", r.GetDynamicMetadata())
	}
	r = dial(t, conn, none).ask(requestHeaders(true, "x-in", bad, "x-reply", "1"))
	if got := string(r.GetImmediateResponse().GetBody()); got != bad {
		t.Errorf("a reply of %q", got)
	}
}

// bytesCodec sends what it is given.
type bytesCodec struct{}

func (bytesCodec) Name() string                    { return "proto" }
func (bytesCodec) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (bytesCodec) Unmarshal(p []byte, v any) error { *v.(*[]byte) = bytes.Clone(p); return nil }

// rawStream has bytes sent in place of messages.
func rawStream(tb testing.TB, conn *grpc.ClientConn) grpc.ClientStream {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	tb.Cleanup(cancel)
	desc := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	c, err := conn.NewStream(ctx, desc, extprocv3.ExternalProcessor_Process_FullMethodName, grpc.ForceCodec(bytesCodec{}))
	if err != nil {
		tb.Fatalf("conn.NewStream: %v", err)
	}
	return c
}

// Text that is not UTF-8, where protobuf has it UTF-8, and bytes that are not a message: grpc-go itself answers these.
func TestWireRubbish(t *testing.T) {
	s := newServer(t, Options{}, "upper")
	conn := listen(t, s)
	field := func(n int, p string) string { return string([]byte{byte(n<<3 | 2), byte(len(p))}) + p }
	header := field(1, field(1, "x-in")+field(2, "a\xff")) // HeaderValue.value
	for what, c := range map[string]struct {
		p, text string
	}{
		"text that is not UTF-8": {field(2, field(1, header)), "UTF-8"},
		"rubbish":                {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", ""},
		"cut off":                {"\x12\x64\x01", ""},
	} {
		t.Run(what, func(t *testing.T) {
			c1 := rawStream(t, conn)
			c1.SendMsg([]byte(c.p))
			var answer []byte
			err := c1.RecvMsg(&answer)
			if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "unmarshal") ||
				!strings.Contains(err.Error(), c.text) {
				t.Errorf("status.Code(err) = %v, want %v; err.Error() = %q, want it to contain %q, and it to contain %q: %s, %v",
					status.Code(err), codes.Internal, err.Error(), "unmarshal", c.text, what, err)
			}
			serves(t, conn)
		})
	}
	s.empty(t)
}

// Of streams beyond the bound, the client keeps those back that it knows of, as HTTP/2 asks for; all are served.
func TestMaxStreams(t *testing.T) {
	const bound = 3
	s := newServer(t, Options{MaxStreams: bound}, "upper")
	conn := listen(t, s)
	dial(t, conn, duplex).ask(requestHeaders(true)) // the settings are known now
	var open []*wire
	for range bound - 1 {
		w := dial(t, conn, duplex)
		w.ask(requestHeaders(true))
		open = append(open, w)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := extprocv3.NewExternalProcessorClient(conn).Process(ctx); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("one stream too many: %v", err)
	}
	equal(t, "streams", s.Streams(), int64(bound))
	for _, w := range open {
		w.CloseSend()
		w.ended()
	}
	serves(t, conn)
}
