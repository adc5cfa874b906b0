// Package envoylog is a slog.Handler for hosts inside of Envoy: it writes records to Envoy's log, as "msg key=value …".
package envoylog

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
)

// Level is one of Envoy's, as all of its ABIs number them.
type Level uint32

// Envoy's levels.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
	Critical
)

// Sink is Envoy's log. Any goroutine may call its functions.
type Sink struct {
	Enabled func(Level) bool
	Write   func(Level, []byte) // the line is the handler's again when Write returns
}

// New returns a handler that writes to s.
func New(s Sink) slog.Handler {
	out := &line{sink: s}
	return &handler{out: out, Handler: slog.NewTextHandler(out, &slog.HandlerOptions{
		Level: slog.LevelDebug - 4,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{} // Envoy adds its own
			}
			return a
		},
	})}
}

type handler struct {
	slog.Handler
	out *line
}

// line carries one formatted record from slog's text handler to Envoy.
type line struct {
	sink Sink
	mu   sync.Mutex
	text bytes.Buffer
}

// Write is that of io.Writer.
func (l *line) Write(p []byte) (int, error) { return l.text.Write(p) }

func levelOf(l slog.Level) Level {
	switch {
	case l >= slog.LevelError:
		return Error
	case l >= slog.LevelWarn:
		return Warn
	case l >= slog.LevelInfo:
		return Info
	case l >= slog.LevelDebug:
		return Debug
	}
	return Trace
}

// Enabled is that of slog.Handler.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	return h.out.sink.Enabled(levelOf(l))
}

// Handle is that of slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.text.Reset()
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	h.out.sink.Write(levelOf(r.Level), bytes.TrimRight(h.out.text.Bytes(), "\n"))
	return nil
}

// WithAttrs is that of slog.Handler.
func (h *handler) WithAttrs(as []slog.Attr) slog.Handler {
	return &handler{Handler: h.Handler.WithAttrs(as), out: h.out}
}

// WithGroup is that of slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{Handler: h.Handler.WithGroup(name), out: h.out}
}
