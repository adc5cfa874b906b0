package nethttp

import (
	"bytes"
	"context"
	"maps"

	"mosn.io/moe/framework/filter"
)

// OnResponseHeaders hands the upstream's answer to next.
func (x *exchange) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, end bool) filter.Action {
	if x.ctx == nil {
		return filter.Continue // it is for plugins that have passed the request on, and this one did not see it
	}
	return filter.Go(func(context.Context) filter.Action {
		a := &answer{h.Status(), h.HTTP()}
		x.mu.Lock()
		x.answer = a
		x.back.put(nil, end)
		return x.responseTurn(h, nil)
	})
}

// OnResponse hands over a piece of a body whose headers cannot go on yet.
func (x *exchange) OnResponse(_ filter.Stream, h filter.ResponseHeaders, b filter.Body) filter.Action {
	return filter.Go(func(context.Context) filter.Action {
		p, complete := b.Bytes(), b.Complete()
		x.mu.Lock()
		x.back.put(p, complete)
		return x.responseTurn(h, &b)
	})
}

// responseTurn waits for what the handler makes of the answer, of whose body b is a piece if it is not nil. It is
// called with mu held and releases it.
func (x *exchange) responseTurn(h filter.ResponseHeaders, b *filter.Body) filter.Action {
	defer x.unlock()
	complete, out := x.back.eof, &x.down.out
	if !x.turn(func() bool { return x.down.ready() && (!complete || len(out.data) > 0) || x.back.hungry() }) {
		return filter.Continue
	}
	switch {
	case x.ended && (x.panicked != nil || x.aborted || !complete):
		return x.reply() // or nothing; the rest of the upstream's body is not wanted
	case x.down.status == 0:
		if b != nil {
			b.Set(nil)
		}
		return filter.WaitPrefix(1)
	case b == nil && complete && len(out.data) > 0:
		return filter.WaitBody // which is at once: a body where there was none
	}
	x.committed = true
	if x.answer.status != x.down.status {
		h.SetStatus(x.down.status)
	}
	change(h.Headers, x.answer.header, x.down.settled)
	x.changed.Broadcast()
	if x.ended && b == nil {
		return filter.Continue
	}
	if x.ended && x.s.ResponseTrailers().Len() == 0 {
		b.Set(out.take())
		return filter.Continue
	}
	switch {
	case b == nil:
	case complete && b.Len() == 0: // there is no pipe without a body; the pipe discards this
		b.Set(bytes.Clone(out.data))
	default:
		b.Set(nil)
	}
	return internals.KeepLength(filter.Pipe(x.carryDown))
}

// OnResponseTrailers changes the trailers to what the handler has made of them. One that it does not speak of stays, so
// that a handler that has never heard of trailers does no harm to gRPC.
func (x *exchange) OnResponseTrailers(_ filter.Stream, t filter.Headers) filter.Action {
	x.mu.Lock()
	defer x.unlock()
	if x.committed {
		after := t.HTTP()
		maps.Copy(after, x.down.trailer)
		change(t, t.HTTP(), after)
	}
	return filter.Continue
}
