package chain

import (
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// The functions here call the phase of the plugin at d.idx and do what it decides.

func (st *Stream) callHeaders(di core.Direction, d *dir) {
	p := d.plugin(di, d.idx)
	ph := &st.own[p]
	var a filter.Action
	if di == Request {
		if ph.reqH != nil {
			s := st.turn(p, core.RequestHeaders)
			st.begins(d)
			a = ph.reqH.OnRequestHeaders(s, s.RequestHeaders(), d.hEnd)
		} else if ph.req != nil {
			a = filter.WaitBody
		}
	} else {
		if ph.respH != nil {
			s := st.turn(p, core.ResponseHeaders)
			st.begins(d)
			a = ph.respH.OnResponseHeaders(s, s.ResponseHeaders(), d.hEnd)
		} else if ph.resp != nil {
			a = filter.WaitBody
		}
	}
	if c := st.returns(di, d, internals.Action(a)); c.Kind != core.Continue || st.over || st.chain.resizes {
		st.apply(di, c)
	} else {
		d.idx++ // the next turn takes the block
	}
}

func (st *Stream) callData(di core.Direction, d *dir) {
	p := d.plugin(di, d.idx)
	ph := &st.own[p]
	if di == Request && ph.reqB == nil || di == Response && ph.respB == nil {
		d.idx++
		return
	}
	s := st.lend(di, p, d.cur, false)
	b := internals.Body(&st.Stream, p, di)
	st.begins(d)
	var a filter.Action
	if di == Request {
		a = ph.reqB.OnRequestBody(s, b, d.end)
	} else {
		a = ph.respB.OnResponseBody(s, b, d.end)
	}
	st.apply(di, st.returns(di, d, internals.Action(a)))
}

func (st *Stream) callTrailers(di core.Direction, d *dir) {
	p := d.plugin(di, d.idx)
	ph := &st.own[p]
	var a filter.Action
	switch {
	case di == Request && ph.reqT != nil:
		s := st.turn(p, core.RequestTrailers)
		st.begins(d)
		a = ph.reqT.OnRequestTrailers(s, s.RequestTrailers())
	case di == Response && ph.respT != nil:
		s := st.turn(p, core.ResponseTrailers)
		st.begins(d)
		a = ph.respT.OnResponseTrailers(s, s.ResponseTrailers())
	}
	st.apply(di, st.returns(di, d, internals.Action(a)))
}

func (st *Stream) callWhole(di core.Direction, d *dir) {
	p := d.plugin(di, d.idx)
	ph := &st.own[p]
	st.turn(p, di.Headers())
	s := st.lend(di, p, d.buf, d.bufEnd)
	b := internals.Body(&st.Stream, p, di)
	st.begins(d)
	var a filter.Action
	if di == Request {
		a = ph.req.OnRequest(s, s.RequestHeaders(), b)
	} else {
		a = ph.resp.OnResponse(s, s.ResponseHeaders(), b)
	}
	st.apply(di, st.returns(di, d, internals.Action(a)))
}

// returns is called after a plugin's method has returned. What it gives to Go counts to its time.
func (st *Stream) returns(di core.Direction, d *dir, c core.Action) core.Action {
	st.calling = false
	if st.Observer != nil && c.Kind != core.Go {
		st.observe(di, d)
	}
	return c
}

// phase names the phase in flight, for logs.
func (d *dir) phase(di core.Direction) string {
	if d.stage == idle || d.stage > atWhole {
		return ""
	}
	return phaseOf(di, d).String()
}
