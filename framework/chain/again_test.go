package chain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// sipper takes the request's body in turns, holding the headers, and then sends what it has seen on through Pipe.
type sipper struct{ seen []byte }

func (p *sipper) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, end bool) filter.Action {
	h.Del("content-length")
	return filter.WaitPrefix(2)
}

func (p *sipper) OnRequest(_ filter.Stream, h filter.RequestHeaders, b filter.Body) filter.Action {
	p.seen = append(p.seen, b.Bytes()...)
	if complete := b.Complete(); !complete && len(p.seen) < 6 {
		b.Set(nil)
		return filter.Go(func(context.Context) filter.Action { return filter.WaitPrefix(2) })
	}
	h.Set("x-seen", string(p.seen))
	b.Set(p.seen)
	return filter.Pipe(func(_ context.Context, w io.Writer, r io.Reader) error {
		all, err := io.ReadAll(r)
		w.Write(bytes.ToUpper(all))
		return err
	})
}

func init() { filter.Register[sipper]("sipper", filter.Observe) }

func TestWaitAgain(t *testing.T) {
	for _, trailer := range []bool{false, true} {
		t.Run(fmt.Sprintf("trailer=%v", trailer), func(t *testing.T) {
			for chunk := range 8 {
				for _, body := range []string{"", "a", "abcde", "abcdefghijk"} {
					t.Run(fmt.Sprintf("%q", body), func(t *testing.T) {
						h := filtertest.New(t, &ident{2}, &sipper{}, &ident{0})
						h.Chunk = chunk
						r := httptest.NewRequest("POST", "/", strings.NewReader(body))
						if trailer {
							r.Trailer = http.Header{"X-T": {"1"}}
						}
						res := h.Do(r)
						if seen := res.Upstream.Header.Get("x-seen"); res.Sent != strings.ToUpper(body) ||
							!strings.HasPrefix(body, seen) ||
							len(seen) < min(6, len(body)) {
							t.Errorf("chunk %d, trailer %v: sent %q, seen %q", chunk, trailer, res.Sent, seen)
						}
					})
				}
			}
		})
	}
}

// later replies from outside its phases.
type later struct {
	wait   chan struct{}
	action func() filter.Action
}

func (p *later) OnRequestHeaders(s filter.Stream, _ filter.RequestHeaders, _ bool) filter.Action {
	post := internals.Later(s)
	go func() { <-p.wait; post(p.action) }()
	return filter.Continue
}

func init() { filter.Register[later]("later", filter.Access) }

// holder holds the response's headers, and replies later.
type holder struct{ post func(func() filter.Action) }

func (p *holder) OnRequestHeaders(s filter.Stream, _ filter.RequestHeaders, _ bool) filter.Action {
	p.post = internals.Later(s)
	return filter.Continue
}

func (p *holder) OnResponseHeaders(s filter.Stream, _ filter.ResponseHeaders, _ bool) filter.Action {
	return filter.Go(func(context.Context) filter.Action {
		p.post(func() filter.Action { return filter.Reply(503, "held") }) // waits until this function has decided
		return filter.WaitPrefix(100)
	})
}

func (p *holder) OnResponse(s filter.Stream, h filter.ResponseHeaders, b filter.Body) filter.Action {
	return filter.Fail(errors.New("the reply was to come first"))
}

// trailing pipes, and sees the trailers afterwards.
type trailing struct{}

func (p *trailing) OnResponseHeaders(s filter.Stream, _ filter.ResponseHeaders, _ bool) filter.Action {
	return filter.Pipe(func(_ context.Context, w io.Writer, r io.Reader) error { _, err := io.Copy(w, r); return err })
}

func (p *trailing) OnResponseTrailers(s filter.Stream, h filter.Headers) filter.Action {
	h.Set("x-t", h.Get("x-t")+"!")
	return filter.Continue
}

func init() {
	filter.Register[holder]("holder", filter.Observe)
	filter.Register[trailing]("trailing", filter.Observe)
}

func TestTrailersAfterPipe(t *testing.T) {
	for _, body := range []string{"", "abc"} {
		t.Run(fmt.Sprintf("%q", body), func(t *testing.T) {
			h := filtertest.New(t, &trailing{}, &trailing{})
			h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Trailer", "x-t")
				io.WriteString(w, body)
				w.Header().Set("x-t", "1")
			})
			if r := h.Get("/"); r.Body != body || r.Trailer.Get("x-t") != "1!!" {
				t.Errorf(`r.Body = %q, want %q; r.Trailer.Get("x-t") = %q, want %q: %v`,
					r.Body, body, r.Trailer.Get("x-t"), "1!!", r.Trailer)
			}
		})
	}
}

func TestReplyLater(t *testing.T) {
	sink := &posts{c: make(chan func(), 9)}
	ps := []chain.Plugin{{Name: "holder", Reg: filter.Lookup("holder"), Config: &holder{}}}
	st := chain.New(ps, chain.Options{}).Start(sink, sink)
	fill(st)
	st.Headers(chain.Request, true)
	st.Headers(chain.Response, false)
	st.Data(chain.Response, []byte("not all"), false)
	for !st.Replied {
		(<-sink.c)()
	}
	if s := internals.Stream(&st.Stream, 0).ResponseHeaders().Status(); s != 503 {
		t.Errorf("Status() = %d, want 503", s)
	}
	st.Done()

	p := &later{wait: make(chan struct{}), action: func() filter.Action { return filter.Reply(503, "late") }}
	h := filtertest.New(t, p, &slow{p.wait, t.Context()})
	if r := h.Post("/", "x"); r.Status != 503 || r.Body != "late" {
		t.Errorf("r.Status = %d, want 503; r.Body = %q, want %q", r.Status, r.Body, "late")
	}
	p.wait, p.action = make(chan struct{}), func() filter.Action { return filter.Reset("abort") }
	h = filtertest.New(t, p, &slow{p.wait, t.Context()})
	if r := h.Post("/", "x"); r.Reset != "abort" {
		t.Errorf("%d: r.Reset = %q, want %q", r.Status, r.Reset, "abort")
	}
}

// posts keeps what is posted to the stream's thread.
type posts struct {
	dead
	c chan func()
}

func (p *posts) Post(f func()) { p.c <- f }

// slow never lets the request's body go.
type slow struct {
	started chan struct{}
	ctx     context.Context
}

func (p *slow) OnRequestBody(filter.Stream, filter.Body, bool) filter.Action {
	close(p.started)
	return filter.Go(func(context.Context) filter.Action {
		select {
		case <-p.ctx.Done():
		case <-time.After(30 * time.Second):
		}
		return filter.Reply(500, "too late")
	})
}

func init() { filter.Register[slow]("slow", filter.Observe) }
