package chain_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	oteltrace "go.opentelemetry.io/otel/trace"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// everywhere returns probes that do a in each place where an action can be returned.
func everywhere(a func() filter.Action) map[string]*probe {
	hold := func(filter.Stream, filter.Headers, bool) filter.Action { return filter.WaitBody }
	headers := func(filter.Stream, filter.Headers, bool) filter.Action { return a() }
	body := func(filter.Stream, filter.Body, bool) filter.Action { return a() }
	trailers := func(filter.Stream, filter.Headers) filter.Action { return a() }
	whole := func(filter.Stream, filter.Headers, filter.Body) filter.Action { return a() }
	return map[string]*probe{
		"OnRequestHeaders": {reqH: headers}, "OnRequestBody": {reqB: body}, "OnRequestTrailers": {reqT: trailers},
		"OnRequest": {reqH: hold, req: whole}, "OnResponseHeaders": {respH: headers}, "OnResponseBody": {respB: body},
		"OnResponseTrailers": {respT: trailers}, "OnResponse": {respH: hold, resp: whole},
	}
}

func post(h *filtertest.Host) *filtertest.Response {
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "x-t")
		io.Copy(w, r.Body)
		w.Header().Set("x-t", "1")
	})
	r := filtertest.NewRequest("POST", "/", "body")
	r.Trailer = http.Header{"X-T": {"1"}}
	return h.Do(r)
}

// begun are the phases in which the response's headers have left, so that only a reset is possible.
var begun = map[string]bool{"OnResponseBody": true, "OnResponseTrailers": true}

// A reply, a failure, a panic and a late one of each, from every phase.
func TestEndings(t *testing.T) {
	reply := func() filter.Action {
		return filter.Reply(403, "denied", filter.WithDetails("why"), filter.WithHeader("x-a", "1"))
	}
	later := func(f func() filter.Action) func() filter.Action {
		return func() filter.Action {
			return filter.Go(func(context.Context) filter.Action { return f() })
		}
	}
	boom := func() filter.Action { panic("boom") }
	fail := func() filter.Action { return filter.Fail(errors.New("hidden reason")) }
	for name, c := range map[string]struct {
		action  func() filter.Action
		status  int
		body    string
		details string
		metric  string
		bugs    bool
	}{
		"reply":       {action: reply, status: 403, body: "denied", details: "why", metric: "moe.replies"},
		"later reply": {action: later(reply), status: 403, body: "denied", details: "why", metric: "moe.replies"},
		"fail":        {action: fail, status: 500, details: "moe.probe2", metric: "moe.replies"},
		"panic":       {action: boom, status: 500, details: "moe.probe2.panic", metric: "moe.panics", bugs: true},
		"later panic": {action: later(boom), status: 500, details: "moe.probe2.panic", metric: "moe.panics", bugs: true},
		"status 42": {
			action: func() filter.Action { return filter.Reply(42, "x") }, status: 500, details: "moe.probe2",
			metric: "moe.misuses", bugs: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for phase, p := range everywhere(c.action) {
				var first, last strings.Builder
				watch := func(b *strings.Builder) *probe {
					return &probe{
						reqH:  func(filter.Stream, filter.Headers, bool) filter.Action { b.WriteString("q"); return filter.Continue },
						respH: func(filter.Stream, filter.Headers, bool) filter.Action { b.WriteString("r"); return filter.Continue },
						done:  func(filter.Stream) { b.WriteString("c") },
					}
				}
				h := &filtertest.Host{AllowsBugs: c.bugs}
				if err := h.Load(t, watch(&first), p, watch(&last)); err != nil {
					t.Fatalf("h.Load: %v", err)
				}
				r := post(h)
				if begun[phase] {
					if r.Reset == "" {
						t.Errorf("%s in %s: no reset: %+v", name, phase, r)
					}
				} else if r.Status != c.status || r.Body != c.body || r.Details != c.details || !r.Replied {
					t.Errorf("%s in %s: %d %q %q", name, phase, r.Status, r.Body, r.Details)
				}
				if got := h.Metric(c.metric, "probe2"); got != 1 {
					t.Errorf("%s in %s: %s is %d", name, phase, c.metric, got)
				}
				if strings.Contains(r.Body, "hidden") || name == "fail" && !strings.Contains(h.Log(), "hidden reason") {
					t.Errorf("%s in %s: %q, log %s", name, phase, r.Body, h.Log())
				}
				if strings.Contains(name, "panic") &&
					(strings.Count(h.Log(), "boom") != 1 || !strings.Contains(h.Log(), "semantics_test.go")) {
					t.Errorf("%s in %s: %s", name, phase, h.Log())
				}
				// The onion: who passed the request on sees one response; who came after the replier sees the upstream's only.
				if want := "qrc"; first.String() != want && !begun[phase] {
					t.Errorf("%s in %s: the plugin before sees %s", name, phase, &first)
				}
				want := "qrc"
				switch phase {
				case "OnRequestHeaders", "OnRequest":
					want = "c"
				case "OnRequestBody", "OnRequestTrailers":
					want = "qc"
				}
				if last.String() != want {
					t.Errorf("%s in %s: the plugin after sees %s, want %s", name, phase, &last, want)
				}
			}
		})
	}
}

// A plugin that never resumes a stream.
func TestTimeout(t *testing.T) {
	stuck := func() filter.Action {
		return filter.Go(func(ctx context.Context) filter.Action {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				return filter.Reply(500, "late")
			}
			return filter.Continue
		})
	}
	for phase, p := range everywhere(stuck) {
		h := &filtertest.Host{AllowsBugs: true, Timeout: 5 * time.Millisecond}
		if err := h.Load(t, p); err != nil {
			t.Fatalf("h.Load: %v", err)
		}
		r := post(h)
		if begun[phase] && r.Reset == "" || !begun[phase] && (r.Status != 504 || r.Details != "moe.probe.timeout") {
			t.Errorf("%s: status %d, details %q, reset %q; want 504 by moe.probe.timeout, or a reset once the response has begun",
				phase, r.Status, r.Details, r.Reset)
		}
		if h.Metric("moe.timeouts", "probe") != 1 {
			t.Errorf("%s: not counted", phase)
		}
	}
	stubborn := &probe{reqH: func(_ filter.Stream, rh filter.Headers, _ bool) filter.Action {
		return filter.Go(func(ctx context.Context) filter.Action {
			<-ctx.Done()
			for range 100 { // whose turn was taken away cannot help it
				rh.Set("x-late", "1")
				time.Sleep(100 * time.Microsecond)
			}
			return filter.Continue
		})
	}}
	late := &filtertest.Host{AllowsBugs: true, Timeout: 5 * time.Millisecond}
	if err := late.Load(t, stubborn); err != nil {
		t.Fatalf("late.Load: %v", err)
	}
	if r := late.Get("/"); r.Status != 504 || len(late.Bugs()) != 1 || late.Metric("moe.misuses", "probe") != 0 {
		t.Errorf("status %d, bugs %q; want 504, one bug and no misuse", r.Status, late.Bugs())
	}
	pipe := &probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action {
		return filter.Pipe(func(ctx context.Context, w io.Writer, r io.Reader) error {
			r.Read(make([]byte, 1))
			<-ctx.Done()
			_, err := w.Write([]byte("x"))
			return err
		})
	}}
	h := &filtertest.Host{AllowsBugs: true, Timeout: 5 * time.Millisecond}
	if err := h.Load(t, pipe); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	if r := h.Post("/", "body"); r.Status != 504 || r.Details != "moe.probe.timeout" {
		t.Errorf("pipe: %d %s %s", r.Status, r.Details, r.Reset)
	}
}

// reader is a body that notes when it is closed.
type reader struct {
	io.Reader
	closed chan struct{}
}

func (r *reader) Close() error { close(r.closed); return nil }

func TestReplyReader(t *testing.T) {
	body := strings.Repeat("0123456789", 20000)
	for name, leave := range map[string]bool{"": false, "leaves": true} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			rd := &reader{strings.NewReader(body), make(chan struct{})}
			h := filtertest.New(t, &probe{}, &probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action {
				return filter.ReplyReader(200, rd, filter.WithHeader("content-length", fmt.Sprint(len(body))))
			}})
			h.Leave = func(after string) bool { return leave && after == "waiting" }
			r := h.Get("/")
			if !leave && (r.Body != body || r.Header.Get("content-length") != fmt.Sprint(len(body))) {
				t.Errorf("%q: %d bytes %s", name, len(r.Body), r.Reset)
			}
			select {
			case <-rd.closed:
			case <-time.After(30 * time.Second):
				t.Error("the reader is not closed")
			}
		})
	}
	h := filtertest.New(t, &probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action {
		return filter.ReplyReader(200, io.MultiReader(strings.NewReader("x"), errReader{}))
	}})
	if r := h.Get("/"); r.Reset == "" {
		t.Error("a broken reader")
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestContext(t *testing.T) {
	var ctx context.Context
	h := filtertest.New(t, &probe{reqH: func(s filter.Stream, _ filter.Headers, _ bool) filter.Action {
		ctx = s.Context()
		s.Log().Info("hello")
		return filter.Continue
	}})
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	h.Get("/", "traceparent", "00-"+id+"-00f067aa0ba902b7-01", "tracestate", "a=b", "x-request-id", "id-7")
	sc := oteltrace.SpanContextFromContext(ctx)
	if sc.TraceID().String() != id || !sc.IsSampled() || !sc.IsRemote() || sc.TraceState().Get("a") != "b" {
		t.Errorf("the span's context is %v, want that of the headers", sc)
	}
	if !errors.Is(context.Cause(ctx), filter.ErrStreamDone) {
		t.Errorf("context.Cause(): got error %v, want %v", context.Cause(ctx), filter.ErrStreamDone)
	}
	if !strings.Contains(h.Log(), "id-7") || !strings.Contains(h.Log(), "plugin=probe") {
		t.Errorf("h.Log() = %q, want it to contain %q, and it to contain %q", h.Log(), "id-7", "plugin=probe")
	}
}
