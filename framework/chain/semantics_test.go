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
		"reply":       {reply, 403, "denied", "why", "moe.replies", false},
		"later reply": {later(reply), 403, "denied", "why", "moe.replies", false},
		"fail":        {fail, 500, "", "moe.probe2", "moe.replies", false},
		"panic":       {boom, 500, "", "moe.probe2.panic", "moe.panics", true},
		"later panic": {later(boom), 500, "", "moe.probe2.panic", "moe.panics", true},
		"status 42":   {func() filter.Action { return filter.Reply(42, "x") }, 500, "", "moe.probe2", "moe.misuses", true},
	} {
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
				t.Fatal(err)
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
			if strings.Contains(name, "panic") && (strings.Count(h.Log(), "boom") != 1 || !strings.Contains(h.Log(), "semantics_test.go")) {
				t.Errorf("%s in %s: %s", name, phase, h.Log())
			}
			// The onion: who passed the request on sees one response; who came after the replier sees the upstream's only.
			if want := "qrc"; first.String() != want && !begun[phase] {
				t.Errorf("%s in %s: the plugin before sees %s", name, phase, &first)
			}
			want := map[string]string{"OnRequestHeaders": "c", "OnRequest": "c", "OnRequestBody": "qc", "OnRequestTrailers": "qc"}[phase]
			if want == "" {
				want = "qrc"
			}
			if last.String() != want {
				t.Errorf("%s in %s: the plugin after sees %s, want %s", name, phase, &last, want)
			}
		}
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
			t.Fatal(err)
		}
		r := post(h)
		if begun[phase] && r.Reset == "" || !begun[phase] && (r.Status != 504 || r.Details != "moe.probe.timeout") {
			t.Errorf("%s: %d %s %s", phase, r.Status, r.Details, r.Reset)
		}
		if h.Metric("moe.timeouts", "probe") != 1 {
			t.Errorf("%s: not counted", phase)
		}
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
		t.Fatal(err)
	}
	if r := h.Post("/", "body"); r.Status != 504 || r.Details != "moe.probe.timeout" {
		t.Errorf("pipe: %d %s %s", r.Status, r.Details, r.Reset)
	}
}

func TestBufferLimit(t *testing.T) {
	hold := func(filter.Stream, filter.Headers, bool) filter.Action { return filter.WaitBody }
	prefix := func(filter.Stream, filter.Headers, bool) filter.Action { return filter.WaitPrefix(1000) }
	for _, c := range []struct {
		p       *probe
		body    string
		status  int
		details string
	}{
		{&probe{reqH: hold}, "12345678", 200, ""},
		{&probe{reqH: hold}, "123456789", 413, "request_payload_too_large"},
		{&probe{respH: hold}, "123456789", 500, "response_payload_too_large"},
		{&probe{reqH: prefix, respH: prefix}, "123456789", 200, ""},
	} {
		for _, chunk := range []int{0, 1, 3} {
			h := filtertest.New(t, c.p)
			h.BufferLimit, h.Chunk = 8, chunk
			if r := h.Post("/", c.body); r.Status != c.status || r.Details != c.details {
				t.Errorf("%d bytes in %d: %d %s", len(c.body), chunk, r.Status, r.Details)
			}
		}
	}
}

// content-length follows the body, or goes, or the stream is reset: never is it wrong.
func TestContentLength(t *testing.T) {
	longer := func(_ filter.Stream, b filter.Body, end bool) filter.Action {
		if end {
			io.WriteString(b, "more")
		}
		return filter.Continue
	}
	shorter := func(_ filter.Stream, b filter.Body, _ bool) filter.Action { b.Set(nil); return filter.Continue }
	hold := func(filter.Stream, filter.Headers, bool) filter.Action { return filter.WaitBody }
	grow := func(_ filter.Stream, _ filter.Headers, b filter.Body) filter.Action {
		io.WriteString(b, "more")
		return filter.Continue
	}
	forget := func(_ filter.Stream, h filter.Headers, _ bool) filter.Action {
		h.Del("content-length")
		return filter.Continue
	}
	lie := func(_ filter.Stream, h filter.Headers, _ bool) filter.Action {
		h.Set("content-length", "2")
		return filter.Continue
	}
	copyAll := func(filter.Stream, filter.Headers, bool) filter.Action {
		return filter.Pipe(func(_ context.Context, w io.Writer, r io.Reader) error { _, err := io.Copy(w, r); return err })
	}
	prefix := func(filter.Stream, filter.Headers, bool) filter.Action { return filter.WaitPrefix(1) }
	for name, c := range map[string]struct {
		plugins []any
		length  string // that the upstream sees
		sent    string
		bug     bool
	}{
		"untouched":       {[]any{&probe{}}, "4", "body", false},
		"whole":           {[]any{&probe{reqH: hold, req: grow}}, "8", "bodymore", false},
		"prefix":          {[]any{&probe{reqH: prefix, req: grow}}, "8", "bmoreody", false},
		"before a holder": {[]any{&probe{reqB: longer}, &probe{reqH: hold}}, "8", "bodymore", false},
		"removed":         {[]any{&probe{reqH: forget, reqB: longer}}, "", "bodymore", false},
		"ChangesBody":     {[]any{&resizer{probe{reqB: longer}}}, "", "bodymore", false},
		"pipe":            {[]any{&probe{reqH: copyAll}}, "", "body", false},
		"longer":          {[]any{&probe{reqB: longer}}, "", "", true},
		"shorter":         {[]any{&probe{reqB: shorter}}, "", "", true},
		"lie":             {[]any{&probe{reqH: lie}}, "", "", true},
	} {
		h := &filtertest.Host{AllowsBugs: c.bug, Chunk: 1}
		if err := h.Load(t, c.plugins...); err != nil {
			t.Fatal(err)
		}
		r := h.Post("/", "body")
		if c.bug {
			if r.Reset == "" || r.SentEnd || len(h.Bugs()) == 0 {
				t.Errorf("%s: %q, bugs %q", name, r.Reset, h.Bugs())
			}
			continue
		}
		if r.Sent != c.sent || r.Upstream.Header.Get("content-length") != c.length {
			t.Errorf("%s: %q with content-length %q", name, r.Sent, r.Upstream.Header.Get("content-length"))
		}
	}
	h := filtertest.New(t, &probe{reqH: hold, req: grow, respH: hold, resp: grow})
	if r := h.Get("/"); r.Sent != "more" || r.Upstream.Header.Get("content-length") != "4" || r.Body != "moremore" {
		t.Errorf("a body for a GET: %q %v, %q", r.Sent, r.Upstream.Header, r.Body)
	}
	r := h.Do(filtertest.NewRequest("HEAD", "/", ""))
	if r.Body != "" {
		t.Errorf("a body for HEAD: %q", r.Body)
	}
}

// Pipes move any amount, through each other, and more than their input.
func TestPipes(t *testing.T) {
	const size = 5 << 20
	amplify := func(filter.Stream, filter.Headers, bool) filter.Action {
		return filter.Pipe(func(_ context.Context, w io.Writer, r io.Reader) error {
			if _, err := io.Copy(io.Discard, r); err != nil {
				return err
			}
			p := make([]byte, 100<<10)
			for n := 0; n < size; n += len(p) {
				p = p[:min(len(p), size-n)]
				if _, err := w.Write(p); err != nil {
					return err
				}
			}
			return nil
		})
	}
	copyAll := func(filter.Stream, filter.Headers, bool) filter.Action {
		return filter.Pipe(func(_ context.Context, w io.Writer, r io.Reader) error { _, err := io.Copy(w, r); return err })
	}
	for _, lacks := range []filter.Capability{0, filter.PromptPipes} {
		h := &filtertest.Host{Lacks: lacks}
		if err := h.Load(t, &probe{reqH: copyAll}, &probe{reqH: amplify, respH: copyAll}, &probe{reqH: copyAll}); err != nil {
			t.Fatal(err)
		}
		if r := h.Post("/", "body"); len(r.Sent) != size || len(r.Body) != size {
			t.Errorf("%d, %d %s", len(r.Sent), len(r.Body), r.Reset)
		}
	}
	for name, f := range map[string]func(context.Context, io.Writer, io.Reader) error{
		"error": func(context.Context, io.Writer, io.Reader) error { return errors.New("broken") },
		"panic": func(context.Context, io.Writer, io.Reader) error { panic("broken") },
	} {
		h := &filtertest.Host{AllowsBugs: name == "panic"}
		if err := h.Load(t, &probe{respH: func(filter.Stream, filter.Headers, bool) filter.Action { return filter.Pipe(f) }}); err != nil {
			t.Fatal(err)
		}
		if r := h.Post("/", "body"); r.Reset == "" || !strings.Contains(h.Log(), "broken") {
			t.Errorf("%s: %+v\n%s", name, r, h.Log())
		}
	}
	ignore := &probe{respH: func(filter.Stream, filter.Headers, bool) filter.Action {
		return filter.Pipe(func(_ context.Context, w io.Writer, r io.Reader) error {
			_, err := io.WriteString(w, "instead")
			return err
		})
	}}
	h := filtertest.New(t, ignore)
	h.Chunk = 1
	if r := h.Post("/", "body"); r.Body != "instead" {
		t.Errorf("%q", r.Body)
	}
}

// What is written while the pipe waits for its reader moves on at once, on a host with PromptPipes.
func TestPromptPipe(t *testing.T) {
	h := filtertest.New(t, &probe{respH: func(filter.Stream, filter.Headers, bool) filter.Action {
		return filter.Pipe(func(_ context.Context, w io.Writer, r io.Reader) error {
			for _, s := range []string{"a", "b"} {
				io.WriteString(w, s)
				time.Sleep(20 * time.Millisecond)
			}
			_, err := io.Copy(w, r)
			return err
		})
	}})
	if r := h.Post("/", "body"); r.Body != "abbody" || fmt.Sprint(r.Chunks) != "[a b body]" {
		t.Errorf("%q", r.Chunks)
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
		case <-time.After(5 * time.Second):
			t.Error("the reader is not closed")
		}
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
	h.Get("/", "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate", "a=b", "x-request-id", "id-7")
	sc := oteltrace.SpanContextFromContext(ctx)
	if sc.TraceID().String() != "4bf92f3577b34da6a3ce929d0e0e4736" || !sc.IsSampled() || !sc.IsRemote() || sc.TraceState().Get("a") != "b" {
		t.Error(sc)
	}
	if !errors.Is(context.Cause(ctx), filter.ErrStreamDone) {
		t.Error(context.Cause(ctx))
	}
	if !strings.Contains(h.Log(), "id-7") || !strings.Contains(h.Log(), "plugin=probe") {
		t.Error(h.Log())
	}
}
