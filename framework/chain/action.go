package chain

import (
	"bytes"

	"mosn.io/moe/framework/internal/core"
)

// apply does what the plugin whose turn it is decided about what is in flight.
func (st *Stream) apply(d *direction, a core.Action) {
	if st.over || d.stage == dead {
		return // the stream ended, or was answered, while the plugin decided
	}
	d.used = true
	i := d.current()
	switch a.Kind {
	case core.Go:
		st.suspendFor(d, WaitsForGo, a.P.Go)
		return
	case core.Reply:
		st.replied(d, i, d.at, a.P)
		return
	case core.Unauthenticated:
		if !st.noteUnauthenticated(d, a.P) {
			st.replied(d, i, d.at, a.P)
			return
		}
	case core.Again:
		st.consumer.err = a.P.Err
		return
	case core.Reset:
		st.reset(a.P.Details)
		return
	case core.WaitBody:
		switch d.stage {
		case atHeaders:
			st.holdHeaders(d, a.P.Prefix)
			return
		case atWhole:
			if !d.held.whole {
				st.holdOn(d, a.P.Prefix)
				return
			}
			fallthrough
		default:
			st.misuse(i, "returns WaitBody from "+d.phase().String()+", where no more body can follow")
		}
	case core.Pipe:
		switch {
		case d.stage != atHeaders && d.stage != atWhole:
			st.misuse(i, "returns Pipe from "+d.phase().String()+", where the headers have gone")
		case d.headersEnd && (d.stage == atHeaders || !st.hasBody(d.dir)): // there is nothing to pipe
		default:
			st.addPipe(d, a.P)
			if d.stage == atWhole {
				st.pass(d, true)
				return
			}
		}
	}
	st.proceed(d)
}

func (st *Stream) hasBody(dir core.Direction) bool {
	st.Mu.Lock()
	defer st.Mu.Unlock()
	return len(st.B[dir].Data) > 0
}

// proceed passes what is in flight on to the next plugin.
func (st *Stream) proceed(d *direction) {
	switch d.stage {
	case atHeaders:
		if !d.headersEnd && st.chain.resizes {
			st.forgetLength(d)
		}
		d.at++ // the next turn takes the block
	case atTrailers:
		d.at++
	case atBody:
		before := len(d.flight.chunk)
		var dirty bool
		d.flight.chunk, dirty = st.takeBody(d.dir)
		if dirty && len(d.flight.chunk) != before {
			d.resized(d.index(d.at), len(d.flight.chunk)-before)
		}
		d.at++
	case atWhole:
		st.pass(d, false)
	}
}

// holdHeaders has the plugin whose turn it is hold the headers until the body is there.
func (st *Stream) holdHeaders(d *direction, prefix int) {
	i := d.index(d.at)
	if !st.handlers[i].whole(d.dir) {
		st.misuse(i, "returns WaitBody without OnRequest or OnResponse")
		st.reply(d, d.at, failed, st.chain.details[i])
		return
	}
	st.freeze(d.dir.Headers())
	if d.dir == Request {
		st.passed = d.at
	}
	d.held = held{holds: true, by: d.at, prefix: prefix, limit: st.Host.BufferLimit()}
	if d.held.limit > 0 && prefix > d.held.limit {
		d.held.prefix = d.held.limit
	}
	if !d.headersEnd && st.isTunnel(d.dir) {
		d.held.tunnel = true
	}
	if d.headersEnd || d.held.tunnel {
		d.held.whole, d.stage = true, atWhole
		return
	}
	if st.Observer != nil {
		st.observeHold(d)
	}
	st.next(d)
}

// holdOn waits for more of the body; what the plugin left of it stays.
func (st *Stream) holdOn(d *direction, prefix int) {
	st.freeze(d.dir.Headers())
	before := len(d.held.body)
	data, _ := st.takeBody(d.dir)
	if len(data) != before {
		d.resized(d.index(d.at), len(data)-before)
	}
	if d.held.body = bytes.Clone(data); prefix > 0 {
		prefix += len(d.held.body)
	}
	d.held.prefix = prefix
	if st.Observer != nil {
		st.observeHold(d)
	}
	st.next(d)
}

// collect adds the chunk in flight to the body that is held.
func (st *Stream) collect(d *direction) {
	h, chunk := &d.held, d.flight.chunk
	switch {
	case len(h.body) == 0 && d.flight.end:
		h.body = chunk
	case len(h.body) == 0:
		h.body = append(make([]byte, 0, st.expect(d)), chunk...)
	default:
		h.body = append(h.body, chunk...)
	}
	d.flight.chunk, h.whole = nil, d.flight.end
	enough := h.prefix > 0 && len(h.body) >= h.prefix
	switch {
	case h.limit > 0 && len(h.body) > h.limit && !enough:
		st.tooLarge(d)
	case h.whole || enough:
		d.stage, d.at = atWhole, h.by
	default:
		st.next(d)
	}
}

// expect is how much memory to set aside for a body that is held.
func (st *Stream) expect(d *direction) int {
	n := int64(0)
	if length, ok := st.contentLength(d.dir); ok {
		n = length
	}
	if d.held.prefix > 0 {
		n = min(n, int64(d.held.prefix))
	}
	bound := int64(1 << 20) // a peer that announces much has not sent it yet
	if d.held.limit > 0 {
		bound = min(bound, int64(d.held.limit))
	}
	return int(max(min(n, bound), int64(len(d.flight.chunk))))
}

// pass lets go of the headers and of the body that were held. With piped, the plugin's own pipe takes the body.
func (st *Stream) pass(d *direction, piped bool) {
	i, before, behind := d.index(d.at), len(d.held.body), d.at+1
	body, dirty := st.takeBody(d.dir)
	tunnel := d.held.tunnel
	if tunnel {
		if len(body) > 0 {
			st.misuse(i, "gives a tunnel a body: "+tunnelBody)
		}
		body, dirty = nil, false
	}
	d.flight.chunk = body
	if dirty && len(body) != before {
		d.resized(i, len(body)-before)
	}
	if piped {
		behind = d.at
	} else {
		st.fitLength(d, dirty)
	}
	st.freeze(d.dir.Headers())
	f := &d.flight
	f.end = d.held.whole && !f.trailers && !tunnel
	d.headersEnd = d.headersEnd && len(f.chunk) == 0
	f.hasChunk = !d.headersEnd && (len(f.chunk) > 0 || f.end)
	f.from, f.trailersFrom = behind, behind
	d.held, d.stage = held{}, atHeaders
	d.at++
}
