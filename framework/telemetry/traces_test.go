package telemetry

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// acts is a plugin that does what a test says.
type acts struct {
	do func(s filter.Stream, h filter.RequestHeaders) filter.Action
}

func (a *acts) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	return a.do(s, h)
}

func init() { filter.Register[acts]("acts", filter.Transform) }

// host is core.Host and core.Sink with the least in it; own is a span of its own.
type host struct {
	core.Host
	posts chan func()
	own   core.HostSpan
	reset string
	ends  bool // with a reset, which a test waits for
}

func (h *host) Escaped()                          {}
func (h *host) Attribute(string) (string, error)  { return "", core.ErrNotFound }
func (h *host) Span() core.HostSpan               { return h.own }
func (h *host) BufferLimit() int                  { return 0 }
func (h *host) Headers(core.Direction, bool)      {}
func (h *host) Data(core.Direction, []byte, bool) {}
func (h *host) Trailers(core.Direction)           {}
func (h *host) Reset(reason string)               { h.reset = reason }
func (h *host) Post(f func())                     { h.posts <- f }

func (h *host) SetMetadata(string, string, any) error { return nil }

// run sends a request through two plugins, the second of which does something, to h.
func run(t *testing.T, traces Traces, h *host, fields []core.Field, do func(s filter.Stream, h filter.RequestHeaders) filter.Action) {
	t.Helper()
	pass := func(filter.Stream, filter.RequestHeaders) filter.Action { return filter.Continue }
	c := chain.New([]chain.Plugin{
		{Name: "first", Reg: filter.Lookup("acts"), Config: &acts{pass}},
		{Name: "second", Reg: filter.Lookup("acts"), Config: &acts{do}},
	}, chain.Options{Observe: traces.Observe(), Timeout: 20 * time.Millisecond})
	st := c.Start(h, h)
	b := &st.H[core.RequestHeaders]
	b.Fields, b.Present = append(b.Fields, fields...), true
	st.Headers(chain.Request, true)
	for st.Busy(chain.Request) || h.ends && h.reset == "" {
		(<-h.posts)()
	}
	if !st.Replied && h.reset == "" {
		b := &st.H[core.ResponseHeaders]
		b.Fields, b.Present = append(b.Fields, core.Field{Name: ":status", Value: "200"}), true
		st.Headers(chain.Response, true)
	}
	st.Done()
}

var request = []core.Field{
	{Name: ":method", Value: "GET"},
	{Name: ":scheme", Value: "https"},
	{Name: ":authority", Value: "a.test:8443"},
	{Name: ":path", Value: "/p?secret=1"},
	{Name: "user-agent", Value: "curl\xff"},
	{Name: "x-request-id", Value: "id-1"},
	{Name: "traceparent", Value: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
}

// lines returns spans as text: name, parent and attributes, and their events.
func lines(spans []sdk.ReadOnlySpan) (all []string) {
	names := map[trace.SpanID]string{}
	for _, s := range spans {
		names[s.SpanContext().SpanID()] = s.Name()
	}
	for _, s := range spans {
		parent := s.Parent().SpanID().String()
		if name := names[s.Parent().SpanID()]; name != "" {
			parent = name
		}
		all = append(all, s.Name()+" < "+parent+" "+s.Status().Code.String()+" "+text(s.Attributes()))
		for _, e := range s.Events() {
			all = append(all, s.Name()+": "+e.Name+" "+text(e.Attributes))
		}
	}
	return all
}

// text leaves out what is never the same.
func text(all []attribute.KeyValue) string {
	all = slices.DeleteFunc(slices.Clone(all), func(kv attribute.KeyValue) bool { return kv.Key == "moe.wait.seconds" })
	set := attribute.NewSet(all...)
	return strings.ReplaceAll(set.Encoded(attribute.DefaultEncoder()), `\`, "")
}

const ofRequest = "http.request.method=GET,http.response.status_code=%,moe.request_id=id-1,server.address=a.test,server.port=8443," +
	"url.path=/p,url.scheme=https,user_agent.original=curl\uFFFD"

// A stream has a span below the client's, with what plugins do as events, and none of a query or a header's value.
func TestStreamSpans(t *testing.T) {
	const parent = "b7ad6b7169203331"
	root := func(status, code, more string) string {
		return "GET < " + parent + " " + code + " " + strings.Replace(more+ofRequest, "%", status, 1)
	}
	for name, c := range map[string]struct {
		traces Traces
		do     func(s filter.Stream, h filter.RequestHeaders) filter.Action
		want   []string
	}{
		"it passes": {Traces{}, func(filter.Stream, filter.RequestHeaders) filter.Action {
			return filter.Continue
		}, []string{root("200", "Unset", "")}},
		"a reply": {Traces{Detail: Stream}, func(filter.Stream, filter.RequestHeaders) filter.Action {
			return filter.Reply(403, "no")
		}, []string{
			root("403", "Unset", ""),
			"GET: moe.reply http.response.status_code=403,moe.details=moe.second,moe.phase=OnRequestHeaders,moe.plugin=second,moe.reply.own=true",
		}},
		"a panic": {Traces{}, func(filter.Stream, filter.RequestHeaders) filter.Action {
			panic("with a secret")
		}, []string{
			root("500", "Error", "error.type=500,"),
			"GET: exception exception.type=panic,moe.place=OnRequestHeaders,moe.plugin=second",
			"GET: moe.reply http.response.status_code=500,moe.details=moe.second.panic,moe.phase=OnRequestHeaders,moe.plugin=second,moe.reply.own=false",
		}},
		"a time-out": {Traces{}, func(filter.Stream, filter.RequestHeaders) filter.Action {
			return filter.Go(func(ctx context.Context) filter.Action {
				<-ctx.Done()
				return filter.Continue
			})
		}, []string{
			root("504", "Error", "error.type=504,"),
			"GET: moe.timeout moe.phase=OnRequestHeaders,moe.plugin=second,moe.wait.for=go",
			"GET: moe.wait moe.phase=OnRequestHeaders,moe.plugin=second,moe.wait.for=go",
			"GET: moe.reply http.response.status_code=504,moe.details=moe.second.timeout,moe.phase=OnRequestHeaders,moe.plugin=second,moe.reply.own=false",
		}},
		"a reset": {Traces{}, func(filter.Stream, filter.RequestHeaders) filter.Action {
			return filter.Reset("enough")
		}, []string{
			strings.Replace(root("", "Error", "error.type=reset,"), "http.response.status_code=,", "", 1),
			"GET: moe.reset moe.details=enough",
		}},
		"phases": {Traces{Detail: Phases, Sampling: 1}, func(s filter.Stream, h filter.RequestHeaders) filter.Action {
			h.Set("x-secret", "secret")
			return filter.Go(func(ctx context.Context) filter.Action {
				_, span := TracerProvider().Tracer("plugin").Start(ctx, "work")
				span.End()
				return filter.Continue
			})
		}, []string{
			"first OnRequestHeaders < GET Unset moe.phase=OnRequestHeaders,moe.plugin=first",
			"work < GET Unset ",
			"second OnRequestHeaders < GET Unset moe.headers.changed=[\"x-secret\"],moe.phase=OnRequestHeaders,moe.plugin=second",
			root("200", "Unset", ""),
			"GET: moe.wait moe.phase=OnRequestHeaders,moe.plugin=second,moe.wait.for=go",
		}},
		"phases of other traces": {Traces{Detail: Phases}, func(filter.Stream, filter.RequestHeaders) filter.Action {
			return filter.Continue
		}, []string{root("200", "Unset", "")}},
	} {
		t.Run(name, func(t *testing.T) {
			spans := export(t)
			run(t, c.traces, &host{posts: make(chan func(), 4)}, request, c.do)
			if diff := cmp.Diff(c.want, lines(spans.Ended())); diff != "" {
				t.Errorf("spans and events (-want +got):\n%s", diff)
			}
		})
	}
}

// recording is a host's span that notes its events, and whose children note theirs there.
type recording struct {
	hostSpan
	events  *[]string
	context trace.SpanContext
}

func (r *recording) SpanContext() trace.SpanContext { return r.context }

func (r *recording) IsRecording() bool { return true }

func (r *recording) AddEvent(name string, _ ...trace.EventOption) {
	*r.events = append(*r.events, name)
}

func (r *recording) Child(name string, _ *trace.SpanConfig) core.HostSpan {
	*r.events = append(*r.events, "child "+name)
	return &recording{hostSpan: hostSpan{name: name}, events: r.events, context: r.context}
}

func (r *recording) End(...trace.SpanEndOption) { *r.events = append(*r.events, "end "+r.name) }

// The host's span is the stream's where there is one: MoE adds to it what the document asks for, ends nothing of the host's,
// and exports nothing itself.
func TestHostSpans(t *testing.T) {
	reply := func(filter.Stream, filter.RequestHeaders) filter.Action { return filter.Reply(403, "no") }
	ids := trace.SpanContextConfig{TraceID: trace.TraceID{9}, SpanID: trace.SpanID{9}}
	dropped := trace.NewSpanContext(ids)
	sampled := dropped.WithTraceFlags(trace.FlagsSampled)
	phases := []string{
		"child first OnRequestHeaders", "end first OnRequestHeaders", "child second OnRequestHeaders",
		"end second OnRequestHeaders", "moe.reply",
	}
	for name, c := range map[string]struct {
		detail  Detail
		context trace.SpanContext
		want    []string
	}{
		"nothing is asked for":                  {"", sampled, nil},
		"events":                                {Stream, sampled, []string{"moe.reply"}},
		"phases":                                {Phases, sampled, phases},
		"phases of a tracer without such ids":   {Phases, trace.SpanContext{}, phases},
		"events of a trace that is not kept":    {Stream, dropped, nil},
		"phases of a trace that is not sampled": {Phases, dropped, nil},
	} {
		t.Run(name, func(t *testing.T) {
			spans := export(t)
			var events []string
			h := &host{posts: make(chan func(), 4), own: &recording{events: &events, context: c.context}}
			run(t, Traces{Detail: c.detail, Sampling: 1}, h, request, reply)
			if diff := cmp.Diff(c.want, events); diff != "" {
				t.Errorf("the host's span (-want +got):\n%s", diff)
			}
			if n := len(spans.Started()); n != 0 {
				t.Errorf("MoE exports %d spans of a stream that the host traces, want 0", n)
			}
		})
	}
}

// Nobody observes streams whose traces nobody wants: then they cost nothing.
func TestOffObservesNothing(t *testing.T) {
	t.Run("no exporter", func(t *testing.T) {
		if (Traces{}).Observe() != nil {
			t.Error("streams are observed, want none: nobody exports traces")
		}
	})
	t.Run("off", func(t *testing.T) {
		export(t)
		if (Traces{Detail: Off}).Observe() != nil {
			t.Error("streams are observed, want none: traces are off")
		}
	})
	t.Run("an exporter", func(t *testing.T) {
		export(t)
		if (Traces{}).Observe() == nil {
			t.Error("streams are not observed, want all of them: traces are exported")
		}
	})
}

// A client that asks for no samples gets none, and its headers cost nothing more.
func TestUnsampled(t *testing.T) {
	spans := export(t)
	fields := slices.Clone(request)
	fields[len(fields)-1].Value = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	var seen trace.SpanContext
	run(t, Traces{Detail: Phases, Sampling: 1}, &host{posts: make(chan func(), 4)}, fields,
		func(s filter.Stream, _ filter.RequestHeaders) filter.Action {
			seen = trace.SpanContextFromContext(s.Context())
			return filter.Reply(403, "no")
		})
	if n := len(spans.Ended()); n != 0 {
		t.Errorf("%d spans have ended, want 0", n)
	}
	if seen.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" || seen.IsSampled() {
		t.Errorf("the stream's span is %v, want one of the client's trace that is not sampled", seen)
	}
}

// Methods that HTTP does not define are not names of spans.
func TestUnknownMethod(t *testing.T) {
	spans := export(t)
	fields := append(slices.Clone(request), core.Field{})
	fields[0].Value = "BREW"
	run(t, Traces{}, &host{posts: make(chan func(), 4)}, fields[:len(fields)-1],
		func(filter.Stream, filter.RequestHeaders) filter.Action { return filter.Continue })
	ended := spans.Ended()
	if len(ended) != 1 || ended[0].Name() != "HTTP" || !strings.Contains(text(ended[0].Attributes()), "http.request.method_original=BREW") {
		t.Errorf("the spans are %v, want one named HTTP, with the original method", lines(ended))
	}
}

// errorReader fails with an error that has a secret in it.
type errorReader struct{ io.Reader }

func (errorReader) Read([]byte) (int, error) {
	return 0, errors.New("get https://a.test/?secret=1: refused")
}
func (errorReader) Close() error { return nil }

// What the error of a plugin's reader says is in the log and in Envoy's details, and not in a span.
func TestErrorsStayOutOfSpans(t *testing.T) {
	spans := export(t)
	h := &host{posts: make(chan func(), 4), ends: true}
	run(t, Traces{}, h, request, func(filter.Stream, filter.RequestHeaders) filter.Action {
		return filter.ReplyReader(200, errorReader{})
	})
	if !strings.Contains(h.reset, "secret") {
		t.Errorf("the stream is reset with %q, want what the error says in it", h.reset)
	}
	all := strings.Join(lines(spans.Ended()), "\n")
	if strings.Contains(all, "secret") || !strings.Contains(all, "moe.reset moe.details=") {
		t.Errorf("the spans are\n%s\nwant a reset in them, and nothing of the error", all)
	}
}

// A stream has so many events and no more, however long it lasts.
func TestEventsAreBounded(t *testing.T) {
	var events []string
	h := &host{own: &recording{events: &events}}
	st := chain.New(nil, chain.Options{Observe: Traces{Detail: Stream}.Observe()}).Start(h, h)
	for range 10 * maxEvents {
		st.Observer.Observe(chain.Observation{Kind: chain.WaitEnds, Plugin: "p"})
	}
	st.Done()
	if len(events) != maxEvents {
		t.Errorf("the host's span has %d events, want %d", len(events), maxEvents)
	}
}
