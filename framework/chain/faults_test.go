package chain_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// badError is an error whose Error method misbehaves.
type badError struct{ f func() string }

func (e *badError) Error() string { return e.f() }

// failingReader is a reply's reader that fails.
type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// TestErrorMethods has the framework ask for the text of errors whose Error methods panic, or call runtime.Goexit: each
// is a panic of its plugin, and the request ends as it would with any error.
func TestErrorMethods(t *testing.T) {
	type action = func(error) filter.Action
	headers := func(a filter.Action) *probe {
		return &probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action { return a }}
	}
	for _, place := range []struct {
		name   string
		action action
		plugin func(filter.Action) *probe
		reset  bool
	}{
		{name: "Fail", action: filter.Fail, plugin: headers},
		{name: "Fail in Go", plugin: headers, action: func(err error) filter.Action {
			return filter.Go(func(context.Context) filter.Action { return filter.Fail(err) })
		}},
		{name: "Fail in the response", action: filter.Fail, plugin: func(a filter.Action) *probe {
			return &probe{respH: func(filter.Stream, filter.Headers, bool) filter.Action { return a }}
		}},
		{name: "Fail in the response's body", action: filter.Fail, reset: true, plugin: func(a filter.Action) *probe {
			return &probe{respB: func(filter.Stream, filter.Body, bool) filter.Action { return a }}
		}},
		{name: "Pipe", plugin: headers, reset: true, action: func(err error) filter.Action {
			return filter.Pipe(func(context.Context, io.Writer, io.Reader) error { return err })
		}},
		{name: "ReplyReader", plugin: headers, reset: true, action: func(err error) filter.Action {
			return filter.ReplyReader(200, failingReader{err})
		}},
	} {
		for _, kind := range []struct {
			name string
			err  error
			want string // in the log
		}{
			{name: "typed nil", err: (*badError)(nil), want: "nil pointer dereference"},
			{name: "panics", err: &badError{func() string { panic("no text") }}, want: "no text"},
			{name: "Goexit", err: &badError{func() string { runtime.Goexit(); return "" }}, want: "Goexit"},
		} {
			t.Run(place.name+"/"+kind.name, func(t *testing.T) {
				h := &filtertest.Host{AllowsBugs: true}
				if err := h.Load(t, place.plugin(place.action(kind.err))); err != nil {
					t.Fatalf("Load: %v", err)
				}
				r := post(h)
				if place.reset && r.Reset == "" {
					t.Errorf("the stream ends with status %d, want a reset", r.Status)
				}
				if !place.reset && r.Status != 500 {
					t.Errorf("the status is %d (reset %q), want 500", r.Status, r.Reset)
				}
				if n := h.Metric("moe.panics", "probe"); n != 1 {
					t.Errorf("moe.panics is %d, want 1", n)
				}
				if !strings.Contains(h.Log(), kind.want) {
					t.Errorf("the log is %q, want %q in it", h.Log(), kind.want)
				}
			})
		}
	}
}

// TestBadReader holds a reader to what Read may return.
func TestBadReader(t *testing.T) {
	for _, n := range []int{-1, 1 << 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			h := &filtertest.Host{AllowsBugs: true}
			if err := h.Load(t, &probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action {
				return filter.ReplyReader(200, countingReader(n))
			}}); err != nil {
				t.Fatalf("Load: %v", err)
			}
			if r := h.Get("/"); r.Reset == "" || h.Metric("moe.panics", "probe") != 1 {
				t.Errorf("Read returns %d: reset %q, %d panics, want a reset and one panic", n, r.Reset, h.Metric("moe.panics", "probe"))
			}
		})
	}
}

type countingReader int

func (r countingReader) Read([]byte) (int, error) { return int(r), nil }

// TestGoexit has plugins call runtime.Goexit on the stream's thread, which ends it after its deferred functions: by then
// the stream has been answered, and the other plugins have completed.
func TestGoexit(t *testing.T) {
	exit := func() filter.Action { runtime.Goexit(); return filter.Continue }
	for _, c := range []struct {
		name   string
		plugin *probe
		status string // of the reply; "" is none
	}{
		{name: "request headers", status: "500", plugin: &probe{
			reqH: func(filter.Stream, filter.Headers, bool) filter.Action { return exit() },
		}},
		{name: "response headers", status: "500", plugin: &probe{
			respH: func(filter.Stream, filter.Headers, bool) filter.Action { return exit() },
		}},
		{name: "OnComplete", plugin: &probe{done: func(filter.Stream) { exit() }}},
	} {
		t.Run(c.name, func(t *testing.T) {
			completed := 0
			last := &probe{done: func(filter.Stream) { completed++ }}
			var bugs []string
			ps := []chain.Plugin{
				{Name: "exits", Reg: filter.Lookup("probe"), Config: c.plugin},
				{Name: "last", Reg: filter.Lookup("probe"), Config: last},
			}
			ch := chain.New(ps, chain.Options{Misuse: func(p, what string) { bugs = append(bugs, p+" "+what) }})
			st := ch.Start(dead{}, dead{})
			fill(st)
			s := internals.Stream(&st.Stream, 0)
			onThread := func(f func()) {
				done := make(chan struct{})
				go func() { defer close(done); f() }()
				<-done
			}
			onThread(func() { st.Headers(chain.Request, true) })
			if !st.Replied {
				onThread(func() { st.Headers(chain.Response, true) })
			}
			if got := s.ResponseHeaders().Get(":status"); c.status != "" && got != c.status {
				t.Errorf("the response's status is %s, want %s", got, c.status)
			}
			onThread(st.Done)
			if len(bugs) != 1 || !strings.HasPrefix(bugs[0], "exits panics") || !strings.Contains(bugs[0], "Goexit") {
				t.Errorf("what was reported is %q, want one panic of the plugin exits, by Goexit", bugs)
			}
			if completed != 1 {
				t.Errorf("the plugin after it completed %d times, want once", completed)
			}
			if id := s.RequestHeaders().Path(); id != "" {
				t.Errorf("a handle still reads the path %q after the stream's end", id)
			}
		})
	}
}

// TestRequestID looks for the request in the lines about its faults.
func TestRequestID(t *testing.T) {
	for _, c := range []struct {
		name   string
		line   string
		plugin *probe
	}{
		{name: "panic", line: "msg=panic", plugin: &probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action {
			panic("boom")
		}}},
		{name: "time-out", line: "does not answer within", plugin: &probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action {
			return filter.Go(func(ctx context.Context) filter.Action { <-ctx.Done(); return filter.Continue })
		}}},
		{name: "misuse by the chain", line: "misuse", plugin: &probe{respB: func(filter.Stream, filter.Body, bool) filter.Action {
			return filter.WaitBody
		}}},
		{name: "misuse of headers", line: "misuse", plugin: &probe{respH: func(s filter.Stream, _ filter.Headers, _ bool) filter.Action {
			s.RequestHeaders().Set("x-late", "1")
			return filter.Continue
		}}},
		{name: "fail", line: "request failed", plugin: &probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action {
			return filter.Fail(errors.New("no"))
		}}},
		{name: "late reply", line: "after the response has begun", plugin: &probe{respB: func(filter.Stream, filter.Body, bool) filter.Action {
			return filter.Reply(500, "too late")
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &filtertest.Host{AllowsBugs: true, Timeout: 20 * time.Millisecond}
			if err := h.Load(t, c.plugin); err != nil {
				t.Fatalf("Load: %v", err)
			}
			r := httptest.NewRequest("POST", "/", strings.NewReader("body"))
			r.Header.Set("X-Request-Id", "id-1")
			h.Do(r)
			for line := range strings.Lines(h.Log()) {
				if strings.Contains(line, c.line) {
					if !strings.Contains(line, "request_id=id-1") {
						t.Errorf("the line %q lacks the request's id", line)
					}
					return
				}
			}
			t.Errorf("the log is %q, want a line with %q", h.Log(), c.line)
		})
	}
}

// TestLateReply counts replies that come when the response has begun.
func TestLateReply(t *testing.T) {
	h := &filtertest.Host{}
	if err := h.Load(t, &probe{respB: func(filter.Stream, filter.Body, bool) filter.Action {
		return filter.Reply(500, "too late")
	}}); err != nil {
		t.Fatalf("Load: %v", err)
	}
	if r := post(h); r.Reset == "" {
		t.Errorf("the stream ends with status %d, want a reset", r.Status)
	}
	if n := h.Metric("moe.late_replies", "probe"); n != 1 {
		t.Errorf("moe.late_replies is %d, want 1", n)
	}
}

// TestReaderDetails looks for the details of a reply that Envoy does not take them from.
func TestReaderDetails(t *testing.T) {
	h := filtertest.New(t, &probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action {
		return filter.ReplyReader(200, strings.NewReader("text"), filter.WithDetails("why"))
	}})
	r := h.Get("/")
	if r.Status != 200 || r.Body != "text" {
		t.Fatalf("the reply is %d %q, want 200 and the reader's text", r.Status, r.Body)
	}
	if got := r.Metadata["moe/reply_details"]; got != "why" {
		t.Errorf("the metadata moe:reply_details is %v, want \"why\"", got)
	}
}
