package filter

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// Context is cancelled when the stream ends, with the cause [ErrStreamDone], or when a plugin has exceeded the chain's
// timeout. It carries the trace that the request's traceparent names (W3C Trace Context), if there is a valid one, as
// go.opentelemetry.io/otel/trace's remote span context. An http.RoundTripper from [Env.Transport] finds the stream in
// it. The context of a stream that has ended is cancelled.
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

// traceContext is the parent of the stream's context, if that has not been made yet.
func (s Stream) traceContext() context.Context {
	ctx := context.Background()
	if !s.lock() {
		return ctx
	}
	made := s.c.Ctx != nil
	s.c.Mu.Unlock()
	if made {
		return ctx
	}
	h := s.RequestHeaders()
	sc, ok := parseTraceparent(h.Get("traceparent"))
	if !ok {
		return ctx
	}
	if state, err := trace.ParseTraceState(h.Get("tracestate")); err == nil {
		sc = sc.WithTraceState(state)
	}
	return trace.ContextWithRemoteSpanContext(ctx, sc)
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

// Log returns the logger to Envoy's log. What it logs carries the plugin's name and, as long as the stream lives and
// where the request has one, its x-request-id.
func (s Stream) Log() *slog.Logger {
	if !s.lock() {
		return slog.New(slog.DiscardHandler)
	}
	defer s.c.Mu.Unlock()
	return slog.New(&streamHandler{s.c.Loggers[s.plugin].Handler(), s})
}

// streamHandler adds the stream's id when something is in fact logged.
type streamHandler struct {
	slog.Handler
	s Stream
}

// Handle is that of slog.Handler.
func (h *streamHandler) Handle(ctx context.Context, r slog.Record) error {
	if id := h.s.RequestHeaders().Get("x-request-id"); id != "" {
		r.AddAttrs(slog.String("request_id", id))
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
