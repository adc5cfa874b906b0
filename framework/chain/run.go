package chain

import (
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// run moves direction di on as far as it goes.
func (st *Stream) run(di core.Direction) {
	st.depth++
	defer st.leave(di)
	if st.broken != 0 && !st.over {
		st.replyBroken(di)
	}
	st.loop(di, &st.d[di])
}

// leave ends a run, and turns a panic into what that plugin's phase ends in.
func (st *Stream) leave(di core.Direction) {
	if v := recover(); v != nil {
		st.panicked(di, v)
	}
	if st.depth--; st.depth == 0 && st.gone {
		st.recycle()
	}
}

func (st *Stream) loop(di core.Direction, d *dir) {
	for !d.susp && !st.over {
		switch d.stage {
		case idle:
			if !st.nextEvent(di, d) {
				return
			}
		case atHeaders:
			st.headersStep(di, d)
		case atData:
			st.dataStep(di, d)
		case atTrailers:
			st.trailersStep(di, d)
		case atWhole:
			st.callWhole(di, d)
		default:
			return
		}
	}
}

// nextEvent puts in flight what waits, if anything does.
func (st *Stream) nextEvent(di core.Direction, d *dir) bool {
	if st.flushIdle(di, d) {
		return true
	}
	if d.qhead < len(d.queue) {
		e := d.queue[d.qhead]
		d.queue[d.qhead] = event{}
		if d.qhead++; d.qhead == len(d.queue) {
			d.queue, d.qhead = d.queue[:0], 0
		}
		st.begin(di, d, e)
		return true
	}
	if d.src != nil && !st.high {
		st.pump(d)
	}
	return false
}

// stop is the position before which body and trailers stay while a plugin holds the headers.
func (d *dir) stop() int {
	if d.hold >= 0 {
		return d.hold
	}
	return d.n
}

func (st *Stream) headersStep(di core.Direction, d *dir) {
	if di == Request && !st.pastGates(d) {
		return
	}
	if d.idx = st.chain.next[di][headersMessage][d.idx]; d.idx < d.n {
		if kinds := st.chain.schemes.kinds; kinds != nil && di == Request && kinds[d.idx] != noScheme && st.skips(d.idx) {
			d.idx++
			return
		}
		st.callHeaders(di, d)
		return
	}
	d.sent = true
	if di == Request {
		st.passed = d.n
	}
	st.beforeHeaders(di, d)
	st.sink.Headers(di, d.hEnd)
	st.next(di, d)
}

// pastGates has the request pass the points between plugins where the chain itself decides. It reports false when the
// request was answered, or waits.
func (st *Stream) pastGates(d *dir) bool {
	if d.idx >= st.chain.schemes.end && !st.tried.done && !st.authenticated(d) {
		return false
	}
	return d.idx < st.chain.joinAt || st.joined || st.join(d)
}

func (st *Stream) dataStep(di core.Direction, d *dir) {
	stop := d.stop()
	if i, p := st.nextBody(di, d); i < stop {
		d.idx = i
		switch {
		case p != nil:
			st.feedPipe(di, d, p, d.cur, d.end)
		case len(d.cur) == 0 && !d.end:
			d.idx++
		default:
			st.callData(di, d)
		}
		return
	}
	d.idx, d.have = stop, false
	if d.hold >= 0 {
		st.collect(di, d)
		return
	}
	if len(d.cur) > 0 || d.end {
		if !st.beforeData(di, d) {
			return
		}
		p := d.cur
		d.cur = nil
		st.sink.Data(di, p, d.end)
	}
	st.next(di, d)
}

// nextBody returns the next position that takes chunks, and its pipe if that is why.
func (st *Stream) nextBody(di core.Direction, d *dir) (int, *pipe) {
	i := st.chain.next[di][bodyMessage][d.idx]
	for _, p := range d.pipes {
		if p.pos >= d.idx && p.pos <= i {
			i = p.pos
		}
	}
	if i == d.n {
		return i, nil
	}
	return i, d.pipeAt(i)
}

func (st *Stream) trailersStep(di core.Direction, d *dir) {
	stop := d.stop()
	i := st.chain.next[di][trailersMessage][d.idx]
	for _, p := range d.pipes {
		if p.pos >= d.idx && p.pos < i && !p.fedEnd {
			i = p.pos
		}
	}
	if i < stop {
		d.idx = i
		if p := d.pipeAt(i); p != nil && !p.fedEnd {
			st.feedPipe(di, d, p, nil, true)
			return
		}
		st.callTrailers(di, d)
		return
	}
	st.freeze(di.Trailers())
	if d.hold >= 0 {
		d.bufEnd, d.stage, d.idx = true, atWhole, d.hold
		return
	}
	if !st.beforeTrailers(di, d) {
		return
	}
	d.trail, d.stage = false, idle
	st.sink.Trailers(di)
}

// next goes on with what follows the step that is over.
func (st *Stream) next(di core.Direction, d *dir) {
	switch {
	case st.over || d.stage == dead:
	case d.have:
		d.stage, d.idx = atData, d.base
	case len(d.busy) > 0:
		st.resumePipe(di, d)
	case d.trail:
		d.stage, d.idx = atTrailers, d.tbase
	default:
		d.stage = idle
	}
}

// plugin is the number of the plugin at a position.
func (d *dir) plugin(di core.Direction, pos int) int {
	if di == Response {
		return d.n - 1 - pos
	}
	return pos
}

// current is the plugin that the direction is at; where it waits at its end, the last one.
func (d *dir) current(di core.Direction) int { return d.plugin(di, min(d.idx, d.n-1)) }

// freeze takes a block back from the plugin whose turn it was. What follows on this thread sees all its changes.
func (st *Stream) freeze(block int) {
	st.Mu.Lock()
	st.H[block].Owner.Store(0)
	st.Mu.Unlock()
}

// turn gives plugin p a block. The next turn takes it back.
func (st *Stream) turn(p, block int) filter.Stream {
	st.H[block].Owner.Store(int32(p) + 1)
	return internals.Stream(&st.Stream, p)
}

// lend gives plugin p a body.
func (st *Stream) lend(di core.Direction, p int, data []byte, complete bool) filter.Stream {
	st.Mu.Lock()
	st.B[di] = core.Body{Data: data, Complete: complete, Owner: int32(p) + 1}
	st.Mu.Unlock()
	return internals.Stream(&st.Stream, p)
}

// takeBody takes it back.
func (st *Stream) takeBody(di core.Direction) (data []byte, dirty bool) {
	st.Mu.Lock()
	data, dirty = st.B[di].Data, st.B[di].Dirty
	st.B[di] = core.Body{}
	st.Mu.Unlock()
	return data, dirty
}
