package filter

import (
	"context"
	"crypto/rand"
	"strings"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"

	"mosn.io/moe/framework/internal/core"
)

// traceContext is the parent of the stream's context, if that has not been made yet.
func (s Stream) traceContext() context.Context {
	ctx := context.Background()
	if !s.lock() {
		return ctx
	}
	made, span, host := s.c.Ctx != nil, s.c.Span, s.c.Host
	s.c.Mu.Unlock()
	if made {
		return ctx
	}
	h := s.traceHeaders()
	ctx = h.withBaggage(ctx)
	if span != nil {
		return trace.ContextWithSpan(ctx, span)
	}
	if t, ok := host.(core.Tracer); ok {
		if span := t.Span(); span != nil {
			return trace.ContextWithSpan(ctx, span)
		}
	}
	return h.withRemoteSpan(ctx, host)
}

// traceHeaders are the headers of a request that say which trace it belongs to.
type traceHeaders struct {
	parent, state, b3                string // traceparent, tracestate, b3
	b3Trace, b3Span, sampled, b3Flag string // x-b3-…
	baggage                          string
	parents                          int  // how many of traceparent there are
	some                             bool // one of them is there
}

// traceHeaders finds them in one pass.
func (s Stream) traceHeaders() (t traceHeaders) {
	b := s.RequestHeaders().lock()
	if b == nil {
		return t
	}
	defer s.c.Mu.Unlock()
	t.find(s.c, b)
	return t
}

// find notes those of a block of s.
func (t *traceHeaders) find(s *core.Stream, b *core.Block) {
	for i := range b.Fields {
		n := b.Fields[i].Name
		if n == "" || n[0] != 't' && n[0] != 'b' && n[0] != 'x' { // which most do not begin with
			continue
		}
		if into, _ := t.place(n); into != nil {
			t.note(n, s.Value(b, i))
		}
	}
}

// note takes a header; of several with one name, the first. Those that are lists go on, as RFC 9110 has it.
func (t *traceHeaders) note(name, value string) {
	into, list := t.place(name)
	if into == nil || value == "" {
		return
	}
	if into == &t.parent {
		t.parents++
	}
	switch {
	case *into == "":
		*into, t.some = value, true
	case list && len(*into) <= maxList:
		*into += "," + value
	}
}

// place returns where the value of a header goes, or nil, and whether it is a list.
func (t *traceHeaders) place(name string) (into *string, list bool) {
	switch name {
	case "traceparent":
		return &t.parent, false
	case "tracestate":
		return &t.state, true
	case "b3":
		return &t.b3, false
	case "x-b3-traceid":
		return &t.b3Trace, false
	case "x-b3-spanid":
		return &t.b3Span, false
	case "x-b3-sampled":
		return &t.sampled, false
	case "x-b3-flags":
		return &t.b3Flag, false
	case "baggage":
		return &t.baggage, true
	}
	return nil, false
}

// maxList is beyond what W3C allows of baggage or tracestate, so that what is longer is none, however many headers there are.
const maxList = 8192

// denies reports whether the request asks not to be traced and names no span. B3
// allows that (https://github.com/openzipkin/b3-propagation).
func (t *traceHeaders) denies() bool {
	no := t.b3 == "0" || t.b3 == "" && (t.sampled == "0" || t.sampled == "false") && t.b3Flag != "1"
	return no && !t.span().IsValid()
}

// unsampled makes a context of a trace that nobody samples.
func unsampled(ctx context.Context) context.Context {
	var c trace.SpanContextConfig
	_, _ = rand.Read(c.TraceID[:]) // it does not fail
	_, _ = rand.Read(c.SpanID[:])
	c.Remote = true
	return trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(c))
}

// carried returns those that Envoy has told the host.
func carried(c core.TraceCarrier) (t traceHeaders) {
	for _, name := range [...]string{
		"traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags",
	} {
		t.note(name, c.TraceHeader(name))
	}
	return t
}

// spanContext returns the stream's span as far as it is known without asking the host, which may wait: one that was made or
// asked for, or the one that the request names.
func (s Stream) spanContext() (sc trace.SpanContext) {
	if !s.lock() {
		return sc
	}
	span, ctx := s.c.Span, s.c.Ctx
	s.c.Mu.Unlock()
	switch {
	case span != nil:
		return span.SpanContext()
	case ctx != nil:
		return trace.SpanContextFromContext(ctx)
	}
	if !s.lock() {
		return sc
	}
	defer s.c.Mu.Unlock()
	var h traceHeaders
	if b := &s.c.H[core.RequestHeaders]; b.Present {
		h.find(s.c, b)
	}
	return h.span()
}

// withBaggage adds the request's baggage (https://www.w3.org/TR/baggage/). One that is broken, or longer than W3C's limits,
// is none.
func (t *traceHeaders) withBaggage(ctx context.Context) context.Context {
	if t.baggage == "" {
		return ctx
	}
	b, err := baggage.Parse(t.baggage)
	if err != nil {
		return ctx
	}
	return baggage.ContextWithBaggage(ctx, b)
}

// withRemoteSpan adds the span that the request belongs to: what Envoy has told the host of it, or else what the request's
// headers say.
func (t *traceHeaders) withRemoteSpan(ctx context.Context, host core.Host) context.Context {
	if c, ok := host.(core.TraceCarrier); ok {
		told := carried(c)
		if sc := told.span(); sc.IsValid() {
			return trace.ContextWithRemoteSpanContext(ctx, sc)
		}
	}
	if !t.some {
		return ctx
	}
	if sc := t.span(); sc.IsValid() {
		return trace.ContextWithRemoteSpanContext(ctx, sc)
	}
	return ctx
}

// span reads W3C's headers, or else those of B3 (https://github.com/openzipkin/b3-propagation). The result is not valid
// where neither are there and right.
func (t *traceHeaders) span() (sc trace.SpanContext) {
	if !t.some {
		return sc
	}
	if sc, ok := parseTraceparent(t.parent); ok && t.parents == 1 { // several are none, as W3C has it
		if state, err := trace.ParseTraceState(t.state); err == nil {
			sc = sc.WithTraceState(state)
		}
		return sc
	}
	if sc, ok := parseB3(t.b3); ok {
		return sc
	}
	sampled := t.sampled
	if t.b3Flag == "1" {
		sampled = "d"
	}
	sc, _ = b3Span(t.b3Trace, t.b3Span, sampled)
	return sc
}

// parseTraceparent reads https://www.w3.org/TR/trace-context/#traceparent-header.
func parseTraceparent(v string) (sc trace.SpanContext, ok bool) {
	const length = 55 // 00-<32>-<16>-<2>
	if len(v) < length || v[2] != '-' || v[35] != '-' || v[52] != '-' || classOf(v[:length])&upper != 0 {
		return sc, false
	}
	if version := v[:2]; !isHex(version) || version == "ff" || version == "00" && len(v) != length ||
		len(v) > length && v[length] != '-' {
		return sc, false
	}
	id, err1 := trace.TraceIDFromHex(v[3:35])
	span, err2 := trace.SpanIDFromHex(v[36:52])
	if err1 != nil || err2 != nil || !isHex(v[53:55]) {
		return sc, false
	}
	flags := trace.TraceFlags(unhex(v[53])<<4|unhex(v[54])) & trace.FlagsSampled
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: flags, Remote: true}), true
}

// parseB3 reads the single header: TRACE-SPAN, with -SAMPLED and -PARENT behind it, or without.
func parseB3(v string) (sc trace.SpanContext, ok bool) {
	parts := strings.SplitN(v, "-", 5)
	switch len(parts) {
	case 2:
		return b3Span(parts[0], parts[1], "")
	case 3:
		return b3Span(parts[0], parts[1], parts[2])
	case 4:
		if _, err := trace.SpanIDFromHex(parts[3]); err != nil {
			return sc, false
		}
		return b3Span(parts[0], parts[1], parts[2])
	}
	return sc, false
}

// b3Span makes a span of B3's parts. Trace ids may have half the length. Where no decision has come, it is ours, and
// sampled stands for that.
func b3Span(id, span, sampled string) (sc trace.SpanContext, ok bool) {
	if len(id) == 16 {
		id = "0000000000000000" + id
	}
	var flags trace.TraceFlags
	switch sampled {
	case "", "1", "d", "true":
		flags = trace.FlagsSampled
	case "0", "false":
	default:
		return sc, false
	}
	traceID, err1 := trace.TraceIDFromHex(id)
	spanID, err2 := trace.SpanIDFromHex(span)
	if err1 != nil || err2 != nil {
		return sc, false
	}
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: spanID, TraceFlags: flags, Remote: true,
	}), true
}

func isHex(s string) bool {
	for i := 0; i < len(s); i++ {
		if unhex(s[i]) > 15 {
			return false
		}
	}
	return true
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}
