package fakeenvoy_test

import (
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host/dynmod/internal/fakeenvoy"
)

// traced is the tag of a stream that Envoy traces.
const traced = 5

// starter uses the stream's context as its handler is made, and breaker panics then.
type (
	starter struct{}
	breaker struct{}
	started struct{ ctx trace.SpanContext }
)

func init() {
	filter.RegisterPerStream("fakestarter", filter.Transform, func(_ *starter, s filter.Stream) *started {
		return &started{trace.SpanContextFromContext(s.Context())}
	})
	filter.RegisterPerStream("fakebreaker", filter.Transform, func(*breaker, filter.Stream) *started {
		panic("told to break")
	})
}

// OnRequestHeaders refuses a request whose context had no span as it began.
func (s *started) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	if !s.ctx.IsValid() {
		return filter.Reply(403, "no span")
	}
	return filter.Continue
}

// chatter has more events than a span takes, on Envoy's span and on one below it.
type chatter struct{}

func init() { filter.Register[chatter]("fakechatter", filter.Transform) }

func (chatter) OnRequestHeaders(s filter.Stream, _ filter.RequestHeaders, _ bool) filter.Action {
	ctx := s.Context()
	own := trace.SpanFromContext(ctx)
	_, below := own.TracerProvider().Tracer("fakechatter").Start(ctx, "below")
	for range 1000 {
		own.AddEvent("event")
		below.AddEvent("event")
	}
	below.End()
	return filter.Continue
}

// OnComplete finds that Envoy's span records nothing more.
func (chatter) OnComplete(s filter.Stream) {
	ctx := s.Context()
	own := trace.SpanFromContext(ctx)
	if own.IsRecording() {
		reportForeign("Envoy's span records after Envoy has finished it")
	}
	own.SetAttributes(attribute.Bool("late", true))
	own.AddEvent("late")
	_, below := own.TracerProvider().Tracer("fakechatter").Start(ctx, "below")
	below.SetAttributes(attribute.Bool("late", true))
	below.End()
}

// What is bounded of a span, and what is lost of it, does not reach Envoy.
func TestSpansAreBounded(t *testing.T) {
	m := startMain(t)
	conf := m.configOf(t, "moe", `{"plugins": [{"name": "fakechatter"}]}`)
	worker(func(thread *fakeenvoy.Thread) {
		s := fakeenvoy.NewStream(conf, thread, traced)
		s.Headers(request, true)
		s.Complete()
		s.Destroy()
		flush(conf, thread)
	})
	m.do(conf.Release)
	check(t, "in the end")
}

// Where Envoy traces a request, its span is there before the chain is.
func TestSpanInNewStream(t *testing.T) {
	for name, c := range map[string]struct {
		document string
		reply    int
		logged   string
	}{
		"the context is used":        {`{"plugins": [{"name": "fakestarter"}]}`, 0, ""},
		"a panic":                    {`{"plugins": [{"name": "fakebreaker"}]}`, 500, "told to break"},
		"the context, with events":   {`{"plugins": [{"name": "fakestarter"}], "traces": "stream"}`, 0, ""},
		"a panic, which is an event": {`{"plugins": [{"name": "fakebreaker"}], "traces": "stream"}`, 500, "told to break"},
	} {
		t.Run(name, func(t *testing.T) {
			m := startMain(t)
			conf := m.configOf(t, "moe", c.document)
			fakeenvoy.Log() // of what was before
			worker(func(thread *fakeenvoy.Thread) {
				s := fakeenvoy.NewStream(conf, thread, traced)
				s.Headers(request, true)
				thread.Run()
				if got := s.Outcome().Reply; got != c.reply {
					t.Errorf("the reply is %d, want %d", got, c.reply)
				}
				s.Complete()
				s.Destroy()
				flush(conf, thread)
			})
			m.do(conf.Release)
			log := strings.Join(fakeenvoy.Log(), "\n")
			if !strings.Contains(log, c.logged) || strings.Contains(log, "framework panic") {
				t.Errorf("the log is %q, want %q in it, and no panic of the framework", log, c.logged)
			}
			check(t, "in the end")
		})
	}
}
