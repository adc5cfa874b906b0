package extproc

import (
	"fmt"
	"strings"
	"testing"
	"time"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// replaced is the body of an answer to a chunk.
func replaced(r *extprocv3.ProcessingResponse) string {
	b := r.GetRequestBody()
	if b == nil {
		b = r.GetResponseBody()
	}
	return string(b.GetResponse().GetBodyMutation().GetBody())
}

// A tunnel's headers would wait for bytes that wait for them.
func TestTunnel(t *testing.T) {
	for _, mode := range []modev3.ProcessingMode_BodySendMode{duplex, stream1} {
		e := open(t, newServer(t, Options{}, "marks"), mode)
		r := e.ask(requestHeaders(false, "upgrade", "websocket"))
		equal(t, "status", int(r.GetImmediateResponse().GetStatus().GetCode()), 500)
		equal(t, "error", e.ended(), nil)
	}
	e := open(t, newServer(t, Options{}, "marks"), none)
	if e.ask(requestHeaders(false, "upgrade", "websocket")).GetRequestHeaders() == nil {
		t.Error("refused where the body is not sent")
	}
}

func TestHeaders(t *testing.T) {
	e := open(t, newServer(t, Options{}, "marks"), none)
	r := e.ask(requestHeaders(true, "x-gone", "1", "X-Two", "1"))
	c := r.GetRequestHeaders().GetResponse()
	equal(t, "set", values(c.GetHeaderMutation(), "x-mark"), []string{"yes"})
	equal(t, "add", values(c.GetHeaderMutation(), "x-two"), []string{"1", "+2"})
	equal(t, "remove", values(c.GetHeaderMutation(), "x-gone"), []string{"-"})
	equal(t, "clear route cache", c.GetClearRouteCache(), true)
	meta := r.GetDynamicMetadata().GetFields()["test"].GetStructValue().GetFields()
	equal(t, "metadata", meta["mark"].GetStringValue(), "yes")
	r = e.ask(responseHeaders(false))
	equal(t, "response", values(r.GetResponseHeaders().GetResponse().GetHeaderMutation(), "x-mark"), []string{"yes"})
	r = e.ask(responseTrailers())
	equal(t, "trailers", values(r.GetResponseTrailers().GetHeaderMutation(), "x-mark"), []string{"yes"})
	equal(t, "error", e.end(), nil)
}

func TestDuplexHolds(t *testing.T) {
	before := completed.Load()
	e := open(t, newServer(t, Options{}, "whole"), duplex)
	e.silent(requestHeaders(false, "content-length", "4"))
	e.silent(requestBody("ab", false))
	c := e.ask(requestBody("cd", true)).GetRequestHeaders().GetResponse()
	equal(t, "header", values(c.GetHeaderMutation(), "x-whole"), []string{"abcd"})
	equal(t, "length", values(c.GetHeaderMutation(), "content-length"), []string{"5"})
	b := e.next().GetRequestBody().GetResponse().GetBodyMutation().GetStreamedResponse()
	equal(t, "body", string(b.GetBody()), "abcd!")
	equal(t, "end", b.GetEndOfStream(), true)
	e.silent(responseHeaders(false))
	e.silent(responseBody("xyz", false))
	c = e.ask(responseTrailers()).GetResponseHeaders().GetResponse()
	equal(t, "header", values(c.GetHeaderMutation(), "x-whole"), []string{"xyz"})
	b = e.next().GetResponseBody().GetResponse().GetBodyMutation().GetStreamedResponse()
	equal(t, "body", string(b.GetBody()), "xyz!")
	equal(t, "end", b.GetEndOfStream(), false)
	if e.next().GetResponseTrailers() == nil {
		t.Error("no answer to the trailers")
	}
	equal(t, "error", e.end(), nil)
	equal(t, "completions", completed.Load()-before, int64(1))
}

func TestDuplexPieces(t *testing.T) {
	e := open(t, newServer(t, Options{}, "upper"), duplex)
	if e.ask(requestHeaders(false)).GetRequestHeaders() == nil {
		t.Fatal("no answer to the headers")
	}
	e.send(requestBody(strings.Repeat("x", 150_000), true))
	var got strings.Builder
	for {
		b := e.next().GetRequestBody().GetResponse().GetBodyMutation().GetStreamedResponse()
		if len(b.GetBody()) > maxChunk {
			t.Errorf("a piece of %d bytes", len(b.GetBody()))
		}
		got.Write(b.GetBody())
		if b.GetEndOfStream() {
			break
		}
	}
	equal(t, "body", got.String() == strings.Repeat("X", 150_000), true)
	equal(t, "error", e.end(), nil)
}

func TestBodyForGET(t *testing.T) {
	for _, mode := range []modev3.ProcessingMode_BodySendMode{none, stream1, buffers, duplex} {
		e := open(t, newServer(t, Options{}, "whole"), mode)
		c := e.ask(requestHeaders(true)).GetRequestHeaders().GetResponse()
		equal(t, "status", c.GetStatus(), extprocv3.CommonResponse_CONTINUE_AND_REPLACE)
		equal(t, "body", string(c.GetBodyMutation().GetBody()), "!")
		equal(t, "error", e.end(), nil)
	}
}

func TestStreamed(t *testing.T) {
	e := open(t, newServer(t, Options{}, "upper"), stream1)
	e.ask(requestHeaders(false))
	equal(t, "chunk", replaced(e.ask(requestBody("ab", false))), "AB")
	equal(t, "last", replaced(e.ask(requestBody("cd", true))), "CD")
	e.ask(responseHeaders(false))
	e.ask(responseBody("x", false))
	e.ask(responseTrailers())
	equal(t, "error", e.end(), nil)

	e = open(t, newServer(t, Options{}, "marks"), stream1)
	e.ask(requestHeaders(false))
	if m := e.ask(requestBody("ab", true)).GetRequestBody().GetResponse().GetBodyMutation(); m != nil {
		t.Errorf("a chunk that nobody changed comes back: %v", m)
	}
}

func TestBuffered(t *testing.T) {
	for _, mode := range []modev3.ProcessingMode_BodySendMode{buffers, partial} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			e := open(t, newServer(t, Options{}, "whole"), mode)
			r := e.ask(requestHeaders(false, "content-length", "4"))
			if m := r.GetRequestHeaders().GetResponse().GetHeaderMutation(); m != nil {
				t.Errorf("headers are changed before the body is there: %v", m)
			}
			c := e.ask(requestBody("abcd", true)).GetRequestBody().GetResponse()
			equal(t, "header", values(c.GetHeaderMutation(), "x-whole"), []string{"abcd"})
			equal(t, "length", values(c.GetHeaderMutation(), "content-length"), []string{"5"})
			equal(t, "body", string(c.GetBodyMutation().GetBody()), "abcd!")
			equal(t, "error", e.end(), nil)
		})
	}
	e := open(t, newServer(t, Options{}, "whole"), buffers) // trailers follow
	e.ask(requestHeaders(false))
	c := e.ask(requestBody("abcd", false)).GetRequestBody().GetResponse()
	equal(t, "body before trailers", string(c.GetBodyMutation().GetBody()), "abcd!")
	if e.ask(requestTrailers()).GetRequestTrailers() == nil {
		t.Error("no answer to the trailers")
	}
	e = open(t, newServer(t, Options{}, "whole"), partial) // more follows than fits
	e.ask(requestHeaders(false))
	equal(t, "too large", int(e.ask(requestBody("abcd", false)).GetImmediateResponse().GetStatus().GetCode()), 413)
}

func TestPipe(t *testing.T) {
	for _, mode := range []modev3.ProcessingMode_BodySendMode{stream1, buffers, duplex} {
		e := open(t, newServer(t, Options{}, "pipes"), mode)
		e.ask(requestHeaders(false, "content-length", "4"))
		var got strings.Builder
		e.send(requestBody("abcd", true))
		for !strings.HasSuffix(got.String(), "|") {
			m := e.next().GetRequestBody().GetResponse().GetBodyMutation()
			got.Write(m.GetBody())
			got.Write(m.GetStreamedResponse().GetBody())
		}
		equal(t, "body in "+mode.String(), got.String(), "abcd|")
		equal(t, "error", e.end(), nil)
	}
}

func TestWrongMode(t *testing.T) {
	for name, modes := range map[string][]modev3.ProcessingMode_BodySendMode{"whole": {none, stream1}, "pipes": {none}} {
		t.Run(name, func(t *testing.T) {
			for _, mode := range modes {
				var log strings.Builder
				e := open(t, newServer(t, Options{Log: textLog(&log)}, name), mode)
				equal(t, "status", int(e.ask(requestHeaders(false)).GetImmediateResponse().GetStatus().GetCode()), 500)
				equal(t, "error", e.ended(), nil)
				if !strings.Contains(log.String(), "set request_body_mode to FULL_DUPLEX_STREAMED") {
					t.Errorf("the log does not help: %s", log.String())
				}
			}
		})
	}
	// Envoy ignores overrides where the other direction has this mode: the request would go on without the plugin.
	e := open(t, newServer(t, Options{ModeOverride: true}, "whole"), none)
	e.config.ResponseBodyMode = duplex
	equal(t, "status", int(e.ask(requestHeaders(false)).GetImmediateResponse().GetStatus().GetCode()), 500)
	e = open(t, newServer(t, Options{ModeOverride: true}, "whole"), none)
	equal(t, "mode", e.ask(requestHeaders(false)).GetModeOverride().GetRequestBodyMode(), buffers)
	equal(t, "body", replaced(e.ask(requestBody("ab", true))), "ab!")
}

func TestOverride(t *testing.T) {
	e := open(t, newServer(t, Options{}, "looks"), stream1)
	m := e.ask(requestHeaders(false)).GetModeOverride()
	equal(t, "request body", m.GetRequestBodyMode(), none)
	equal(t, "response body", m.GetResponseBodyMode(), none)
	equal(t, "response headers", m.GetResponseHeaderMode(), modev3.ProcessingMode_SKIP)
	e = open(t, newServer(t, Options{}, "looks"), duplex)
	if m := e.ask(requestHeaders(false)).GetModeOverride(); m != nil {
		t.Errorf("an override that Envoy ignores: %v", m)
	}
}

func TestAsyncAsksForTime(t *testing.T) {
	wait := make(chan struct{})
	gate.Store(&wait)
	o := Options{MessageTimeout: 20 * time.Millisecond, MaxMessageTimeout: time.Minute}
	e := open(t, newServer(t, o, "async"), none)
	equal(t, "asks", e.ask(requestHeaders(true)).GetOverrideMessageTimeout().AsDuration(), time.Minute)
	close(wait)
	equal(t, "then", values(e.next().GetRequestHeaders().GetResponse().GetHeaderMutation(), "x-async"), []string{"1"})
	equal(t, "error", e.end(), nil)
}

func TestResetWhileAsync(t *testing.T) {
	before := completed.Load()
	wait := make(chan struct{})
	gate.Store(&wait)
	e := open(t, newServer(t, Options{}, "async"), duplex)
	e.silent(requestHeaders(true))
	e.cancel()
	equal(t, "error", e.ended(), nil)
	equal(t, "completions", completed.Load()-before, int64(1))
}

func TestReply(t *testing.T) {
	e := open(t, newServer(t, Options{}, "denies"), duplex)
	r := e.ask(requestHeaders(false, "x-deny", "request")).GetImmediateResponse()
	equal(t, "status", int(r.GetStatus().GetCode()), 403)
	equal(t, "body", string(r.GetBody()), "no")
	equal(t, "details", r.GetDetails(), "why")
	equal(t, "gRPC status", r.GetGrpcStatus().GetStatus(), uint32(7))
	equal(t, "header", values(r.GetHeaders(), "x-a"), []string{"1"})
	equal(t, "error", e.ended(), nil)

	e = open(t, newServer(t, Options{}, "denies"), duplex)
	e.ask(requestHeaders(true, "x-deny", "response"))
	e.ask(responseHeaders(false))
	b := e.ask(responseBody("x", false)).GetResponseBody() // has Envoy begin, so that what follows resets
	if b == nil || len(b.GetResponse().GetBodyMutation().GetStreamedResponse().GetBody()) > 0 {
		t.Errorf("the response does not begin: %v", b)
	}
	if e.next().GetImmediateResponse() == nil {
		t.Error("no reset")
	}
}

func TestLooks(t *testing.T) {
	e := open(t, newServer(t, Options{}, "looks"), none)
	m := requestHeaders(true)
	m.Attributes = map[string]*structpb.Struct{"envoy.filters.http.ext_proc": {Fields: map[string]*structpb.Value{
		"request.protocol": structpb.NewStringValue("HTTP/2"), "source.address": structpb.NewStringValue("1.2.3.4:5"),
	}}}
	m.MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
		"in": {Fields: map[string]*structpb.Value{"key": structpb.NewNumberValue(7)}},
	}}
	e.ask(m)
	got := looked.Load().([]any)
	equal(t, "attribute", got[0], "HTTP/2")
	equal(t, "from headers", got[1], "/p")
	equal(t, "address", got[2], "1.2.3.4:5")
	equal(t, "metadata", got[3], 7.0)
	if got[4] == nil {
		t.Error("filter state without an error")
	}
}

func TestObserve(t *testing.T) {
	e := open(t, newServer(t, Options{}, "marks", "whole"), duplex)
	for _, m := range []*extprocv3.ProcessingRequest{
		requestHeaders(false), requestBody("a", true), responseHeaders(false),
		responseBody("b", false), responseTrailers(),
	} {
		m.ObservabilityMode = true
		e.config = nil
		e.silent(m)
	}
	equal(t, "error", e.end(), nil)
}

func TestSkippedHeaders(t *testing.T) {
	e := open(t, newServer(t, Options{}, "marks"), none)
	c := e.ask(responseHeaders(true)).GetResponseHeaders().GetResponse()
	equal(t, "header", values(c.GetHeaderMutation(), "x-mark"), []string{"yes"})
	e = open(t, newServer(t, Options{}, "upper"), stream1)
	equal(t, "body", replaced(e.ask(responseBody("ab", true))), "AB")
}

func TestLimit(t *testing.T) {
	e := open(t, newServer(t, Options{BufferLimit: 10}, "whole"), duplex)
	e.silent(requestHeaders(false))
	r := e.ask(requestBody("0123456789a", false)).GetImmediateResponse()
	equal(t, "status", int(r.GetStatus().GetCode()), 413)
	s := newServer(t, Options{TotalLimit: 10}, "whole")
	e = open(t, s, duplex)
	e.silent(requestHeaders(false))
	r = e.ask(requestBody("0123456789a", false)).GetImmediateResponse()
	equal(t, "status", int(r.GetStatus().GetCode()), 503)
	equal(t, "error", e.ended(), nil)
	equal(t, "held", s.held.Load(), int64(0))
}
