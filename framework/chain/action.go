package chain

import (
	"bytes"

	"mosn.io/moe/framework/internal/core"
)

// apply does what the plugin at d.idx decided about what is in flight.
func (st *Stream) apply(di core.Direction, a core.Action) {
	d := &st.d[di]
	if st.over || d.stage == dead {
		return // the stream ended, or was answered, while the plugin decided
	}
	d.used = true
	p := d.current(di)
	switch a.Kind {
	case core.Go:
		st.suspend(di, d, a.P.Go)
		return
	case core.Reply:
		st.replied(di, p, d.idx, a.P)
		return
	case core.Unauthenticated:
		if !st.lacks(di, d, a.P) {
			st.replied(di, p, d.idx, a.P)
			return
		}
	case core.Again:
		st.joinErr = a.P.Err
		return
	case core.Reset:
		st.reset(a.P.Details)
		return
	case core.WaitBody:
		switch d.stage {
		case atHeaders:
			st.holdHeaders(di, d, a.P.Prefix)
			return
		case atWhole:
			if !d.bufEnd {
				st.holdOn(di, d, a.P.Prefix)
				return
			}
			fallthrough
		default:
			st.chain.report(p, "returns WaitBody from "+d.phase(di)+", where no more body can follow")
		}
	case core.Pipe:
		switch {
		case d.stage != atHeaders && d.stage != atWhole:
			st.chain.report(p, "returns Pipe from "+d.phase(di)+", where the headers have gone")
		case d.hEnd && (d.stage == atHeaders || !st.hasBody(di)): // there is nothing to pipe
		default:
			st.addPipe(di, d, a.P)
			if d.stage == atWhole {
				st.pass(di, d, true)
				return
			}
		}
	}
	st.proceed(di, d)
}

func (st *Stream) hasBody(di core.Direction) bool {
	st.Mu.Lock()
	defer st.Mu.Unlock()
	return len(st.B[di].Data) > 0
}

// proceed passes what is in flight on to the next plugin.
func (st *Stream) proceed(di core.Direction, d *dir) {
	switch d.stage {
	case atHeaders:
		if !d.hEnd && st.chain.resizes {
			st.forgetLength(di, d)
		}
		d.idx++ // the next turn takes the block
	case atTrailers:
		d.idx++
	case atData:
		before := len(d.cur)
		var dirty bool
		d.cur, dirty = st.takeBody(di)
		if dirty && len(d.cur) != before {
			d.resized(d.plugin(di, d.idx), len(d.cur)-before)
		}
		d.idx++
	case atWhole:
		st.pass(di, d, false)
	}
}

// holdHeaders keeps the headers at the plugin until the body is there.
func (st *Stream) holdHeaders(di core.Direction, d *dir, prefix int) {
	p := d.plugin(di, d.idx)
	if di == Request && st.own[p].req == nil || di == Response && st.own[p].resp == nil {
		st.chain.report(p, "returns WaitBody without OnRequest or OnResponse")
		st.reply(di, d.idx, failed, st.chain.details[p])
		return
	}
	st.freeze(di.Headers())
	if di == Request {
		st.passed = p
	}
	d.hold, d.prefix, d.buf, d.limit = d.idx, prefix, nil, st.Host.BufferLimit()
	if d.limit > 0 && prefix > d.limit {
		d.prefix = d.limit
	}
	if d.hEnd {
		d.bufEnd, d.stage = true, atWhole
		return
	}
	st.next(di, d)
}

// holdOn waits for more of the body; what the plugin left of it stays.
func (st *Stream) holdOn(di core.Direction, d *dir, prefix int) {
	st.freeze(di.Headers())
	before := len(d.buf)
	data, _ := st.takeBody(di)
	if len(data) != before {
		d.resized(d.plugin(di, d.idx), len(data)-before)
	}
	if d.buf = bytes.Clone(data); prefix > 0 {
		prefix += len(d.buf)
	}
	d.prefix = prefix
	st.next(di, d)
}

// collect adds the chunk in flight to the body that is held.
func (st *Stream) collect(di core.Direction, d *dir) {
	switch {
	case len(d.buf) == 0 && d.end:
		d.buf = d.cur
	case len(d.buf) == 0:
		d.buf = append(make([]byte, 0, st.expect(di, d)), d.cur...)
	default:
		d.buf = append(d.buf, d.cur...)
	}
	d.cur, d.bufEnd = nil, d.end
	enough := d.prefix > 0 && len(d.buf) >= d.prefix
	switch {
	case d.limit > 0 && len(d.buf) > d.limit && !enough:
		st.tooLarge(di, d)
	case d.end || enough:
		d.stage, d.idx = atWhole, d.hold
	default:
		st.next(di, d)
	}
}

// expect is how much memory to set aside for a body that is held.
func (st *Stream) expect(di core.Direction, d *dir) int {
	n := int64(0)
	if length, ok := st.contentLength(di); ok {
		n = length
	}
	if d.prefix > 0 {
		n = min(n, int64(d.prefix))
	}
	bound := int64(1 << 20) // a peer that announces much has not sent it yet
	if d.limit > 0 {
		bound = min(bound, int64(d.limit))
	}
	return int(max(min(n, bound), int64(len(d.cur))))
}

// pass lets go of the headers and of the body that were held. With piped, the plugin's own pipe takes the body.
func (st *Stream) pass(di core.Direction, d *dir, piped bool) {
	before, next := len(d.buf), d.idx+1
	var dirty bool
	d.cur, dirty = st.takeBody(di)
	if dirty && len(d.cur) != before {
		d.resized(d.plugin(di, d.idx), len(d.cur)-before)
	}
	if piped {
		next = d.idx
	} else {
		st.fitLength(di, d, dirty)
	}
	st.freeze(di.Headers())
	d.end = d.bufEnd && !d.trail
	d.hEnd = d.hEnd && len(d.cur) == 0
	d.have = !d.hEnd && (len(d.cur) > 0 || d.end)
	d.hold, d.buf = -1, nil
	d.base, d.tbase, d.stage = next, next, atHeaders
	d.idx++
}
