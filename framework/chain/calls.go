package chain

import (
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// The functions here call the phase of the plugin whose turn it is, and do what it decides.

func (st *Stream) callHeaders(d *direction) {
	i := d.index(d.at)
	h := &st.handlers[i]
	var a filter.Action
	switch {
	case d.dir == Request && h.reqH != nil:
		s := st.giveBlock(i, core.RequestHeaders)
		st.begins(d)
		a = h.reqH.OnRequestHeaders(s, s.RequestHeaders(), d.headersEnd)
	case d.dir == Response && h.respH != nil:
		s := st.giveBlock(i, core.ResponseHeaders)
		st.begins(d)
		a = h.respH.OnResponseHeaders(s, s.ResponseHeaders(), d.headersEnd)
	case h.whole(d.dir):
		a = filter.WaitBody
	}
	if c := st.returns(d, internals.Action(a)); c.Kind != core.Continue || st.over || st.chain.resizes {
		st.apply(d, c)
	} else {
		d.at++ // the next turn takes the block
	}
}

func (st *Stream) callBody(d *direction) {
	i := d.index(d.at)
	h := &st.handlers[i]
	if d.dir == Request && h.reqB == nil || d.dir == Response && h.respB == nil {
		d.at++
		return
	}
	st.giveBody(d.dir, i, d.flight.chunk, false)
	s, b := st.handle(i), internals.Body(&st.Stream, int(i), d.dir)
	st.begins(d)
	var a filter.Action
	if d.dir == Request {
		a = h.reqB.OnRequestBody(s, b, d.flight.end)
	} else {
		a = h.respB.OnResponseBody(s, b, d.flight.end)
	}
	st.apply(d, st.returns(d, internals.Action(a)))
}

func (st *Stream) callTrailers(d *direction) {
	i := d.index(d.at)
	a := filter.Continue
	if h := &st.handlers[i]; h.trailers(d.dir) {
		s := st.giveBlock(i, d.dir.Trailers())
		st.begins(d)
		if d.dir == Request {
			a = h.reqT.OnRequestTrailers(s, s.RequestTrailers())
		} else {
			a = h.respT.OnResponseTrailers(s, s.ResponseTrailers())
		}
	}
	st.apply(d, st.returns(d, internals.Action(a)))
}

func (st *Stream) callWhole(d *direction) {
	i := d.index(d.at)
	h := &st.handlers[i]
	s := st.giveBlock(i, d.dir.Headers())
	st.begins(d)
	st.giveBody(d.dir, i, d.held.body, d.held.whole)
	b := internals.Body(&st.Stream, int(i), d.dir)
	var a filter.Action
	if d.dir == Request {
		a = h.req.OnRequest(s, s.RequestHeaders(), b)
	} else {
		a = h.resp.OnResponse(s, s.ResponseHeaders(), b)
	}
	st.apply(d, st.returns(d, internals.Action(a)))
}

// returns is called after a plugin's method has returned. What it gives to Go counts to its time.
func (st *Stream) returns(d *direction, a core.Action) core.Action {
	st.calling = false
	if st.Observer != nil && a.Kind != core.Go {
		st.observeEnd(d, false)
	}
	return a
}
