package guard

import (
	"context"
	"fmt"
	"log/slog"
)

// LogHandler returns a handler that makes the text of plugins' values (their LogValue, Error and String methods) as
// [Text] does, and hands the records to next.
func LogHandler(next slog.Handler) slog.Handler { return &logHandler{next} }

type logHandler struct{ next slog.Handler }

// Enabled is that of slog.Handler.
func (h *logHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

// Handle is that of slog.Handler.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	guarded := false
	r.Attrs(func(a slog.Attr) bool {
		guarded = guarded || needsGuard(a.Value)
		return !guarded
	})
	if !guarded {
		return h.next.Handle(ctx, r)
	}
	safe := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		safe.AddAttrs(slog.Attr{Key: a.Key, Value: logValue(a.Value)})
		return true
	})
	return h.next.Handle(ctx, safe)
}

// WithAttrs is that of slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	safe := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		safe[i] = slog.Attr{Key: a.Key, Value: logValue(a.Value)}
	}
	return &logHandler{h.next.WithAttrs(safe)}
}

// WithGroup is that of slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler { return &logHandler{h.next.WithGroup(name)} }

// needsGuard reports whether handlers would call methods of v.
func needsGuard(v slog.Value) bool {
	switch v.Kind() {
	case slog.KindLogValuer:
		return true
	case slog.KindAny:
		switch v.Any().(type) {
		case error, fmt.Stringer, fmt.Formatter:
			return true
		}
	case slog.KindGroup:
		for _, a := range v.Group() {
			if needsGuard(a.Value) {
				return true
			}
		}
	}
	return false
}

// logValue returns v without methods that handlers would call.
func logValue(v slog.Value) slog.Value {
	if !needsGuard(v) {
		return v
	}
	switch v.Kind() {
	case slog.KindLogValuer:
		var resolved slog.Value
		text, fault := call(v.Any(), func() string {
			resolved = v.Resolve()
			return ""
		})
		if fault != nil {
			return slog.StringValue(text)
		}
		return logValue(resolved)
	case slog.KindGroup:
		group := make([]slog.Attr, len(v.Group()))
		for i, a := range v.Group() {
			group[i] = slog.Attr{Key: a.Key, Value: logValue(a.Value)}
		}
		return slog.GroupValue(group...)
	}
	text, _ := Text(v.Any())
	return slog.StringValue(text)
}
