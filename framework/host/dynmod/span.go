package dynmod

/*
#include "moe.h"
*/
import "C"

import (
	"fmt"
	"strings"
	"sync/atomic"
	"unsafe"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/telemetry"
)

func init() { telemetry.Install() }

// spans are those of a stream that Envoy traces. They belong to the stream's thread.
type spans struct {
	asked bool  // Envoy was asked for its own
	root  *span // Envoy's own; nil: it does not trace the stream
	made  int   // how many children there have been
	open  []*span
	over  bool // the stream is done: there are no more
}

// maxSpans is how many spans a stream may have beside Envoy's. Those beyond it are not made.
const maxSpans = 1000

// maxEvents is how many events a span may have. Those beyond it are not logged: Envoy keeps them until the span ends.
const maxEvents = 128

// span is Envoy's span of a stream, or one below it that we own.
type span struct {
	embedded.Span
	owner   *handle
	context trace.SpanContext
	envoy   unsafe.Pointer // the stream's thread's; nil once it is finished
	root    bool
	events  atomic.Int32
	ended   atomic.Bool
}

// Span returns Envoy's span of the stream.
func (h *handle) Span() core.HostSpan {
	var root *span
	_ = h.Ask(func() { root = h.rootSpan() })
	if root == nil {
		return nil
	}
	return root
}

// rootSpan is called on the stream's thread.
func (s *envoyStream) rootSpan() *span {
	if s.spans.asked || s.spans.over || s.c.envoy == nil {
		return s.spans.root
	}
	s.spans.asked = true
	p := C.envoy_dynamic_module_callback_http_get_active_span(s.c.envoy)
	if p == nil {
		return nil
	}
	flags := s.sampled()
	s.spans.root = &span{owner: s.handle, envoy: p, root: true, context: contextOf(p, flags)}
	s.spans.root.ended.Store(s.e != nil && s.e.kind == C.EVENT_COMPLETE)
	return s.spans.root
}

// sampled returns whether Envoy most likely exports the stream's span, for those who learn of it: the ABI does not say. A
// request that is part of a trace brings the decision, and Envoy notes its own in the request's id.
func (s *envoyStream) sampled() trace.TraceFlags {
	var traceparent, id string
	for _, f := range s.requestFields() {
		switch f.Name {
		case "traceparent":
			traceparent = f.Value
		case "x-request-id":
			id = f.Value
		}
	}
	const decision, uuid = 14, 36 // its place in a UUID
	switch {
	case len(traceparent) >= 55:
		if strings.IndexByte("13579bdf", traceparent[54]) < 0 {
			return 0
		}
	case len(id) == uuid && id[decision] == '4':
		return 0
	}
	return trace.FlagsSampled
}

// contextOf returns the ids of a span of Envoy's. It is not valid where the tracer has others than OpenTelemetry's.
func contextOf(p unsafe.Pointer, flags trace.TraceFlags) trace.SpanContext {
	var traceID, spanID C.ebuf
	config := trace.SpanContextConfig{TraceFlags: flags}
	// Both are in the same memory of Envoy's, the last one.
	if C.envoy_dynamic_module_callback_http_span_get_trace_id(p, &traceID) {
		id := goBuffer(traceID)
		if len(id) == 16 {
			id = "0000000000000000" + id
		}
		config.TraceID, _ = trace.TraceIDFromHex(id)
	}
	if C.envoy_dynamic_module_callback_http_span_get_span_id(p, &spanID) {
		config.SpanID, _ = trace.SpanIDFromHex(goBuffer(spanID))
	}
	return trace.NewSpanContext(config)
}

// Child has Envoy make a span below s; below Envoy's own where s has ended. Its kind becomes an attribute, since Envoy takes
// all of them for a client's.
func (s *span) Child(name string, config *trace.SpanConfig) core.HostSpan {
	h := s.owner
	var child *span
	_ = h.Ask(func() { child = h.child(s, name) })
	if child == nil {
		return nil
	}
	if kind := config.SpanKind(); kind != trace.SpanKindUnspecified && kind != trace.SpanKindClient {
		child.SetAttributes(attribute.String("span.kind", kind.String()))
	}
	child.SetAttributes(config.Attributes()...)
	return child
}

// child is called on the stream's thread.
func (h *handle) child(parent *span, name string) *span {
	s := h.envoyStream
	if s.spans.over || s.c.envoy == nil || s.spans.made >= maxSpans {
		return nil
	}
	if parent.envoy == nil {
		parent = s.spans.root
	}
	m := &scratch{}
	defer m.free()
	p := C.envoy_dynamic_module_callback_http_span_spawn_child(s.c.envoy, parent.envoy, m.buf(text(name)))
	if p == nil {
		return nil
	}
	h.Escaped() // so that its end comes at once, and with it those of its spans
	child := &span{owner: h, envoy: p, context: contextOf(p, parent.context.TraceFlags())}
	s.spans.made++
	s.spans.open = append(s.spans.open, child)
	return child
}

// endRoot notes that Envoy has finished its own span, as it does before it tells filters that the stream is complete. Spans
// below it can still be made.
func (s *envoyStream) endRoot() {
	if s.spans.root != nil {
		s.spans.root.ended.Store(true)
	}
}

// endSpans finishes what plugins have left open, as the stream ends.
func (s *envoyStream) endSpans() {
	for _, c := range s.spans.open {
		c.finish()
	}
	if s.spans.root != nil {
		s.spans.root.envoy = nil
	}
	s.spans = spans{over: true}
}

// finish gives s back to Envoy, on the stream's thread.
func (s *span) finish() {
	if s.envoy != nil {
		s.ended.Store(true)
		C.envoy_dynamic_module_callback_http_child_span_finish(s.envoy)
		s.envoy = nil
	}
}

// do runs f on the stream's thread while s is there: at once on that thread, or soon.
func (s *span) do(f func(m *scratch)) {
	if s.ended.Load() {
		return
	}
	_ = s.owner.Now(func() {
		if s.envoy == nil || s.root && (s.owner.c.envoy == nil || s.ended.Load()) {
			return
		}
		m := &scratch{}
		defer m.free()
		f(m)
	})
}

// End finishes the span. Envoy's own goes on until Envoy finishes it, before OnComplete.
func (s *span) End(...trace.SpanEndOption) {
	if s.root {
		return
	}
	s.do(func(*scratch) {
		s.finish()
		open := s.owner.spans.open
		for i := range open {
			if open[i] == s {
				s.owner.spans.open = append(open[:i], open[i+1:]...)
				break
			}
		}
	})
	s.ended.Store(true)
}

// IsRecording reports whether the span goes on.
func (s *span) IsRecording() bool { return !s.ended.Load() }

// SpanContext is that of trace.Span.
func (s *span) SpanContext() trace.SpanContext { return s.context }

// TracerProvider makes spans below that of the context that they are started with.
func (s *span) TracerProvider() trace.TracerProvider { return telemetry.TracerProvider() }

// SetName is that of trace.Span.
func (s *span) SetName(name string) {
	s.do(func(m *scratch) { C.envoy_dynamic_module_callback_http_span_set_operation(s.envoy, m.buf(text(name))) })
}

// samplingPriority is the attribute, of OpenTracing, that asks for a decision: 0 to drop the span, anything else to keep it.
const samplingPriority = "sampling.priority"

// SetAttributes sets tags of Envoy's, which are strings.
func (s *span) SetAttributes(all ...attribute.KeyValue) {
	if len(all) == 0 {
		return
	}
	s.do(func(m *scratch) {
		for _, kv := range all {
			if kv.Key == samplingPriority {
				C.envoy_dynamic_module_callback_http_span_set_sampled(s.envoy, C.bool(kv.Value.String() != "0"))
				continue
			}
			s.tag(m, string(kv.Key), kv.Value.String())
		}
	})
}

func (s *span) tag(m *scratch, key, value string) {
	if key != "" {
		C.envoy_dynamic_module_callback_http_span_set_tag(s.envoy, m.buf(text(key)), m.buf(text(value)))
	}
}

// AddEvent logs an event, with its attributes behind its name. Whether it is seen is up to Envoy's tracer.
func (s *span) AddEvent(name string, options ...trace.EventOption) {
	if s.ended.Load() || s.events.Load() >= maxEvents || s.events.Add(1) > maxEvents {
		return
	}
	config := trace.NewEventConfig(options...)
	var b strings.Builder
	b.WriteString(name)
	for _, kv := range config.Attributes() {
		fmt.Fprintf(&b, " %s=%s", kv.Key, kv.Value.String())
	}
	s.do(func(m *scratch) {
		C.envoy_dynamic_module_callback_http_span_log(s.owner.c.envoy, s.envoy, m.buf(text(b.String())))
	})
}

// RecordError logs err as an event.
func (s *span) RecordError(err error, options ...trace.EventOption) {
	if err == nil {
		return
	}
	s.AddEvent("exception", append(options, trace.WithAttributes(
		attribute.String("exception.type", fmt.Sprintf("%T", err)), attribute.String("exception.message", err.Error())))...)
}

// SetStatus marks the span as failed for codes.Error. Envoy knows no other status.
func (s *span) SetStatus(code codes.Code, description string) {
	if code != codes.Error {
		return
	}
	s.do(func(m *scratch) {
		s.tag(m, "error", "true")
		if description != "" {
			s.tag(m, "otel.status_description", description)
		}
	})
}

// AddLink does nothing: Envoy's spans have no links.
func (*span) AddLink(trace.Link) {}

// maxText bounds what a plugin, or a client through it, puts into a span.
const maxText = 4 << 10

// text returns what a collector takes: it refuses what is not UTF-8, and all that came with it.
func text(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
