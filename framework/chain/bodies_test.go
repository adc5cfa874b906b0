package chain_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

func TestBufferLimit(t *testing.T) {
	hold := func(filter.Stream, filter.Headers, bool) filter.Action { return filter.WaitBody }
	prefix := func(filter.Stream, filter.Headers, bool) filter.Action { return filter.WaitPrefix(1000) }
	for _, c := range []struct {
		name    string
		p       *probe
		body    string
		status  int
		details string
	}{
		{name: "as large as the limit", p: &probe{reqH: hold}, body: "12345678", status: 200},
		{
			name: "larger than the limit", p: &probe{reqH: hold}, body: "123456789", status: 413,
			details: "request_payload_too_large",
		},
		{
			name: "larger response", p: &probe{respH: hold}, body: "123456789", status: 500,
			details: "response_payload_too_large",
		},
		{name: "not held whole", p: &probe{reqH: prefix, respH: prefix}, body: "123456789", status: 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, chunk := range []int{0, 1, 3} {
				t.Run(fmt.Sprintf("chunks of %d", chunk), func(t *testing.T) {
					h := filtertest.New(t, c.p)
					h.BufferLimit, h.Chunk = 8, chunk
					if r := h.Post("/", c.body); r.Status != c.status || r.Details != c.details {
						t.Errorf("%d bytes in %d: %d %s", len(c.body), chunk, r.Status, r.Details)
					}
				})
			}
		})
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
		t.Run(name, func(t *testing.T) {
			h := &filtertest.Host{AllowsBugs: c.bug, Chunk: 1}
			if err := h.Load(t, c.plugins...); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			r := h.Post("/", "body")
			if c.bug {
				if r.Reset == "" || r.SentEnd || len(h.Bugs()) == 0 {
					t.Errorf("%s: %q, bugs %q", name, r.Reset, h.Bugs())
				}
				return
			}
			if r.Sent != c.sent || r.Upstream.Header.Get("content-length") != c.length {
				t.Errorf("%s: %q with content-length %q", name, r.Sent, r.Upstream.Header.Get("content-length"))
			}
		})
	}
	h := filtertest.New(t, &probe{reqH: hold, req: grow, respH: hold, resp: grow})
	if r := h.Get("/"); r.Sent != "more" || r.Upstream.Header.Get("content-length") != "4" || r.Body != "moremore" {
		t.Errorf("a body for a GET: %q %v, %q", r.Sent, r.Upstream.Header, r.Body)
	}
	r := h.Do(filtertest.NewRequest("HEAD", "/", ""))
	if r.Body != "" {
		t.Errorf("a body for HEAD: %q", r.Body)
	}
	h = filtertest.New(t, &probe{respH: func(_ filter.Stream, h filter.Headers, _ bool) filter.Action {
		h.Set(":status", "204")
		return filter.Continue
	}})
	if r := h.Post("/", "body"); r.Body != "" || r.Header.Get("content-length") != "" || r.Status != 204 {
		t.Errorf("a body for 204: %q %v", r.Body, r.Header)
	}
	h = filtertest.New(t, &probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action {
		return filter.Reply(304, "body")
	}})
	if r := h.Post("/", "body"); r.Body != "" || r.Header.Get("content-length") != "" || r.Status != 304 {
		t.Errorf("a body for 304: %q %v", r.Body, r.Header)
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
	for _, lacks := range []filter.Capability{0, filter.CanPipePromptly} {
		t.Run(fmt.Sprint(lacks), func(t *testing.T) {
			h := &filtertest.Host{Lacks: lacks}
			plugins := []any{&probe{reqH: copyAll}, &probe{reqH: amplify, respH: copyAll}, &probe{reqH: copyAll}}
			if err := h.Load(t, plugins...); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			if r := h.Post("/", "body"); len(r.Sent) != size || len(r.Body) != size {
				t.Errorf("got %d of r.Sent, want %d: %q; got %d of r.Body, want %d: %q: %s",
					len(r.Sent), size, r.Sent, len(r.Body), size, r.Body, r.Reset)
			}
		})
	}
	for name, f := range map[string]func(context.Context, io.Writer, io.Reader) error{
		"error": func(context.Context, io.Writer, io.Reader) error { return errors.New("broken") },
		"panic": func(context.Context, io.Writer, io.Reader) error { panic("broken") },
	} {
		t.Run(name, func(t *testing.T) {
			h := &filtertest.Host{AllowsBugs: name == "panic"}
			piped := func(filter.Stream, filter.Headers, bool) filter.Action { return filter.Pipe(f) }
			if err := h.Load(t, &probe{respH: piped}); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			if r := h.Post("/", "body"); r.Reset == "" || !strings.Contains(h.Log(), "broken") {
				t.Errorf("%s, %+v: r.Reset is empty; h.Log() = %q, want it to contain %q", name, r, h.Log(), "broken")
			}
		})
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
		t.Errorf("r.Body = %q, want %q", r.Body, "instead")
	}
}

// What is written while the pipe waits for its reader moves on at once, on a host with CanPipePromptly.
func TestPromptPipe(t *testing.T) {
	moved := make(chan string, 8)
	watch := &probe{respB: func(_ filter.Stream, b filter.Body, _ bool) filter.Action {
		moved <- string(b.Bytes())
		return filter.Continue
	}}
	// write returns when what it has written has moved on.
	write := func(ctx context.Context, w io.Writer, s string) error {
		io.WriteString(w, s)
		select {
		case got := <-moved:
			if got != s {
				t.Errorf("moved %q, want %q", got, s)
			}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	h := filtertest.New(t, watch, &probe{respH: func(filter.Stream, filter.Headers, bool) filter.Action {
		return filter.Pipe(func(ctx context.Context, w io.Writer, r io.Reader) error {
			if err := write(ctx, w, "a"); err != nil {
				return err
			}
			if err := write(ctx, w, "b"); err != nil {
				return err
			}
			_, err := io.Copy(w, r)
			return err
		})
	}})
	if diff := cmp.Diff([]string{"a", "b", "body"}, h.Post("/", "body").Chunks); diff != "" {
		t.Errorf("the chunks (-want +got):\n%s", diff)
	}
}
