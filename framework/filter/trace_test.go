package filter

import (
	"context"
	"strings"
	"testing"
	"unsafe"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"

	"mosn.io/moe/framework/internal/core"
)

const (
	traceID  = "0af7651916cd43dd8448eb211c80319c"
	spanID   = "b7ad6b7169203331"
	otherID  = "00f067aa0ba902b7"
	ofW3C    = "00-" + traceID + "-" + otherID + "-01"
	halfID   = "8448eb211c80319c"
	halfFull = "0000000000000000" + halfID
)

// The request's span is the one of W3C's headers, or else of B3's; what is broken is none.
func TestSpanFrom(t *testing.T) {
	for name, c := range map[string]struct {
		headers string // "name: value" lines
		want    string // trace/span/flags; "" is none
	}{
		"nothing":                        {"", ""},
		"traceparent":                    {"traceparent: " + ofW3C, traceID + "/" + otherID + "/01"},
		"traceparent before b3":          {"traceparent: " + ofW3C + "\nb3: " + traceID + "-" + spanID, traceID + "/" + otherID + "/01"},
		"broken traceparent, good b3":    {"traceparent: 00-1\nb3: " + traceID + "-" + spanID + "-0", traceID + "/" + spanID + "/00"},
		"b3 that is sampled":             {"b3: " + traceID + "-" + spanID + "-1", traceID + "/" + spanID + "/01"},
		"b3 for debugging":               {"b3: " + traceID + "-" + spanID + "-d", traceID + "/" + spanID + "/01"},
		"b3 without a decision":          {"b3: " + traceID + "-" + spanID, traceID + "/" + spanID + "/01"},
		"b3 with a parent":               {"b3: " + traceID + "-" + spanID + "-1-" + otherID, traceID + "/" + spanID + "/01"},
		"b3 of half the length":          {"b3: " + halfID + "-" + spanID, halfFull + "/" + spanID + "/01"},
		"b3 that only decides":           {"b3: 0", ""},
		"several traceparents":           {"traceparent: " + ofW3C + "\ntraceparent: " + ofW3C, ""},
		"several, and b3":                {"traceparent: " + ofW3C + "\ntraceparent: " + ofW3C + "\nb3: " + traceID + "-" + spanID, traceID + "/" + spanID + "/01"},
		"b3 with a broken parent":        {"b3: " + traceID + "-" + spanID + "-1-xyz", ""},
		"b3 with another decision":       {"b3: " + traceID + "-" + spanID + "-x", ""},
		"b3 with more parts":             {"b3: " + traceID + "-" + spanID + "-1-" + otherID + "-1", ""},
		"b3 of zeros":                    {"b3: " + strings.Repeat("0", 32) + "-" + spanID, ""},
		"b3 that is not ASCII":           {"b3: é" + traceID[2:] + "-" + spanID, ""},
		"x-b3 headers":                   {"x-b3-traceid: " + traceID + "\nx-b3-spanid: " + spanID + "\nx-b3-sampled: 0", traceID + "/" + spanID + "/00"},
		"x-b3 headers for debugging":     {"x-b3-traceid: " + traceID + "\nx-b3-spanid: " + spanID + "\nx-b3-sampled: 0\nx-b3-flags: 1", traceID + "/" + spanID + "/01"},
		"x-b3 headers without a span":    {"x-b3-traceid: " + traceID, ""},
		"x-b3 headers in capital digits": {"x-b3-traceid: " + strings.ToUpper(traceID) + "\nx-b3-spanid: " + spanID, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []core.Field
			for line := range strings.Lines(c.headers) {
				k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
				headers = append(headers, core.Field{Name: k, Value: v})
			}
			s, _ := streamWith(headers...)
			h := s.traceHeaders()
			got := ""
			if sc := h.span(); sc.IsValid() {
				got = sc.TraceID().String() + "/" + sc.SpanID().String() + "/" + sc.TraceFlags().String()
				if !sc.IsRemote() {
					t.Error("the span is not remote, want a remote one")
				}
			}
			if got != c.want {
				t.Errorf("the span of %q is %q, want %q", c.headers, got, c.want)
			}
		})
	}
}

// streamWith returns a stream whose request has these headers, and what runs it.
func streamWith(fields ...core.Field) (Stream, *core.Stream) {
	c := &core.Stream{Host: bareHost{}}
	c.H[core.RequestHeaders] = core.Block{Fields: fields, Present: true}
	return internals{}.Stream(c, 0), c
}

// bareHost is a host that has nothing.
type bareHost struct{ core.Host }

func (bareHost) Escaped() {}

// Baggage is in the context within the limits of W3C; a client cannot make it grow, nor break the request with it.
func TestBaggage(t *testing.T) {
	for name, c := range map[string]struct {
		value string
		want  int // members
	}{
		"none":                 {"", 0},
		"one":                  {"user=alice", 1},
		"with properties":      {"user=alice;secret, b=2", 2},
		"10,000 entries":       {strings.Repeat("a=b,", 10_000) + "c=d", 0},
		"a long value":         {"a=" + strings.Repeat("x", 9000), 0},
		"not ASCII":            {"a=é", 0},
		"no value":             {"a", 0},
		"control characters":   {"a=\x01", 0},
		"percent and no digit": {"a=%", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := streamWith(core.Field{Name: "baggage", Value: c.value})
			if got := baggage.FromContext(s.Context()).Len(); got != c.want {
				t.Errorf("%d members of %.40q, want %d", got, c.value, c.want)
			}
		})
	}
}

// Several headers of a list are one.
func TestListsOfSeveralHeaders(t *testing.T) {
	s, _ := streamWith(core.Field{Name: "baggage", Value: "a=1"}, core.Field{Name: "traceparent", Value: ofW3C},
		core.Field{Name: "tracestate", Value: "x=1"}, core.Field{Name: "baggage", Value: "b=2"},
		core.Field{Name: "tracestate", Value: "y=2"})
	ctx := s.Context()
	if got := baggage.FromContext(ctx).Len(); got != 2 {
		t.Errorf("the baggage has %d members, want 2", got)
	}
	if got := trace.SpanContextFromContext(ctx).TraceState().String(); got != "x=1,y=2" {
		t.Errorf("the state is %q, want x=1,y=2", got)
	}
}

// A request that only says that it is not to be traced begins a trace that is not sampled.
func TestDeny(t *testing.T) {
	for name, c := range map[string]struct {
		fields []core.Field
		denied bool
	}{
		"nothing":                  {nil, false},
		"b3: 0":                    {[]core.Field{{Name: "b3", Value: "0"}}, true},
		"b3: 1":                    {[]core.Field{{Name: "b3", Value: "1"}}, false},
		"x-b3-sampled: 0":          {[]core.Field{{Name: "x-b3-sampled", Value: "0"}}, true},
		"x-b3-sampled: 1":          {[]core.Field{{Name: "x-b3-sampled", Value: "1"}}, false},
		"x-b3-sampled: 0, debug":   {[]core.Field{{Name: "x-b3-sampled", Value: "0"}, {Name: "x-b3-flags", Value: "1"}}, false},
		"b3: 0 and a good W3C one": {[]core.Field{{Name: "b3", Value: "0"}, {Name: "traceparent", Value: ofW3C}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := streamWith(c.fields...)
			sc := trace.SpanContextFromContext(internals{}.RemoteContext(s))
			if denied := sc.IsValid() && !sc.IsSampled(); denied != c.denied {
				t.Errorf("the remote span is %v, want one that is valid and not sampled: %v", sc, c.denied)
			}
		})
	}
}

// spanned is a host that has a span for its stream, or an observer's is there, or Envoy has told the host of one.
type spanned struct {
	bareHost
	span    core.HostSpan
	headers map[string]string
}

func (h spanned) Span() core.HostSpan { return h.span }

func (h spanned) TraceHeader(name string) string { return h.headers[name] }

type someSpan struct {
	trace.Span
	id byte
}

func (s someSpan) Child(string, *trace.SpanConfig) core.HostSpan { return nil }

func (s someSpan) SpanContext() trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{s.id}, SpanID: trace.SpanID{s.id}})
}

// The stream's span is what an observer has made, or else the host's own, or else a remote one.
func TestContextSpan(t *testing.T) {
	remote := core.Field{Name: "traceparent", Value: ofW3C}
	host := spanned{span: someSpan{id: 2}}
	for name, c := range map[string]struct {
		observers trace.Span
		host      core.Host
		want      string // how the trace's id begins
	}{
		"an observer's":           {someSpan{id: 1}, host, "01"},
		"the host's":              {nil, host, "02"},
		"of what Envoy tells":     {nil, spanned{headers: map[string]string{"b3": halfID + "-" + spanID}}, "00"},
		"of the request's header": {nil, spanned{}, "0a"},
		"a host without spans":    {nil, bareHost{}, "0a"},
	} {
		t.Run(name, func(t *testing.T) {
			s, c2 := streamWith(remote)
			c2.Host, c2.Span = c.host, c.observers
			if got := trace.SpanContextFromContext(s.Context()).TraceID().String()[:2]; got != c.want {
				t.Errorf("the trace's id begins with %s, want %s", got, c.want)
			}
			if got := trace.SpanContextFromContext(internals{}.RemoteContext(s)).TraceID().String()[:2]; got == "01" || got == "02" {
				t.Errorf("the remote context has the span %s, want a remote one", got)
			}
		})
	}
	t.Run("a stream that is done", func(t *testing.T) {
		s, c := streamWith(remote)
		c.Gen++
		if ctx := s.Context(); trace.SpanContextFromContext(ctx).IsValid() || context.Cause(ctx) != ErrStreamDone {
			t.Errorf("its context has a span or the cause %v, want none and %v", context.Cause(ctx), ErrStreamDone)
		}
	})
}

// fetching is a host that must not be asked for headers.
type fetching struct {
	bareHost
	t *testing.T
}

func (f fetching) Fetch(int) []core.Field {
	f.t.Error("the host is asked for headers, want nobody to wait for it")
	return nil
}

// The trace's id is not worth a question to the host, which may wait.
func TestTraceIDAsksNobody(t *testing.T) {
	s, c := streamWith()
	c.Host, c.H[core.RequestHeaders], c.Remote = fetching{t: t}, core.Block{}, 1<<core.RequestHeaders
	if sc := s.spanContext(); sc.IsValid() {
		t.Errorf("the span is %v, want none", sc)
	}
}

// What the stream's context keeps of the request's headers stays when the host takes their memory back.
func TestLentTrace(t *testing.T) {
	memory := []byte("baggageuser=alicetracestatea=btraceparent" + ofW3C)
	lend := func(n int) (text string) {
		text = unsafe.String(unsafe.SliceData(memory), n)
		memory = memory[n:]
		return text
	}
	all := memory
	s, c := streamWith()
	c.H[core.RequestHeaders].Lend([]core.Field{
		{Name: lend(len("baggage")), Value: lend(len("user=alice"))},
		{Name: lend(len("tracestate")), Value: lend(len("a=b"))},
		{Name: lend(len("traceparent")), Value: lend(len(ofW3C))},
	})
	ctx := s.Context()
	for i := range all {
		all[i] = '!'
	}
	if got := baggage.FromContext(ctx).String(); got != "user=alice" {
		t.Errorf("the baggage is %q, want user=alice", got)
	}
	sc := trace.SpanContextFromContext(ctx)
	if got := sc.TraceState().String() + " " + sc.TraceID().String(); got != "a=b "+traceID {
		t.Errorf("the trace's state and id are %q, want a=b %s", got, traceID)
	}
}
