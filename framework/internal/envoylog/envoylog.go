// Package envoylog is a slog.Handler for hosts inside of Envoy: it writes records to Envoy's log, as "msg key=value …".
// An attribute that is a json.RawMessage is written last and as it is, so that whoever reads the log can parse it.
package envoylog

import (
	"bytes"
	"context"
	"encoding/json"
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

// New returns a handler that writes to s. A level that s does not write costs an atomic load. A record that is handled although
// s does not write its level is written at the lowest level that s writes, and says its own.
func New(s Sink) slog.Handler {
	out := &line{sink: s, threshold: newThreshold(s)}
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
	sink      Sink
	threshold *threshold
	mu        sync.Mutex
	text      bytes.Buffer
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
	return h.out.threshold.enabled(l)
}

// Handle is that of slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.text.Reset()
	rest, raw := withoutJSON(r)
	if err := h.Handler.Handle(ctx, rest); err != nil {
		return err
	}
	text := bytes.TrimRight(h.out.text.Bytes(), "\n")
	level := levelOf(r.Level)
	if !h.out.sink.Enabled(level) { // a configuration asks for more of a plugin than Envoy logs
		text = append(append(text, " level="...), r.Level.String()...)
		for level < Critical && !h.out.sink.Enabled(level) {
			level++
		}
	}
	for _, a := range raw {
		text = append(append(append(append(text, ' '), a.Key...), '='), a.Value.Any().(json.RawMessage)...)
	}
	h.out.sink.Write(level, text)
	return nil
}

// withoutJSON returns r without its attributes that are JSON already, and those.
func withoutJSON(r slog.Record) (rest slog.Record, raw []slog.Attr) {
	isJSON := func(a slog.Attr) bool {
		if a.Value.Kind() != slog.KindAny {
			return false
		}
		_, ok := a.Value.Any().(json.RawMessage)
		return ok
	}
	r.Attrs(func(a slog.Attr) bool {
		if isJSON(a) {
			raw = append(raw, a)
		}
		return true
	})
	if raw == nil {
		return r, nil
	}
	rest = slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if !isJSON(a) {
			rest.AddAttrs(a)
		}
		return true
	})
	return rest, raw
}

// WithAttrs is that of slog.Handler.
func (h *handler) WithAttrs(as []slog.Attr) slog.Handler {
	return &handler{Handler: h.Handler.WithAttrs(as), out: h.out}
}

// WithGroup is that of slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{Handler: h.Handler.WithGroup(name), out: h.out}
}
