package chain

import (
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// run moves a direction on as far as it goes.
func (st *Stream) run(d *direction) {
	st.runs++
	ok := false
	defer st.endRun(d, &ok)
	if st.broken != 0 && !st.over {
		st.replyBroken(d)
	}
	st.loop(d)
	ok = true
}

func (st *Stream) loop(d *direction) {
	for !d.suspended && !st.over {
		from := d.stage
		switch from {
		case idle:
			if !st.nextEvent(d) {
				return
			}
		case atHeaders:
			st.headersStep(d)
		case atBody:
			st.bodyStep(d)
		case atTrailers:
			st.trailersStep(d)
		case atWhole:
			st.callWhole(d)
		default:
			return
		}
		if verify != nil {
			verify(st, d, from)
		}
	}
}

// nextEvent puts in flight what waits, if anything does.
func (st *Stream) nextEvent(d *direction) bool {
	if st.flushIdle(d) {
		return true
	}
	if !d.queue.empty() {
		st.begin(d, d.queue.pop())
		return true
	}
	if d.reader != nil && !st.high {
		st.pump(d)
	}
	if d.held.holds && !st.collected[d.dir] {
		st.awaitBody(d)
	}
	return false
}

func (st *Stream) headersStep(d *direction) {
	if d.dir == Request {
		if d.at == d.first && (!d.headersEnd || st.home.options.Part.Follows) && !st.admit(d) {
			return
		}
		if !st.pastGates(d) {
			return
		}
	}
	if d.at = st.chain.next[d.dir][headersMessage][d.at]; d.at < d.n {
		if kinds := st.chain.schemes.kinds; kinds != nil && d.dir == Request && kinds[d.at] != noScheme && st.skips(d.index(d.at)) {
			d.at++
			return
		}
		st.callHeaders(d)
		return
	}
	if d.dir == Request {
		if st.home.options.Part.Leads && !st.leave(d) {
			return
		}
		st.passed = d.n
	} else if st.Observer != nil {
		st.annotate(st.Observer)
	}
	d.sent = true
	st.beforeHeaders(d)
	st.sink.Headers(d.dir, d.headersEnd)
	st.next(d)
}

// admit lets the request's headers come to the first plugin. It reports false when the request was answered.
func (st *Stream) admit(d *direction) bool {
	if !d.headersEnd && st.hidesBody() {
		st.reply(d, d.at, badUpgrade, "moe.upgrade_with_body")
		return false
	}
	return !st.home.options.Part.Follows || st.enter(d)
}

// pastGates has the request pass the points between plugins where the chain itself decides. It reports false when the
// request was answered, or waits.
func (st *Stream) pastGates(d *direction) bool {
	if d.at >= st.chain.schemes.end && !st.tried.done && !st.authenticated(d) {
		return false
	}
	return d.at < st.chain.switchAt || st.consumer.settled || st.switchChain(d)
}

func (st *Stream) bodyStep(d *direction) {
	stop := d.stop()
	if at, p := st.nextBody(d); at < stop {
		d.at = at
		switch {
		case p != nil:
			st.feedPipe(d, p, d.flight.chunk, d.flight.end)
		case len(d.flight.chunk) == 0 && !d.flight.end:
			d.at++
		default:
			st.callBody(d)
		}
		return
	}
	d.at, d.flight.hasChunk = stop, false
	if d.held.holds {
		st.collect(d)
		return
	}
	if len(d.flight.chunk) > 0 || d.flight.end {
		if !st.beforeData(d) {
			return
		}
		p := d.flight.chunk
		d.flight.chunk = nil
		st.sink.Data(d.dir, p, d.flight.end)
	}
	st.next(d)
}

// nextBody returns the next position that takes chunks, and its pipe if that is why.
func (st *Stream) nextBody(d *direction) (position, *pipe) {
	at := st.chain.next[d.dir][bodyMessage][d.at]
	for _, p := range d.pipes.all {
		if p.at >= d.at && p.at <= at {
			at = p.at
		}
	}
	if at == d.n {
		return at, nil
	}
	return at, d.pipes.at(at)
}

func (st *Stream) trailersStep(d *direction) {
	stop := d.stop()
	at := st.chain.next[d.dir][trailersMessage][d.at]
	for _, p := range d.pipes.all {
		if p.at >= d.at && p.at < at && !p.fedEnd {
			at = p.at
		}
	}
	if at < stop {
		d.at = at
		if p := d.pipes.at(at); p != nil && !p.fedEnd {
			st.feedPipe(d, p, nil, true)
			return
		}
		st.callTrailers(d)
		return
	}
	st.freeze(d.dir.Trailers())
	if d.held.holds {
		d.held.whole, d.stage, d.at = true, atWhole, d.held.by
		return
	}
	if !st.beforeTrailers(d) {
		return
	}
	d.flight.trailers, d.stage = false, idle
	st.sink.Trailers(d.dir)
}

// next goes on with what is behind the step that is over.
func (st *Stream) next(d *direction) {
	switch {
	case st.over || d.stage == dead:
	case d.flight.hasChunk:
		d.stage, d.at = atBody, d.flight.from
	case len(d.pipes.fed) > 0:
		st.resumePipe(d)
	case d.flight.trailers:
		d.stage, d.at = atTrailers, d.flight.trailersFrom
	default:
		d.stage = idle
	}
}

// freeze takes a block back from the plugin whose turn it was. What follows on this thread sees all its changes.
func (st *Stream) freeze(block int) {
	st.Mu.Lock()
	st.H[block].Owner.Store(0)
	st.Mu.Unlock()
}

// giveBlock makes it plugin i's turn to change a block. The next turn takes it back.
func (st *Stream) giveBlock(i index, block int) filter.Stream {
	st.H[block].Owner.Store(int32(i) + 1)
	return st.handle(i)
}

// giveBody makes a body plugin i's.
func (st *Stream) giveBody(dir core.Direction, i index, data []byte, complete bool) {
	st.Mu.Lock()
	st.B[dir] = core.Body{Data: data, Complete: complete, Owner: int32(i) + 1}
	st.Mu.Unlock()
}

// takeBody takes it back.
func (st *Stream) takeBody(dir core.Direction) (data []byte, dirty bool) {
	st.Mu.Lock()
	data, dirty = st.B[dir].Data, st.B[dir].Dirty
	st.B[dir] = core.Body{}
	st.Mu.Unlock()
	return data, dirty
}
