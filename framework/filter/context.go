package filter

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"mosn.io/moe/framework/internal/core"
)

// Context is cancelled when the stream ends, with the cause [ErrStreamDone], or when a plugin has exceeded the chain's
// timeout. The context of a stream that has ended is cancelled.
//
// trace.SpanFromContext (go.opentelemetry.io/otel/trace) finds the stream's span in it: Envoy's own where Envoy traces the
// request and the host can reach its span, or the span that MoE makes where the process exports traces itself. Tracers of
// otel.Tracer, or of the span's TracerProvider, make children of it. Where nobody traces, it carries the remote span that
// the request names, by traceparent (W3C Trace Context) or B3. The request's baggage is in it too. An http.RoundTripper from [Env.Transport]
// finds the stream in it.
func (s Stream) Context() context.Context {
	if s.c != nil {
		s.c.Escape(s.gen)
	}
	parent := s.traceContext()
	if !s.lock() {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(ErrStreamDone)
		return ctx
	}
	defer s.c.Mu.Unlock()
	return s.c.Context(parent)
}

// Log returns the logger to Envoy's log. What it logs carries the plugin's id and, as long as the stream lives, the name of
// its route, its x-request-id, or a number of this process where it has none (stream_id), and the id of its trace. The route
// is there where that takes no wait: in a phase, and out of process.
//
// A level that is not logged costs an atomic load, also where Log is called for each line. Arguments are made before:
// where they are expensive, or the line is in a hot path, use Logger.Enabled or Logger.LogAttrs.
func (s Stream) Log() *slog.Logger {
	if !s.lock() {
		return slog.New(slog.DiscardHandler)
	}
	defer s.c.Mu.Unlock()
	base := s.c.Loggers[s.plugin]
	if len(s.c.Logs) <= int(s.plugin) {
		s.c.Logs = append(s.c.Logs, make([]*slog.Logger, int(s.plugin)+1-len(s.c.Logs))...)
	}
	made := &s.c.Logs[s.plugin]
	if l := *made; l != nil {
		if h, ok := l.Handler().(*streamHandler); ok && h.s == s && h.base == base {
			return l
		}
	}
	*made = slog.New(&streamHandler{base.Handler(), s, base})
	return *made
}

// streamHandler adds what stream and trace a line is of when it is in fact logged.
type streamHandler struct {
	slog.Handler
	s    Stream
	base *slog.Logger // the plugin's, which it adds to
}

// Handle is that of slog.Handler.
func (h *streamHandler) Handle(ctx context.Context, r slog.Record) error {
	if route := h.s.routeName(); route != "" {
		r.AddAttrs(slog.String("route", route))
	}
	if id := h.s.RequestHeaders().Get("x-request-id"); id != "" {
		r.AddAttrs(slog.String("request_id", id))
	} else if id := h.s.id(); id != "" {
		r.AddAttrs(slog.String("stream_id", id))
	}
	if sc := h.s.spanContext(); sc.IsValid() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()))
		if !trace.SpanContextFromContext(ctx).IsValid() {
			ctx = trace.ContextWithSpanContext(ctx, sc)
		}
	}
	return h.Handler.Handle(ctx, r)
}

// routeName returns the name of the stream's route as far as it is known without a wait.
func (s Stream) routeName() string {
	if t, ok := s.host().(core.RouteTeller); ok {
		return t.RouteName()
	}
	return ""
}

// id names the stream in this process; "" when it is done.
func (s Stream) id() string {
	if !s.lock() {
		return ""
	}
	defer s.c.Mu.Unlock()
	return s.c.ID()
}

// WithAttrs is that of slog.Handler.
func (h *streamHandler) WithAttrs(as []slog.Attr) slog.Handler {
	return &streamHandler{h.Handler.WithAttrs(as), h.s, h.base}
}

// WithGroup is that of slog.Handler.
func (h *streamHandler) WithGroup(name string) slog.Handler {
	return &streamHandler{h.Handler.WithGroup(name), h.s, h.base}
}
