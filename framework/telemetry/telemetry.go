// Package telemetry lets chains and plugins take part in traces, with the API of go.opentelemetry.io/otel.
//
// Where Envoy traces a request and the host can reach Envoy's span, that is the stream's span: tracers make children of
// it, which leave by Envoy's exporter. Elsewhere, spans are those of a TracerProvider that [Export] was given, if it was;
// package telemetry/otlp gives it OpenTelemetry's SDK. Where neither is there, spans record nothing.
package telemetry

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	"go.opentelemetry.io/otel/trace/noop"

	"mosn.io/moe/framework/internal/core"
)

// exporter is what makes spans that the process exports itself.
var exporter atomic.Pointer[trace.TracerProvider]

// Export has spans that do not belong to a trace of Envoy's made by p; nil makes none. Call it before chains are made: those
// that are there already go on as they were.
func Export(p trace.TracerProvider) {
	if p == nil {
		exporter.Store(nil)
		return
	}
	exporter.Store(&p)
}

// exporting returns what Export was given, or nil.
func exporting() trace.TracerProvider {
	if p := exporter.Load(); p != nil {
		return *p
	}
	return nil
}

// flushes are what Flush calls beside the exporter of spans.
var flushes struct {
	sync.Mutex
	all []func(context.Context) error
}

// OnFlush has Flush call f, which sends what else waits to be exported.
func OnFlush(f func(context.Context) error) {
	flushes.Lock()
	defer flushes.Unlock()
	flushes.all = append(flushes.all, f)
}

// Flush sends what waits to be exported. It waits for at most the time given.
func Flush(wait time.Duration) {
	flushes.Lock()
	all := slices.Clone(flushes.all)
	flushes.Unlock()
	if p, ok := exporting().(interface{ ForceFlush(context.Context) error }); ok {
		all = append(all, p.ForceFlush)
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	var running sync.WaitGroup
	for _, f := range all {
		running.Go(func() { _ = f(ctx) }) // who counts what was lost is the exporter
	}
	running.Wait()
}

var install sync.Once

// Install makes [TracerProvider] the one that otel.Tracer uses, and W3C's headers those that instrumentation reads and
// writes, for the whole process. Hosts that run chains in a process of theirs call it; a second call does nothing.
func Install() {
	install.Do(func() {
		otel.SetTracerProvider(TracerProvider())
		otel.SetTextMapPropagator(
			propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	})
}

// TracerProvider returns the provider of tracers whose spans go where the trace in the context that they are started with
// goes. Its tracers may be used by any goroutine. A span that is started with a stream's context on another goroutine than
// the stream's may wait for Envoy's thread.
func TracerProvider() trace.TracerProvider { return provider{} }

// provider is of TracerProvider.
type provider struct{ embedded.TracerProvider }

// Tracer is that of trace.TracerProvider.
func (provider) Tracer(name string, options ...trace.TracerOption) trace.Tracer {
	return &tracer{name: name, options: options}
}

// tracer is of provider.
type tracer struct {
	embedded.Tracer
	name    string
	options []trace.TracerOption
	own     atomic.Pointer[owned]
}

// owned is the exporter's tracer of a name.
type owned struct {
	of     trace.TracerProvider
	tracer trace.Tracer
}

// Start is that of trace.Tracer.
func (t *tracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	if ctx == nil {
		ctx = context.Background()
	}
	parent := trace.SpanFromContext(ctx)
	if host, ok := parent.(core.HostSpan); ok {
		config := trace.NewSpanStartConfig(options...)
		if config.NewRoot() { // which a host cannot make
			return t.exported().Start(ctx, name, options...)
		}
		if child := host.Child(name, &config); child != nil {
			return trace.ContextWithSpan(ctx, child), child
		}
		remote := trace.ContextWithSpanContext(ctx, parent.SpanContext())
		return remote, trace.SpanFromContext(remote)
	}
	return t.exported().Start(ctx, name, options...)
}

// exported returns the exporter's tracer, or one whose spans record nothing.
func (t *tracer) exported() trace.Tracer {
	p := exporting()
	if p == nil {
		return noop.Tracer{}
	}
	if o := t.own.Load(); o != nil && o.of == p {
		return o.tracer
	}
	o := &owned{of: p, tracer: p.Tracer(t.name, t.options...)}
	t.own.Store(o)
	return o.tracer
}
