package fakeenvoy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"mosn.io/moe/framework/filter"
	_ "mosn.io/moe/framework/host/dynmod"
)

// probe does in every phase what Do says: nothing, "go" (decide on a goroutine), "call" (over a cluster, on a goroutine),
// "leave" (give the callout up halfway), "wait" (until the stream ends), "body" (wait for the whole message), "reply",
// "reader" (a streamed reply) or "panic". With Touch, further goroutines call the stream's methods meanwhile. It notes each
// text of a stream that is not the stream's own.
type probe struct {
	Do    string `json:"do"`
	Touch bool   `json:"touch"`
	// Background has the configuration call over a cluster from its beginning to its end.
	Background bool `json:"background"`

	env *filter.Env
}

// asker is a probe that has only the request's headers, and answerer one that has only the response's: where no other
// phase can ask for them, headers are looked at where Envoy has them.
type (
	asker struct {
		Do    string `json:"do"`
		Touch bool   `json:"touch"`

		probe probe
	}
	answerer asker
)

func init() {
	filter.Register[probe]("fakeprobe", filter.Transform)
	filter.Register[asker]("fakeasker", filter.Transform)
	filter.Register[answerer]("fakeanswerer", filter.Transform)
}

func (a *asker) Provision(env *filter.Env) error {
	a.probe = probe{Do: a.Do, Touch: a.Touch}
	return a.probe.Provision(env)
}

func (a *asker) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	h.Set("x-asked", h.Get("x-tag"))
	return a.probe.act(s, false)
}

func (a *answerer) Provision(env *filter.Env) error { return (*asker)(a).Provision(env) }

func (a *answerer) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	h.Set("x-answered", h.Get("x-tag"))
	return a.probe.act(s, false)
}

// running counts the goroutines of plugins, foreign are the texts that belong to another stream.
var (
	running atomic.Int64
	mu      sync.Mutex
	foreign []string
)

func reportForeign(format string, args ...any) {
	mu.Lock()
	defer mu.Unlock()
	foreign = append(foreign, fmt.Sprintf(format, args...))
}

func takeForeign() []string {
	mu.Lock()
	defer mu.Unlock()
	all := foreign
	foreign = nil
	return all
}

func (p *probe) Provision(env *filter.Env) error {
	p.env = env
	if !p.Background {
		return nil
	}
	rt, err := env.Transport("up")
	if err != nil {
		return err
	}
	for range 2 {
		env.Go(func(ctx context.Context) {
			for ctx.Err() == nil {
				if _, err := fetch(ctx, rt, "7"); err != nil {
					select {
					case <-ctx.Done():
					case <-time.After(time.Millisecond):
					}
				}
			}
		})
	}
	return nil
}

// fetch calls over a cluster; what answers says the tag that it is asked for.
func fetch(ctx context.Context, rt http.RoundTripper, tag string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://fake.test/"+tag, strings.NewReader("body"))
	if err != nil {
		return "", err
	}
	resp, err := rt.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if text := strings.ReplaceAll(string(body), tag+";", ""); text != "" {
		reportForeign("the callout of %s was answered %q", tag, body)
	}
	return string(body), err
}

func (p *probe) act(s filter.Stream, whole bool) filter.Action {
	tag := tagOf(s)
	p.look(s, tag)
	if p.Touch {
		for range 2 {
			running.Add(1)
			go func() {
				defer running.Add(-1)
				p.look(s, tag)
				s.SetMetadata("a", "b", 1.5)
				s.SetMetadata("a", "c", []any{"x", true, 2.0})
				s.SetFilterState("a", "b")
				s.ClearRouteCache()
				s.SetUpstreamHost("127.0.0.1:1", false)
				p.trace(s, tag)
				p.look(s, tag)
			}()
		}
	}
	later := func(f func(ctx context.Context) filter.Action) filter.Action {
		running.Add(1)
		return filter.Go(func(ctx context.Context) filter.Action {
			defer running.Add(-1)
			return f(ctx)
		})
	}
	switch p.Do {
	case "go":
		return later(func(context.Context) filter.Action {
			if p.Touch {
				p.look(s, tag)
				p.trace(s, tag)
			}
			return filter.Continue
		})
	case "call", "leave":
		rt, err := p.env.Transport("up")
		if err != nil {
			panic(err)
		}
		return later(func(context.Context) filter.Action {
			ctx := s.Context()
			if p.Do == "leave" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Millisecond)
				defer cancel()
			}
			fetch(ctx, rt, tag)
			return filter.Continue
		})
	case "wait":
		return later(func(ctx context.Context) filter.Action {
			<-ctx.Done()
			return filter.Continue
		})
	case "body":
		if !whole {
			return filter.WaitBody
		}
	case "reply":
		return filter.Reply(403, "no")
	case "reader":
		return filter.ReplyReader(200, io.NopCloser(strings.NewReader(strings.Repeat("x", 200_000))))
	case "panic":
		panic("told to")
	}
	return filter.Continue
}

// trace makes spans below the stream's, and leaves one of them open.
func (p *probe) trace(s filter.Stream, tag string) {
	ctx := s.Context()
	own := trace.SpanFromContext(ctx)
	if id := own.SpanContext().TraceID(); own.SpanContext().IsValid() && id.String() != fmt.Sprintf("%032s", tag) {
		reportForeign("the trace of the stream %s is %s", tag, id)
	}
	own.SetAttributes(attribute.String("", "no key"), attribute.Int("sampling.priority", 1))
	ctx, first := otel.Tracer("fakeprobe").Start(ctx, "first", trace.WithAttributes(attribute.Bool("a", true)))
	_, second := first.TracerProvider().Tracer("other").Start(ctx, "second", trace.WithSpanKind(trace.SpanKindServer))
	second.RecordError(io.ErrUnexpectedEOF)
	second.SetStatus(codes.Error, "why")
	first.End()
	first.SetName("too late")
	first.End()
	otel.Tracer("fakeprobe").Start(ctx, "below one that has ended")
	second.AddEvent("event", trace.WithAttributes(attribute.Int("n", 1)))
	own.End()
	own.SetName("Envoy's own goes on")
}

// look reads the stream in every way.
func (p *probe) look(s filter.Stream, tag string) {
	check := func(what, got string, err error) {
		if err == nil && got != "" && got != tag {
			reportForeign("%s of the stream %s is %q", what, tag, got)
		}
	}
	check("x-tag", s.RequestHeaders().Get("x-tag"), nil)
	check("the response's x-tag", s.ResponseHeaders().Get("x-tag"), nil)
	check("the request's trailer", s.RequestTrailers().Get("x-tag"), nil)
	check("the response's trailer", s.ResponseTrailers().Get("x-tag"), nil)
	for _, name := range []filter.Attr{"xds.route_name", "xds.cluster_name", "connection.id", "response.code"} {
		got, err := s.Attr(name)
		check(string(name), got, err)
	}
	state, err := s.FilterState("a")
	check("filter state", state, err)
	v, err := s.Metadata("a", "b")
	text, _ := v.(string)
	check("metadata", text, err)
}

func (p *probe) OnRequestHeaders(s filter.Stream, _ filter.RequestHeaders, _ bool) filter.Action {
	return p.act(s, false)
}

func (p *probe) OnRequestBody(s filter.Stream, _ filter.Body, _ bool) filter.Action {
	return p.act(s, true)
}

func (p *probe) OnRequestTrailers(s filter.Stream, _ filter.Headers) filter.Action {
	return p.act(s, true)
}

func (p *probe) OnRequest(s filter.Stream, _ filter.RequestHeaders, _ filter.Body) filter.Action {
	return p.act(s, true)
}

func (p *probe) OnResponseHeaders(s filter.Stream, _ filter.ResponseHeaders, _ bool) filter.Action {
	return p.act(s, false)
}

func (p *probe) OnResponseBody(s filter.Stream, _ filter.Body, _ bool) filter.Action {
	return p.act(s, true)
}

func (p *probe) OnResponseTrailers(s filter.Stream, _ filter.Headers) filter.Action {
	return p.act(s, true)
}

func (p *probe) OnResponse(s filter.Stream, _ filter.ResponseHeaders, _ filter.Body) filter.Action {
	return p.act(s, true)
}

func (p *probe) OnComplete(s filter.Stream) {
	tag := tagOf(s)
	p.look(s, tag)
	if p.Touch {
		p.trace(s, tag)
		if trace.SpanFromContext(s.Context()).IsRecording() {
			reportForeign("Envoy's span of the stream %s records, after Envoy has finished it", tag)
		}
	}
}

func tagOf(s filter.Stream) string {
	if tag := s.RequestHeaders().Get("x-tag"); tag != "" {
		return tag
	}
	tag, _ := s.Attr("xds.route_name") // where the request's headers have not come
	return tag
}
