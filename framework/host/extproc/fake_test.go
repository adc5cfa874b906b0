package extproc

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

const (
	none    = modev3.ProcessingMode_NONE
	stream1 = modev3.ProcessingMode_STREAMED
	buffers = modev3.ProcessingMode_BUFFERED
	partial = modev3.ProcessingMode_BUFFERED_PARTIAL
	duplex  = modev3.ProcessingMode_FULL_DUPLEX_STREAMED
)

// envoy is the other side of a stream, in memory.
type envoy struct {
	grpc.ServerStream
	tb     testing.TB
	ctx    context.Context
	cancel context.CancelFunc
	to     chan *extprocv3.ProcessingRequest
	from   chan *extprocv3.ProcessingResponse
	result chan error
	config *extprocv3.ProtocolConfiguration
}

func (e *envoy) Context() context.Context { return e.ctx }

func (e *envoy) Send(r *extprocv3.ProcessingResponse) error {
	select {
	case e.from <- r:
		return nil
	case <-e.ctx.Done():
		return e.ctx.Err()
	}
}

func (e *envoy) Recv() (*extprocv3.ProcessingRequest, error) {
	select {
	case m, ok := <-e.to:
		if !ok {
			return nil, io.EOF
		}
		return m, nil
	case <-e.ctx.Done():
		return nil, e.ctx.Err()
	}
}

func newServer(tb testing.TB, o Options, plugins ...any) *Server {
	tb.Helper()
	if o.Log == nil {
		o.Log = slog.DiscardHandler
	}
	o.Registry = &Registry{}
	s := New(o)
	list := make([]any, len(plugins))
	for i, p := range plugins {
		if name, ok := p.(string); ok {
			p = map[string]any{"name": name}
		}
		list[i] = p
	}
	if err := s.Load(Config{Doc: map[string]any{"plugins": list}}); err != nil {
		tb.Fatalf("s.Load: %v", err)
	}
	tb.Cleanup(s.Close)
	return s
}

// open begins a stream in a body mode.
func open(tb testing.TB, s *Server, mode modev3.ProcessingMode_BodySendMode, md ...string) *envoy {
	ctx, cancel := context.WithCancel(metadata.NewIncomingContext(context.Background(), metadata.Pairs(md...)))
	e := &envoy{
		tb: tb, ctx: ctx, cancel: cancel, to: make(chan *extprocv3.ProcessingRequest, 100),
		from: make(chan *extprocv3.ProcessingResponse, 1000), result: make(chan error, 1),
		config: &extprocv3.ProtocolConfiguration{RequestBodyMode: mode, ResponseBodyMode: mode},
	}
	go func() {
		err := s.Process(e)
		cancel()
		e.result <- err
	}()
	tb.Cleanup(cancel)
	return e
}

func (e *envoy) send(m *extprocv3.ProcessingRequest) {
	m.ProtocolConfig, e.config = e.config, nil
	e.to <- m
}

func fields(pairs ...string) *corev3.HeaderMap {
	h := &corev3.HeaderMap{}
	for i := 0; i+1 < len(pairs); i += 2 {
		h.Headers = append(h.Headers, &corev3.HeaderValue{Key: pairs[i], RawValue: []byte(pairs[i+1])})
	}
	return h
}

func requestHeaders(end bool, more ...string) *extprocv3.ProcessingRequest {
	own := []string{":method", "POST", ":path", "/p?q=1", ":authority", "host", ":scheme", "http"}
	h := fields(append(own, more...)...)
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestHeaders{
		RequestHeaders: &extprocv3.HttpHeaders{Headers: h, EndOfStream: end},
	}}
}

func responseHeaders(end bool, more ...string) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseHeaders{
		ResponseHeaders: &extprocv3.HttpHeaders{
			Headers: fields(append([]string{":status", "200"}, more...)...), EndOfStream: end,
		},
	}}
}

func requestBody(p string, end bool) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestBody{
		RequestBody: &extprocv3.HttpBody{Body: []byte(p), EndOfStream: end},
	}}
}

func responseBody(p string, end bool) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseBody{
		ResponseBody: &extprocv3.HttpBody{Body: []byte(p), EndOfStream: end},
	}}
}

func requestTrailers() *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestTrailers{
		RequestTrailers: &extprocv3.HttpTrailers{Trailers: fields("x-t", "1")},
	}}
}

func responseTrailers() *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseTrailers{
		ResponseTrailers: &extprocv3.HttpTrailers{Trailers: fields("x-t", "1")},
	}}
}

// next returns the next answer.
func (e *envoy) next() *extprocv3.ProcessingResponse {
	e.tb.Helper()
	select {
	case r := <-e.from:
		return r
	case <-time.After(30 * time.Second):
		e.tb.Fatal("no answer")
		return nil
	}
}

// ask sends a message and returns the answer.
func (e *envoy) ask(m *extprocv3.ProcessingRequest) *extprocv3.ProcessingResponse {
	e.tb.Helper()
	e.send(m)
	return e.next()
}

// silent fails if an answer comes.
func (e *envoy) silent(m *extprocv3.ProcessingRequest) {
	e.tb.Helper()
	e.send(m)
	select {
	case r := <-e.from:
		e.tb.Fatalf("an answer: %v", r)
	case <-time.After(30 * time.Millisecond):
	}
}

// end returns what the stream ends with, after the client's end.
func (e *envoy) end() error {
	e.tb.Helper()
	close(e.to)
	return e.ended()
}

func (e *envoy) ended() error {
	e.tb.Helper()
	select {
	case err := <-e.result:
		return err
	case <-time.After(30 * time.Second):
		e.tb.Fatal("the stream does not end")
		return nil
	}
}

// values lists what a mutation sets of a name, with + where it adds, and - for what it removes.
func values(m *extprocv3.HeaderMutation, name string) (all []string) {
	for _, o := range m.GetSetHeaders() {
		if o.GetHeader().GetKey() == name {
			add := ""
			//lint:ignore SA1019 it is what Envoy reads
			if o.GetAppend().GetValue() {
				add = "+"
			}
			all = append(all, add+string(o.GetHeader().GetRawValue()))
		}
	}
	for _, n := range m.GetRemoveHeaders() {
		if n == name {
			all = append(all, "-")
		}
	}
	return all
}
