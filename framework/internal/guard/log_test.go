package guard

import (
	"bytes"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"
)

type valuer struct{ f func() slog.Value }

func (v valuer) LogValue() slog.Value { return v.f() }

func TestLogHandler(t *testing.T) {
	exit := func() slog.Value { runtime.Goexit(); return slog.Value{} }
	for _, c := range []struct {
		name string
		args []any
		want string
	}{
		{name: "plain values", args: []any{"a", 1, "b", "x", "c", time.Second}, want: "a=1 b=x c=1s"},
		{name: "an error", args: []any{"error", errors.New("wrong")}, want: "error=wrong"},
		{name: "a typed nil", args: []any{"error", (*pointerError)(nil)}, want: "its method panics"},
		{name: "an Error that calls Goexit", args: []any{"error", exits{}}, want: "guard.exits whose text cannot be had"},
		{name: "LogValue", args: []any{"a", valuer{func() slog.Value { return slog.IntValue(7) }}}, want: "a=7"},
		{name: "a LogValue that calls Goexit", args: []any{"a", valuer{exit}, "b", 2}, want: "b=2"},
		{name: "in a group", args: []any{slog.Group("g", "a", valuer{exit}, "b", 2)}, want: "g.b=2"},
		{name: "a LogValue that gives such an error", args: []any{"a", valuer{func() slog.Value { return slog.AnyValue(exits{}) }}}, want: "cannot be had"},
	} {
		for _, with := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				var b bytes.Buffer
				log := slog.New(LogHandler(slog.NewTextHandler(&b, nil)))
				if with {
					log.With(c.args...).Info("said")
				} else {
					log.Info("said", c.args...)
				}
				if got := b.String(); !strings.Contains(got, "msg=said") || !strings.Contains(got, c.want) {
					t.Errorf("the line is %q, want %q in it", got, c.want)
				}
			})
		}
	}
}
