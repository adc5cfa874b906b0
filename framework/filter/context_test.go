package filter

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/envoylog"
)

// plainText is a handler that writes lines without time and level.
func plainText(b *bytes.Buffer) slog.Handler {
	return slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}})
}

// onRoute is a host that can tell the route.
type onRoute struct {
	core.Host
	name string
}

func (h onRoute) RouteName() string { return h.name }

// A line of the log says what it is of: the stream, by the request's id or one of the process, its route, and its trace.
func TestLogSaysWhatItIsOf(t *testing.T) {
	remote := core.Field{Name: "traceparent", Value: ofW3C}
	id := core.Field{Name: "x-request-id", Value: "r-1"}
	for name, c := range map[string]struct {
		fields []core.Field
		host   core.Host
		span   trace.Span
		want   string // ID stands for the process's own
	}{
		"nothing":             {want: " stream_id=ID"},
		"the request's id":    {fields: []core.Field{id}, want: " request_id=r-1"},
		"the request's trace": {fields: []core.Field{id, remote}, want: " request_id=r-1 trace_id=" + traceID},
		"a span of our own's": {
			fields: []core.Field{id, remote}, span: someSpan{id: 1},
			want: " request_id=r-1 trace_id=01" + strings.Repeat("0", 30),
		},
		"the route":                 {fields: []core.Field{id}, host: onRoute{name: "orders"}, want: " route=orders request_id=r-1"},
		"a host that cannot say it": {fields: []core.Field{id}, host: onRoute{}, want: " request_id=r-1"},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			s, stream := streamWith(c.fields...)
			stream.Span, stream.Host = c.span, c.host
			stream.Loggers = []*slog.Logger{slog.New(plainText(&b))}
			s.Log().Info("hello")
			want := "msg=hello" + strings.Replace(c.want, "ID", stream.ID(), 1) + "\n"
			if got := b.String(); got != want {
				t.Errorf("the line is %q, want %q", got, want)
			}
		})
	}
}

// noting is a handler that keeps the span of the context that it is called with.
type noting struct {
	slog.Handler
	span trace.SpanContext
}

func (h *noting) Handle(ctx context.Context, r slog.Record) error {
	h.span = trace.SpanContextFromContext(ctx)
	return nil
}

// Handlers find the stream's span in the context, for whoever sends lines with the trace they belong to; a span that the
// plugin has put there stays.
func TestLogHasSpanInContext(t *testing.T) {
	h := &noting{Handler: slog.DiscardHandler}
	all := &enabled{h}
	s, stream := streamWith(core.Field{Name: "traceparent", Value: ofW3C})
	stream.Loggers = []*slog.Logger{slog.New(all)}
	s.Log().Info("hello")
	if got := h.span.SpanID().String(); got != otherID {
		t.Errorf("the span is %s, want %s", got, otherID)
	}
	own := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{7}, SpanID: trace.SpanID{8}})
	s.Log().InfoContext(trace.ContextWithSpanContext(t.Context(), own), "hello")
	if !h.span.Equal(own) {
		t.Errorf("the span is %v, want that of the plugin's context, %v", h.span, own)
	}
}

// enabled takes every level.
type enabled struct{ slog.Handler }

func (*enabled) Enabled(context.Context, slog.Level) bool { return true }

// A level that Envoy does not write allocates nothing and does not call Envoy, however often a plugin logs.
func TestDisabledLevelCostsNothing(t *testing.T) {
	asked := make(chan struct{}, 1)
	h := envoylog.New(envoylog.Sink{Enabled: func(l envoylog.Level) bool {
		select {
		case asked <- struct{}{}:
		default:
		}
		return l >= envoylog.Info
	}})
	s, stream := streamWith(core.Field{Name: "x-request-id", Value: "r-1"})
	stream.Loggers = []*slog.Logger{slog.New(h)}
	for h.Enabled(t.Context(), slog.LevelDebug) { // the first look at Envoy's levels is in the background
		<-asked
	}
	if n := testing.AllocsPerRun(1000, func() { s.Log().Debug("hello", "who", "world") }); n != 0 {
		t.Errorf("a line that is not logged allocates %v times, want 0", n)
	}
}

// BenchmarkDisabledLog shows what a level costs that Envoy does not write.
func BenchmarkDisabledLog(b *testing.B) {
	h := envoylog.New(envoylog.Sink{Enabled: func(l envoylog.Level) bool { return l >= envoylog.Info }})
	s, stream := streamWith(core.Field{Name: "x-request-id", Value: "r-1"})
	stream.Loggers = []*slog.Logger{slog.New(h)}
	for name, log := range map[string]func() *slog.Logger{
		"the stream's":      s.Log,
		"kept":              func() func() *slog.Logger { l := s.Log(); return func() *slog.Logger { return l } }(),
		"without arguments": s.Log,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if name == "without arguments" {
					log().Debug("hello")
				} else {
					log().Debug("hello", "who", "world")
				}
			}
		})
	}
}

// A logger that is kept too long says nothing of the stream that has its memory now, and that one has its own.
func TestLoggerOfAnotherLife(t *testing.T) {
	var b bytes.Buffer
	s, stream := streamWith(core.Field{Name: "x-request-id", Value: "r-1"})
	loggers := []*slog.Logger{slog.New(plainText(&b))}
	stream.Loggers = loggers
	kept := s.Log()
	if again := s.Log(); again != kept {
		t.Errorf("the second logger of a stream is another one, want the first again")
	}
	stream.Mu.Lock()
	stream.Reset()
	stream.Host, stream.Loggers = nil, loggers
	stream.H[core.RequestHeaders].Fill([]core.Field{{Name: "x-request-id", Value: "r-2"}})
	stream.Mu.Unlock()
	next := Stream{c: stream, gen: stream.Gen}
	next.Log().Info("new")
	kept.Info("old")
	if got, want := b.String(), "msg=new request_id=r-2\nmsg=old\n"; got != want {
		t.Errorf("the lines are %q, want %q", got, want)
	}
}
