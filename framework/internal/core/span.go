package core

import "go.opentelemetry.io/otel/trace"

// TracerName is the name of the tracer that makes the framework's own spans.
const TracerName = "mosn.io/moe"

// Tracer is a Host that may have a span for its stream.
type Tracer interface {
	// Span returns the host's own span of the stream; nil where it does not trace the stream, or the stream is done. Off
	// the stream's thread it may wait for that.
	Span() HostSpan
}

// HostSpan is a span that a host keeps. Its methods may be called from any goroutine, also when the stream is done; then they
// do nothing.
type HostSpan interface {
	trace.Span
	// Child makes a span below this one. Off the stream's thread it may wait for that. It returns nil where the host cannot,
	// as the stream is done.
	Child(name string, config *trace.SpanConfig) HostSpan
}

// TraceCarrier is a Host to which Envoy says of its trace what the request's headers do not say yet.
type TraceCarrier interface {
	// TraceHeader returns a header such as traceparent; "" is none.
	TraceHeader(name string) string
}
