package filter

import (
	"context"
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
	ctx = s.withBaggage(ctx)
	if span != nil {
		return trace.ContextWithSpan(ctx, span)
	}
	if t, ok := host.(core.Tracer); ok {
		if span := t.Span(); span != nil {
			return trace.ContextWithSpan(ctx, span)
		}
	}
	if sc := s.remoteSpan(host); sc.IsValid() {
		return trace.ContextWithRemoteSpanContext(ctx, sc)
	}
	return ctx
}

// traceID returns the id of the stream's trace as far as it is known without asking the host, which may wait: of a span that
// was made or asked for, or of the one that the request names.
func (s Stream) traceID() (id trace.TraceID) {
	if !s.lock() {
		return id
	}
	span, ctx := s.c.Span, s.c.Ctx
	s.c.Mu.Unlock()
	switch {
	case span != nil:
		return span.SpanContext().TraceID()
	case ctx != nil:
		return trace.SpanContextFromContext(ctx).TraceID()
	}
	return spanFrom(s.RequestHeaders().Get).TraceID()
}

// withBaggage adds the request's baggage (https://www.w3.org/TR/baggage/). One that is broken, or longer than W3C's limits,
// is none.
func (s Stream) withBaggage(ctx context.Context) context.Context {
	v := s.RequestHeaders().Get("baggage")
	if v == "" {
		return ctx
	}
	b, err := baggage.Parse(v)
	if err != nil {
		return ctx
	}
	return baggage.ContextWithBaggage(ctx, b)
}

// remoteSpan returns the span that the request belongs to: what Envoy has told the host of it, or else what the request's
// headers say.
func (s Stream) remoteSpan(host core.Host) trace.SpanContext {
	if c, ok := host.(core.TraceCarrier); ok {
		if sc := spanFrom(c.TraceHeader); sc.IsValid() {
			return sc
		}
	}
	return spanFrom(s.RequestHeaders().Get)
}

// spanFrom reads W3C's headers, or else those of B3 (https://github.com/openzipkin/b3-propagation). The result is not valid
// where neither are there and right.
func spanFrom(get func(name string) string) trace.SpanContext {
	if sc, ok := parseTraceparent(get("traceparent")); ok {
		if state, err := trace.ParseTraceState(get("tracestate")); err == nil {
			sc = sc.WithTraceState(state)
		}
		return sc
	}
	if sc, ok := parseB3(get("b3")); ok {
		return sc
	}
	sampled := get("x-b3-sampled")
	if get("x-b3-flags") == "1" {
		sampled = "d"
	}
	sc, _ := b3Span(get("x-b3-traceid"), get("x-b3-spanid"), sampled)
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
