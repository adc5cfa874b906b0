package telemetry

import (
	"context"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

var internals = filter.Internals(core.Internal{})

// Detail is how much of a stream is in its trace.
type Detail string

// The details. An empty one is Stream where the process exports traces itself, and Off in traces of Envoy's.
const (
	Off    Detail = "off"    // nothing but what plugins add
	Stream Detail = "stream" // what plugins do becomes events of the stream's span
	Phases Detail = "phases" // and each phase of each plugin has a span
)

// Traces says what of a chain's streams is in their traces.
type Traces struct {
	Detail Detail
	// Sampling is the part of the traces in which phases have spans, from 0 to 1. It goes by the traces' ids, so that chains
	// that a request passes choose alike.
	Sampling float64
}

// Observe returns what chain.Options.Observe should be: nil where there is nothing to see.
func (t Traces) Observe() func(*chain.Stream) chain.Observer {
	if t.Detail == Off || t.Detail == "" && exporting() == nil {
		return nil
	}
	return func(st *chain.Stream) chain.Observer { return &observer{traces: t, stream: st} }
}

// observer makes spans and events of what happens to one stream.
type observer struct {
	traces Traces
	stream *chain.Stream
	begun  bool
	own    bool            // span is made here, and ends here
	span   trace.Span      // of the stream; nil where nobody records it
	ctx    context.Context // with span, and nothing of the stream's
	phases bool            // they have spans
	made   int
	events int
	open   [core.Directions + 1]trace.Span // of phases in flight: by direction, and one for the end
	answer answer
}

// answer is what there is to say of the response when the stream ends.
type answer struct {
	reset string
}

// maxPhases bounds the spans of one stream: a long body is many phases.
const maxPhases = 200

// maxEvents bounds the events of one stream: what goes through plugins for hours may have any number of them.
const maxEvents = 128

// Observe is that of chain.Observer.
func (o *observer) Observe(e chain.Observation) {
	if !o.begun {
		o.begun = true
		o.begin()
	}
	if o.span == nil {
		return
	}
	switch e.Kind {
	case chain.PhaseBegins:
		o.phaseBegins(e)
	case chain.PhaseEnds:
		o.phaseEnds(e)
	case chain.WaitEnds:
		o.event("moe.wait", e, attribute.String("moe.wait.for", e.Wait.String()),
			attribute.Float64("moe.wait.seconds", e.Took.Seconds()))
	case chain.PluginTimesOut:
		o.event("moe.timeout", e, attribute.String("moe.wait.for", e.Wait.String()))
	case chain.PluginPanics:
		o.event("exception", e, attribute.String("exception.type", "panic"), attribute.String("moe.place", e.Details))
	case chain.StreamReplies:
		o.event("moe.reply", e, attribute.Int("http.response.status_code", e.Status),
			attribute.String("moe.details", e.Details), attribute.Bool("moe.reply.own", e.Own))
	case chain.StreamResets:
		o.answer.reset = e.Details
		o.event("moe.reset", e, attribute.String("moe.details", e.Details))
	case chain.StreamEnds:
		o.end()
	}
}

// begin finds the stream's span, or makes it.
func (o *observer) begin() {
	st := o.stream
	if t, ok := st.Host.(core.Tracer); ok {
		if span := t.Span(); span != nil {
			if sc := span.SpanContext(); o.traces.Detail != "" && (sc.IsSampled() || !sc.IsValid()) { // others see nobody
				o.record(span)
			}
			return
		}
	}
	p := exporting()
	if p == nil {
		return
	}
	ctx := internals.RemoteContext(o.handle())
	method, attributes := o.request()
	_, span := p.Tracer(core.TracerName).Start(ctx, method, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attributes...))
	st.Mu.Lock()
	st.Span = span
	st.Mu.Unlock()
	o.own = true
	o.record(span)
}

// record has what happens go to span, if that records.
func (o *observer) record(span trace.Span) {
	if !span.IsRecording() {
		return
	}
	o.stream.Escape(o.stream.Gen) // so that the host tells the end at once
	o.span = span
	if o.traces.Detail == Phases && o.sampled(span.SpanContext().TraceID()) {
		o.phases = true
		o.ctx = trace.ContextWithSpan(context.Background(), span)
		o.stream.ObserveHeaders()
	}
}

// sampled reports whether a trace is among those whose phases have spans.
func (o *observer) sampled(id trace.TraceID) bool {
	var n uint64
	for _, b := range id[8:] {
		n = n<<8 | uint64(b)
	}
	return o.traces.Sampling >= 1 || float64(n) < o.traces.Sampling*math.MaxUint64
}

func (o *observer) handle() filter.Stream { return internals.Stream(&o.stream.Stream, 0) }

// request returns the name of the stream's span and what OpenTelemetry's conventions for HTTP servers say of its request. The
// query is not among that, as it may have secrets.
func (o *observer) request() (method string, all []attribute.KeyValue) {
	h := o.handle().RequestHeaders()
	method = knownMethod(h.Method())
	path, _, _ := strings.Cut(h.Path(), "?")
	all = []attribute.KeyValue{
		attribute.String("http.request.method", method), attribute.String("url.path", path),
		attribute.String("url.scheme", h.Get(":scheme")),
	}
	if method != h.Method() {
		all = append(all, attribute.String("http.request.method_original", h.Method()))
		method = "HTTP"
	}
	host := h.Host()
	if name, port, err := net.SplitHostPort(host); err == nil {
		host = name
		if n, err := strconv.Atoi(port); err == nil {
			all = append(all, attribute.Int("server.port", n))
		}
	}
	all = append(all, attribute.String("server.address", host))
	if agent := h.Get("user-agent"); agent != "" {
		all = append(all, attribute.String("user_agent.original", agent))
	}
	if id := h.Get("x-request-id"); id != "" {
		all = append(all, attribute.String("moe.request_id", id))
	}
	for i := range all {
		all[i].Value = valid(all[i].Value)
	}
	return method, all
}

// valid returns v as collectors take it, who refuse what is not UTF-8 together with all that came with it.
func valid(v attribute.Value) attribute.Value {
	if v.Type() != attribute.STRING {
		return v
	}
	text := v.AsString()
	if len(text) > maxText {
		text = text[:maxText]
	}
	return attribute.StringValue(strings.ToValidUTF8(text, "\uFFFD"))
}

// maxText bounds what clients put into spans.
const maxText = 4 << 10

// knownMethod returns _OTHER for methods that HTTP does not define.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "_OTHER"
}

// event adds an event to the stream's span.
func (o *observer) event(name string, e chain.Observation, all ...attribute.KeyValue) {
	if o.events == maxEvents {
		return
	}
	o.events++
	if e.Plugin != "" {
		all = append(all, attribute.String("moe.plugin", e.Plugin))
	}
	if int(e.Phase) < phase.Count {
		all = append(all, attribute.String("moe.phase", e.Phase.String()))
	}
	for i := range all {
		all[i].Value = valid(all[i].Value)
	}
	o.span.AddEvent(name, trace.WithAttributes(all...))
}

// place returns where the span of a phase is kept.
func (o *observer) place(p phase.Phase) *trace.Span {
	if dir := phase.Table[p].Direction; dir != core.NoDirection {
		return &o.open[dir]
	}
	return &o.open[core.Directions]
}

func (o *observer) phaseBegins(e chain.Observation) {
	if !o.phases || o.made == maxPhases {
		return
	}
	o.made++
	_, span := TracerProvider().Tracer(core.TracerName).Start(o.ctx, e.Plugin+" "+e.Phase.String(), trace.WithAttributes(
		attribute.String("moe.plugin", e.Plugin), attribute.String("moe.phase", e.Phase.String())))
	*o.place(e.Phase) = span
}

func (o *observer) phaseEnds(e chain.Observation) {
	at := o.place(e.Phase)
	span := *at
	if span == nil {
		return
	}
	if e.Waited > 0 {
		span.SetAttributes(attribute.Float64("moe.wait.seconds", e.Waited.Seconds()))
	}
	if e.Cut {
		span.SetStatus(codes.Error, "cut short")
	}
	if len(e.Changed) > 0 {
		names := make([]string, 0, len(e.Changed))
		for _, c := range e.Changed {
			names = append(names, strings.ToValidUTF8(c.Name, "\uFFFD"))
		}
		span.SetAttributes(attribute.StringSlice("moe.headers.changed", names))
	}
	span.End()
	*at = nil
}

// end says how the request was answered, and ends the span that was made here.
func (o *observer) end() {
	if o.own {
		status := o.status()
		if status > 0 {
			o.span.SetAttributes(attribute.Int("http.response.status_code", status))
		}
		switch {
		case status >= http.StatusInternalServerError:
			o.span.SetAttributes(attribute.String("error.type", strconv.Itoa(status)))
			o.span.SetStatus(codes.Error, "")
		case o.answer.reset != "":
			o.span.SetAttributes(attribute.String("error.type", "reset"))
			o.span.SetStatus(codes.Error, "")
		}
		o.span.End()
	}
	o.span = nil
}

// status returns the response's status, or 0 where none has come.
func (o *observer) status() int {
	st := o.stream
	st.Mu.Lock()
	block := &st.H[core.ResponseHeaders]
	text := ""
	if i := block.Index(":status"); i >= 0 {
		text = st.Value(block, i)
	}
	host := st.Host
	st.Mu.Unlock()
	if text == "" && host != nil { // no plugin has asked for the headers
		text, _ = host.Attribute("response.code")
	}
	n, _ := strconv.Atoi(text)
	return n
}
