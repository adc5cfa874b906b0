package extproc

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
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
		tb.Fatal(err)
	}
	g := grpc.NewServer(append(s.GRPCOptions(), more...)...)
	s.Register(g)
	go g.Serve(ln)
	tb.Cleanup(g.Stop)
	conn, err := grpc.NewClient(ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
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
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(tb.Context(), md...), time.Minute)
	tb.Cleanup(cancel)
	c, err := extprocv3.NewExternalProcessorClient(conn).Process(ctx)
	if err != nil {
		tb.Fatal(err)
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
		"body before headers":   {messages{requestBody("a", false), requestHeaders(true)}, 3, "request_headers after the request's body"},
		"request after answer":  {messages{responseHeaders(true), requestHeaders(true)}, 3, "request_headers after the response"},
		"body after its end":    {messages{requestHeaders(true), requestBody("a", true)}, 3, "request_body after the request's end"},
		"trailers twice":        {messages{responseTrailers(), responseTrailers()}, 3, "second response_trailers"},
		"no request":            {messages{{}}, 3, "a message without a request"},
		"unknown fields alone":  {messages{answer}, 3, "a message without a request"},
		"unknown fields beside": {messages{unknown}, 0, ""},
		"nothing":               {nil, 0, ""},
	} {
		w := dial(t, conn, duplex)
		w.send(c.ms...)
		w.CloseSend()
		if st := w.ended(); st.Code() != c.code || !strings.Contains(st.Message(), c.text) {
			t.Errorf("%s: %v", what, st)
		}
		serves(t, conn)
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
		tb.Fatal(err)
	}
	return c
}

// Text that is not UTF-8, where protobuf has it UTF-8, and bytes that are no message: grpc-go itself answers these.
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
		c1 := rawStream(t, conn)
		c1.SendMsg([]byte(c.p))
		var answer []byte
		err := c1.RecvMsg(&answer)
		if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "unmarshal") ||
			!strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", what, err)
		}
		serves(t, conn)
	}
	s.empty(t)
}

// large is a body of 100 MiB, which comes in pieces.
const large, piece = 100 << 20, 64 << 10

// peak returns by how much the heap has grown at most while f ran.
func peak(f func()) int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	var most atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most.Store(max(most.Load(), m.HeapAlloc))
			}
		}
	}()
	func() {
		defer close(stop)
		f()
	}()
	<-stopped
	return int64(most.Load()) - int64(before)
}

// fits is how much the heap of client and server may grow together while 100 MiB pass.
const fits = 48 << 20

// sendLarge sends the body, and returns how much of it could be sent.
func (w *wire) sendLarge() (sent int) {
	p := bytes.Repeat([]byte("x"), piece)
	for sent < large {
		sent += piece
		m := requestBody("", sent == large)
		m.GetRequestBody().Body = p
		if w.Send(m) != nil {
			return sent - piece
		}
	}
	return sent
}

func TestLargeBodyStreams(t *testing.T) {
	s := newServer(t, Options{}, "upper")
	conn := listen(t, s)
	got := 0
	grown := peak(func() {
		w := dial(t, conn, duplex)
		if w.ask(requestHeaders(false)).GetRequestHeaders() == nil {
			t.Fatal("no answer to the headers")
		}
		go w.sendLarge()
		for end := false; !end; {
			r, err := w.Recv()
			if err != nil {
				t.Fatal(err)
			}
			b := r.GetRequestBody().GetResponse().GetBodyMutation().GetStreamedResponse()
			if bytes.Count(b.GetBody(), []byte("X")) != len(b.GetBody()) {
				t.Fatal("the body is changed otherwise than by the plugin")
			}
			got, end = got+len(b.GetBody()), b.GetEndOfStream()
		}
		w.CloseSend()
		if st := w.ended(); st.Code() != codes.OK {
			t.Errorf("the stream ends with %v", st)
		}
	})
	if got != large {
		t.Errorf("%d bytes come back", got)
	}
	if grown > fits && !raceEnabled {
		t.Errorf("the heap grows by %d MiB", grown>>20)
	}
	t.Logf("the heap grows by %d MiB", grown>>20)
	s.empty(t)
}

// A plugin that waits for the whole gets no more than the limit; the client learns it at once.
func TestLargeBodyHeld(t *testing.T) {
	s := newServer(t, Options{}, "whole")
	conn := listen(t, s)
	grown := peak(func() {
		w := dial(t, conn, duplex)
		w.send(requestHeaders(false))
		sent := make(chan int, 1)
		go func() { sent <- w.sendLarge() }()
		r, err := w.Recv()
		if err != nil || r.GetImmediateResponse().GetStatus().GetCode() != 413 {
			t.Fatalf("got %v %v", r, err)
		}
		if st := w.ended(); st.Code() != codes.OK {
			t.Errorf("the stream ends with %v", st)
		}
		if n := <-sent; n > large/2 {
			t.Errorf("the client could send %d bytes", n)
		}
	})
	if grown > fits && !raceEnabled {
		t.Errorf("the heap grows by %d MiB", grown>>20)
	}
	s.empty(t)
}

// One message of 100 MiB is refused, and not read.
func TestLargeMessage(t *testing.T) {
	s := newServer(t, Options{}, "upper")
	conn := listen(t, s)
	w := dial(t, conn, duplex)
	w.send(requestHeaders(false))
	m := requestBody("", true)
	m.GetRequestBody().Body = make([]byte, large)
	go w.Send(m)
	if st := w.ended(); st.Code() != codes.ResourceExhausted || !strings.Contains(st.Message(), "larger than max") {
		t.Errorf("got %v", st)
	}
	serves(t, conn)
	s.empty(t)
}

// A plugin that keeps a chunk, and a client that reads no answers, stop the client: nothing piles up in the server.
func TestLargeBodyStops(t *testing.T) {
	wait := make(chan struct{})
	gate.Store(&wait)
	for _, plugin := range []string{"upper", "async"} {
		s := newServer(t, Options{}, plugin)
		conn := listen(t, s)
		grown := peak(func() {
			w := dial(t, conn, duplex)
			w.send(requestHeaders(false))
			sent := make(chan int, 1)
			go func() { sent <- w.sendLarge() }()
			select {
			case n := <-sent:
				t.Errorf("%s: the client can send %d bytes that nobody takes", plugin, n)
			case <-time.After(time.Second):
			}
			w.cancel()
			<-sent
		})
		if grown > fits && !raceEnabled {
			t.Errorf("%s: the heap grows by %d MiB", plugin, grown>>20)
		}
		s.empty(t)
	}
}

// A stream that says nothing is ended, whether grpc-go's transport lets a timer do that or a goroutine must wait.
func TestSilence(t *testing.T) {
	s := newServer(t, Options{FirstMessage: 30 * time.Millisecond}, "upper")
	const want = "no message within 30ms"
	for what, conn := range map[string]*grpc.ClientConn{
		"by the timer": listen(t, s),
		"by a goroutine": listen(t, s, grpc.StreamInterceptor(
			func(srv any, g grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
				return next(srv, plain{g})
			})),
	} {
		failed := s.o.Registry.server.failed.Load()
		if st := dial(t, conn, duplex).ended(); st.Code() != codes.DeadlineExceeded || !strings.Contains(st.Message(), want) {
			t.Errorf("%s: %v", what, st)
		}
		s.empty(t)
		equal(t, what+": failures", s.o.Registry.server.failed.Load()-failed, int64(1))
	}
}

// plain hides the stream of grpc-go's transport from what looks for it in the context.
type plain struct{ grpc.ServerStream }

func (p plain) Context() context.Context { return hiding{p.ServerStream.Context()} }

type hiding struct{ context.Context }

func (h hiding) Value(key any) any {
	v := h.Context.Value(key)
	if _, is := v.(grpc.ServerTransportStream); is {
		return nil
	}
	return v
}

// The timer and the first message may come at the same time.
func TestSilenceRace(t *testing.T) {
	s := newServer(t, Options{FirstMessage: time.Millisecond}, "upper")
	conn := listen(t, s)
	for i := range 300 {
		w := dial(t, conn, duplex)
		time.Sleep(time.Duration(i%20) * 100 * time.Microsecond)
		w.send(requestHeaders(true))
		w.CloseSend()
		if st := w.ended(); st.Code() != codes.OK && st.Code() != codes.DeadlineExceeded {
			t.Fatal(st)
		}
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
