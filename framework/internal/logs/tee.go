package logs

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync/atomic"

	"mosn.io/moe/framework/internal/guard"
)

// second is where lines go beside a host's log; nil where nobody has asked for that.
var second atomic.Pointer[slog.Handler]

// SendTo has all lines that hosts log go to h as well; nil ends that. What h gets is plain: texts in UTF-8 of bounded
// length, numbers, truth values and times. Any goroutine may call it.
func SendTo(h slog.Handler) {
	if h == nil {
		second.Store(nil)
		return
	}
	second.Store(&h)
}

// Tee returns a handler to a host's log that is enabled as host is, and sends on what [SendTo] asks for.
func Tee(host slog.Handler) slog.Handler { return &tee{Handler: host} }

// tee is a host's handler, or one that was derived from it: by attributes or by a group.
type tee struct {
	slog.Handler
	from  *tee // nil: the host's own
	attrs []slog.Attr
	group string
	made  atomic.Pointer[derived]
}

// derived is the second handler as a tee has it.
type derived struct {
	of *slog.Handler // the one that it was made of
	h  slog.Handler
}

// Handle is that of slog.Handler.
func (t *tee) Handle(ctx context.Context, r slog.Record) error {
	if to := second.Load(); to != nil {
		_ = t.of(to).Handle(ctx, plain(r)) // whoever sends lines counts those that are lost
	}
	return t.Handler.Handle(ctx, r)
}

// of returns the second handler with what t adds to it.
func (t *tee) of(to *slog.Handler) slog.Handler {
	if t.from == nil {
		return *to
	}
	if d := t.made.Load(); d != nil && d.of == to {
		return d.h
	}
	h := t.from.of(to)
	if t.group != "" {
		h = h.WithGroup(t.group)
	} else {
		h = h.WithAttrs(plainAttrs(t.attrs))
	}
	t.made.Store(&derived{to, h})
	return h
}

// WithAttrs is that of slog.Handler.
func (t *tee) WithAttrs(as []slog.Attr) slog.Handler {
	return &tee{Handler: t.Handler.WithAttrs(as), from: t, attrs: as}
}

// WithGroup is that of slog.Handler.
func (t *tee) WithGroup(name string) slog.Handler {
	if name == "" {
		return t
	}
	return &tee{Handler: t.Handler.WithGroup(name), from: t, group: name}
}

// maxText bounds the bytes of a text that is sent on.
const maxText = 16 << 10

// plain returns r without values that only this process can read, or that whoever takes it might refuse together with others.
func plain(r slog.Record) slog.Record {
	out := slog.NewRecord(r.Time, r.Level, plainText(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(plainAttr(a))
		return true
	})
	return out
}

func plainAttrs(all []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(all))
	for i, a := range all {
		out[i] = plainAttr(a)
	}
	return out
}

func plainAttr(a slog.Attr) slog.Attr {
	key, v := plainText(a.Key), a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.String(key, plainText(v.String()))
	case slog.KindGroup:
		return slog.Attr{Key: key, Value: slog.GroupValue(plainAttrs(v.Group())...)}
	case slog.KindAny:
		if text, ok := v.Any().(json.RawMessage); ok {
			return slog.String(key, plainText(string(text)))
		}
		text, _ := guard.Text(v.Any())
		return slog.String(key, plainText(text))
	}
	return slog.Attr{Key: key, Value: v}
}

func plainText(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
