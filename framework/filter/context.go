package filter

import (
	"context"
	"log/slog"
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

// Log returns the logger to Envoy's log. What it logs carries the plugin's name and, as long as the stream lives and
// where the request has them, its x-request-id and the id of its trace.
func (s Stream) Log() *slog.Logger {
	if !s.lock() {
		return slog.New(slog.DiscardHandler)
	}
	defer s.c.Mu.Unlock()
	return slog.New(&streamHandler{s.c.Loggers[s.plugin].Handler(), s})
}

// streamHandler adds the ids of the stream and of its trace when something is in fact logged.
type streamHandler struct {
	slog.Handler
	s Stream
}

// Handle is that of slog.Handler.
func (h *streamHandler) Handle(ctx context.Context, r slog.Record) error {
	if id := h.s.RequestHeaders().Get("x-request-id"); id != "" {
		r.AddAttrs(slog.String("request_id", id))
	}
	if id := h.s.traceID(); id.IsValid() {
		r.AddAttrs(slog.String("trace_id", id.String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs is that of slog.Handler.
func (h *streamHandler) WithAttrs(as []slog.Attr) slog.Handler {
	return &streamHandler{h.Handler.WithAttrs(as), h.s}
}

// WithGroup is that of slog.Handler.
func (h *streamHandler) WithGroup(name string) slog.Handler {
	return &streamHandler{h.Handler.WithGroup(name), h.s}
}
