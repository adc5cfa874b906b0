package chain_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

var readerBody = bytes.Repeat([]byte("0123456789"), 7000)

// knownReply reports whether p is the body of a reply that the plugins of this test, or the chain, give.
func knownReply(p []byte, head bool) bool {
	switch string(p) {
	case "", "denied", "Payload Too Large", "Internal Server Error", "filter timeout", string(readerBody):
		return true
	}
	return false
}

// chaos is a plugin that behaves at random. Its phases pass bodies on unchanged, so that the host can compare.
type chaos struct {
	seed  uint64
	rare  int // one in so many actions ends the stream
	never bool
	h     *strict

	completed atomic.Int32
}

// life is its handler of one stream.
type life struct {
	*chaos
	mu     sync.Mutex
	r      *rand.Rand
	passed atomic.Bool // the request's headers
	seen   [2]track
}

// track follows one direction.
type track struct {
	headers, end, held, piped bool
	bytes                     []byte
}

func (c *chaos) newStream(filter.Stream) *life {
	return &life{chaos: c, r: rand.New(rand.NewPCG(c.seed, 7))}
}

func (l *life) pick(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.IntN(n)
}

func (l *life) note(di core.Direction, p []byte, end bool) {
	t := &l.seen[di]
	if t.end {
		l.h.bug("a plugin sees more after the end (%d)", di)
	}
	t.bytes = append(t.bytes, p...)
	t.end = end
	in := l.h.input[di]
	if di == chain.Response && l.h.st.Replied {
		return
	}
	if !bytes.HasPrefix(in, t.bytes) || end && len(t.bytes) != len(in) && !l.h.trails[di] {
		l.h.bug("a plugin sees %d of %d bytes (%d, end %v)", len(t.bytes), len(in), di, end)
	}
}

// ending is an action that ends the stream's usual course, or false.
func (l *life) ending() (filter.Action, bool) {
	if l.pick(l.rare) > 0 {
		return filter.Action{}, false
	}
	switch l.pick(9) {
	case 0:
		panic("chaos")
	case 1:
		return filter.Fail(errors.New("chaos")), true
	case 2:
		return filter.ReplyReader(200, io.NopCloser(bytes.NewReader(readerBody))), true
	case 3:
		return filter.Reset("chaos"), true
	case 4:
		if l.never {
			return filter.Go(func(ctx context.Context) filter.Action { <-ctx.Done(); return filter.Continue }), true
		}
	case 5:
		return filter.Go(func(context.Context) filter.Action { panic("chaos") }), true
	case 6:
		return filter.Go(func(context.Context) filter.Action { runtime.Goexit(); return filter.Continue }), true
	}
	return filter.Reply(403, "denied", filter.WithHeader("content-type", "text/x")), true
}

func (l *life) maybeLater(f func() filter.Action) filter.Action {
	switch l.pick(6) {
	case 0, 1:
		return filter.Go(func(context.Context) filter.Action { return f() })
	case 2:
		d := time.Duration(l.pick(40)) * time.Microsecond
		return filter.Go(func(context.Context) filter.Action {
			time.Sleep(d)
			return filter.Go(func(context.Context) filter.Action { return f() })
		})
	}
	return f()
}

func (l *life) onHeaders(di core.Direction, end bool) filter.Action {
	t := &l.seen[di]
	if t.headers {
		l.h.bug("headers twice (%d)", di)
	}
	if di == chain.Response && !l.passed.Load() {
		l.h.bug("a plugin sees the response to a request it has not passed on")
	}
	t.headers = true
	if end {
		l.note(di, nil, true)
	}
	return l.maybeLater(func() filter.Action {
		if a, ok := l.ending(); ok {
			return a
		}
		switch l.pick(6) {
		case 0:
			t.held = true
			return filter.WaitBody
		case 1:
			t.held = true
			return filter.WaitPrefix(1 + l.pick(40))
		case 2:
			t.piped = !end
			l.pass(di)
			return l.pipe(di)
		}
		l.pass(di)
		return filter.Continue
	})
}

func (l *life) pass(di core.Direction) {
	if di == chain.Request {
		l.passed.Store(true)
	}
}

// pipe copies, in one of several manners.
func (l *life) pipe(di core.Direction) filter.Action {
	how, size := l.pick(6), 1+l.pick(64)
	return filter.Pipe(func(ctx context.Context, w io.Writer, r io.Reader) error {
		switch how {
		case 0: // all at once
			all, err := io.ReadAll(r)
			w.Write(all)
			return err
		case 1: // in little pieces
			buf := make([]byte, size)
			for {
				n, err := r.Read(buf)
				for i := range n {
					w.Write(buf[i : i+1])
				}
				if err != nil {
					return l.eof(err)
				}
			}
		case 2:
			if l.pick(l.rare) == 0 {
				panic("chaos")
			}
		case 3:
			if l.pick(l.rare) == 0 {
				return errors.New("chaos")
			}
		}
		_, err := io.Copy(w, r)
		return l.eof(err)
	})
}

func (l *life) eof(err error) error {
	if err == io.EOF || errors.Is(err, filter.ErrStreamDone) {
		return nil
	}
	return err
}

func (l *life) onBody(di core.Direction, b filter.Body, end bool) filter.Action {
	if t := &l.seen[di]; !t.headers || t.piped {
		l.h.bug("body %d: headers %v, piped %v", di, t.headers, t.piped)
	}
	if di == chain.Request && !l.passed.Load() {
		l.h.bug("a chunk of a held body")
	}
	l.note(di, b.Bytes(), end)
	return l.maybeLater(func() filter.Action {
		if a, ok := l.ending(); ok {
			return a
		}
		if l.pick(2) == 0 {
			b.Set(bytes.Clone(b.Bytes()))
		}
		return filter.Continue
	})
}

func (l *life) onTrailers(di core.Direction, t filter.Headers) filter.Action {
	if t.Get("x-t") != "1" {
		l.h.bug("trailers are not there")
	}
	l.note(di, nil, true)
	return l.maybeLater(func() filter.Action {
		if a, ok := l.ending(); ok {
			return a
		}
		return filter.Continue
	})
}

func (l *life) onWhole(di core.Direction, b filter.Body) filter.Action {
	t := &l.seen[di]
	if !t.held {
		l.h.bug("OnRequest or OnResponse without WaitBody")
	}
	whole, complete := b.Bytes(), b.Complete()
	if !t.end {
		l.note(di, whole[len(t.bytes):], complete && !l.h.trails[di])
	}
	return l.maybeLater(func() filter.Action {
		if a, ok := l.ending(); ok {
			return a
		}
		switch l.pick(6) {
		case 0:
			if !complete {
				return filter.WaitPrefix(1 + l.pick(40))
			}
		case 1:
			if !complete {
				return filter.WaitBody
			}
		case 2:
			b.Set(bytes.Clone(whole))
		case 3:
			t.piped = true
			l.pass(di)
			return l.pipe(di)
		}
		l.pass(di)
		return filter.Continue
	})
}

func (l *life) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, end bool) filter.Action {
	h.Set("x-seen", "1")
	return l.onHeaders(chain.Request, end)
}

func (l *life) OnRequestBody(_ filter.Stream, b filter.Body, end bool) filter.Action {
	return l.onBody(chain.Request, b, end)
}

func (l *life) OnRequestTrailers(_ filter.Stream, t filter.Headers) filter.Action {
	return l.onTrailers(chain.Request, t)
}

func (l *life) OnRequest(_ filter.Stream, _ filter.RequestHeaders, b filter.Body) filter.Action {
	return l.onWhole(chain.Request, b)
}

func (l *life) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, end bool) filter.Action {
	return l.onHeaders(chain.Response, end)
}

func (l *life) OnResponseBody(_ filter.Stream, b filter.Body, end bool) filter.Action {
	return l.onBody(chain.Response, b, end)
}

func (l *life) OnResponseTrailers(_ filter.Stream, t filter.Headers) filter.Action {
	return l.onTrailers(chain.Response, t)
}

func (l *life) OnResponse(_ filter.Stream, _ filter.ResponseHeaders, b filter.Body) filter.Action {
	return l.onWhole(chain.Response, b)
}
func (l *life) OnComplete(s filter.Stream) { l.completed.Add(1) }

// slim is chaos in the headers of the response and the body of the request only, to leave gaps in the chain.
type slim struct{ chaos }

type slimLife struct{ l *life }

func (c *slim) newStream(s filter.Stream) *slimLife { return &slimLife{c.chaos.newStream(s)} }
func (s *slimLife) OnRequestBody(_ filter.Stream, b filter.Body, end bool) filter.Action {
	s.l.seen[0].headers = true
	s.l.passed.Store(true)
	return s.l.onBody(chain.Request, b, end)
}

func (s *slimLife) OnResponseHeaders(_ filter.Stream, _ filter.ResponseHeaders, end bool) filter.Action {
	if s.l.passed.Store(true); s.l.pick(s.l.rare) == 0 {
		return filter.Reply(500, "denied")
	}
	return filter.Continue
}
func (s *slimLife) OnComplete(filter.Stream) { s.l.completed.Add(1) }

func init() {
	filter.RegisterPerStream("chaos", filter.Observe, (*chaos).newStream)
	filter.RegisterPerStream("slim", filter.Observe, (*slim).newStream)
}
