package extension

import (
	"fmt"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"mosn.io/moe/framework/internal/core"
)

// traced has requests over a cluster go on with the trace in their context: a recording span gets a child for each, and the
// upstream learns of the span by W3C's headers. Without a span in the context it adds nothing.
type traced struct {
	next    http.RoundTripper
	cluster string
}

// RoundTrip is that of http.RoundTripper. A request that has a traceparent already is somebody else's to trace.
func (t *traced) RoundTrip(r *http.Request) (*http.Response, error) {
	parent := trace.SpanFromContext(r.Context())
	if !parent.SpanContext().IsValid() || r.Header.Get("traceparent") != "" {
		return t.next.RoundTrip(r)
	}
	if !parent.IsRecording() {
		return t.send(r, r, parent.SpanContext())
	}
	ctx, span := parent.TracerProvider().Tracer(core.TracerName).Start(r.Context(), spanName(r.Method),
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			attribute.String("http.request.method", spanName(r.Method)), attribute.String("server.address", r.URL.Hostname()),
			attribute.String("url.path", r.URL.Path), attribute.String("moe.cluster", t.cluster),
		))
	defer span.End()
	response, err := t.send(r, r.WithContext(ctx), span.SpanContext())
	switch {
	case err != nil:
		span.SetAttributes(attribute.String("error.type", fmt.Sprintf("%T", err)))
		span.SetStatus(codes.Error, "")
	default:
		span.SetAttributes(attribute.Int("http.response.status_code", response.StatusCode))
		if response.StatusCode >= http.StatusBadRequest {
			span.SetAttributes(attribute.String("error.type", strconv.Itoa(response.StatusCode)))
			span.SetStatus(codes.Error, "")
		}
	}
	return response, err
}

// spanName returns a method that HTTP defines as it is, and another as semantic conventions have it, so that no client's
// words become names of spans.
func spanName(method string) string {
	switch method {
	case "":
		return http.MethodGet
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "_OTHER"
}

// send sends a copy of r, which the caller keeps, with the context of in and sc in its headers.
func (t *traced) send(r, in *http.Request, sc trace.SpanContext) (*http.Response, error) {
	c := in.WithContext(in.Context())
	if c.Header = r.Header.Clone(); c.Header == nil {
		c.Header = http.Header{}
	}
	c.Header.Set("traceparent", fmt.Sprintf("00-%s-%s-%s", sc.TraceID(), sc.SpanID(), sc.TraceFlags()&trace.FlagsSampled))
	if state := sc.TraceState().String(); state != "" {
		c.Header.Set("tracestate", state)
	}
	if b := baggage.FromContext(in.Context()); b.Len() > 0 && c.Header.Get("baggage") == "" {
		c.Header.Set("baggage", b.String())
	}
	response, err := t.next.RoundTrip(c)
	if response != nil && response.Request == c {
		response.Request = r
	}
	return response, err
}
