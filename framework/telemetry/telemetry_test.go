package telemetry

import (
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"mosn.io/moe/framework/internal/core"
)

// hostSpan is a span of a host that makes children until it is done.
type hostSpan struct {
	noop.Span
	name string
	id   trace.SpanID
	done bool
	last *hostSpan
}

func (s *hostSpan) Child(name string, config *trace.SpanConfig) core.HostSpan {
	if s.done {
		return nil
	}
	set := attribute.NewSet(config.Attributes()...)
	s.last = &hostSpan{name: name + set.Encoded(attribute.DefaultEncoder()), id: trace.SpanID{s.id[0] + 1}}
	return s.last
}

func (s *hostSpan) SpanContext() trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{9}, SpanID: s.id})
}

// export has the exporter be one that records, for one test.
func export(t *testing.T) *tracetest.SpanRecorder {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	Export(sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)))
	t.Cleanup(func() { Export(nil) })
	return spans
}

// A span goes where the trace in its context goes: to the host, or to the exporter, or nowhere.
func TestTracerFollowsTheContext(t *testing.T) {
	Install()
	tracer := otel.Tracer("test")
	root := &hostSpan{id: trace.SpanID{1}}
	ctx := trace.ContextWithSpan(t.Context(), root)

	t.Run("below the host's span", func(t *testing.T) {
		spans := export(t)
		inner, child := tracer.Start(ctx, "child", trace.WithAttributes(attribute.Int("n", 1)))
		if root.last == nil || root.last.name != "childn=1" || trace.SpanFromContext(inner) != child || child != trace.Span(root.last) {
			t.Errorf("the span is %+v, want a child that the host has made", child)
		}
		if _, grandchild := tracer.Start(inner, "grandchild"); grandchild != trace.Span(root.last.last) {
			t.Errorf("the span below is %+v, want a child of the child", grandchild)
		}
		if n := len(spans.Started()); n != 0 {
			t.Errorf("%d spans have gone to the exporter, want 0", n)
		}
	})
	t.Run("the host's stream is done", func(t *testing.T) {
		done := &hostSpan{id: trace.SpanID{1}, done: true}
		_, span := tracer.Start(trace.ContextWithSpan(t.Context(), done), "late")
		if span.IsRecording() || !span.SpanContext().Equal(done.SpanContext()) {
			t.Errorf("the span records or has %v, want one that stands for %v", span.SpanContext(), done.SpanContext())
		}
	})
	t.Run("without the host", func(t *testing.T) {
		spans := export(t)
		remote := trace.ContextWithRemoteSpanContext(t.Context(), root.SpanContext().WithTraceFlags(trace.FlagsSampled))
		_, span := tracer.Start(remote, "own")
		span.End()
		ended := spans.Ended()
		if len(ended) != 1 || ended[0].Parent().SpanID() != root.id {
			t.Fatalf("%d spans have ended, want one below the remote span: %+v", len(ended), ended)
		}
		if got := ended[0].InstrumentationScope().Name; got != "test" {
			t.Errorf("the exporter's tracer is %q, want test", got)
		}
	})
	t.Run("a root that the host cannot make", func(t *testing.T) {
		spans := export(t)
		_, span := tracer.Start(ctx, "root", trace.WithNewRoot())
		span.End()
		if ended := spans.Ended(); len(ended) != 1 || ended[0].Parent().IsValid() {
			t.Errorf("the exporter has %+v, want one root", ended)
		}
	})
	t.Run("nobody traces", func(t *testing.T) {
		remote := trace.ContextWithRemoteSpanContext(t.Context(), root.SpanContext())
		if _, span := tracer.Start(remote, "none"); span.IsRecording() || span.SpanContext().SpanID() != root.id {
			t.Errorf("the span records or has %v, want the remote one's ids", span.SpanContext())
		}
		if _, span := tracer.Start(t.Context(), "none"); span.SpanContext().IsValid() {
			t.Errorf("the span has %v, want none", span.SpanContext())
		}
	})
}
