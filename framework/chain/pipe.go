package chain

import (
	"context"
	"io"
	"slices"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/guard"
)

// What a pipe's function asks of the stream, the weightier last.
const (
	nothing = iota
	toFlush // pass on what was written
	toRead  // and then the next chunk
	toEnd   // the function has returned
)

// addPipe starts a function on the body that the plugin whose turn it is sees.
func (st *Stream) addPipe(d *direction, a *core.Payload) {
	i := d.index(d.at)
	if d.length.delta = 0; a.KeepLength {
		d.length.check, d.length.blame = true, i
	} else {
		st.removeLength(d.dir)
	}
	env := st.chain.plugins[i].Env
	p := &pipe{at: d.at, prompt: env != nil && env.Has(filter.CanPipePromptly)}
	p.wake.L = &p.mu
	gen, sink := st.Gen, st.sink
	p.post = func(ask int, err error) {
		st.post(gen, sink, func() { st.asked(d, p, ask, err) })
	}
	d.pipes.all = append(d.pipes.all, p)
	go p.run(st.handle(i).Context(), a.Pipe)
}

// at returns the pipe at a position, or nil.
func (ps *pipes) at(at position) *pipe {
	for _, p := range ps.all {
		if p.at == at {
			return p
		}
	}
	return nil
}

// feedPipe hands a chunk to p. The direction stands still until p has read it.
func (st *Stream) feedPipe(d *direction, p *pipe, chunk []byte, end bool) {
	p.fedEnd = p.fedEnd || end
	if p.done { // what it leaves unread is dropped, and what it wrote last goes in its place
		d.flight.chunk = p.take()
		if d.stage == atTrailers {
			if d.flight.hasChunk, d.flight.end = len(d.flight.chunk) > 0, false; d.flight.hasChunk {
				d.flight.from, d.flight.trailersFrom = p.at+1, p.at
				st.next(d)
			}
			return
		}
		d.at++
		return
	}
	d.flight.chunk, d.flight.hasChunk = nil, false
	if end {
		d.flight.trailersFrom = p.at // the plugin's own trailers phase follows
	}
	d.pipes.fed = append(d.pipes.fed, p)
	st.suspend(d)
	p.feed(chunk, end)
	if p.ask != nothing {
		st.servePipe(d, p)
	}
}

// resumePipe lets the last pipe that took a chunk go on, when what it wrote has left.
func (st *Stream) resumePipe(d *direction) {
	p := d.pipes.fed[len(d.pipes.fed)-1]
	d.stage, d.at = atBody, p.at
	st.suspend(d)
	if p.ask != nothing {
		st.servePipe(d, p)
		return
	}
	p.flushed()
}

// asked receives, on the stream's thread, what a pipe's function wants.
func (st *Stream) asked(d *direction, p *pipe, ask int, err error) {
	if d.stage == dead || d.pipes.at(p.at) != p {
		return
	}
	if p.ask = max(p.ask, ask); err != nil {
		p.err = err
	}
	st.runs++
	ok := false
	defer st.endRun(d, &ok)
	if n := len(d.pipes.fed); d.suspended && d.at == p.at && n > 0 && d.pipes.fed[n-1] == p {
		st.servePipe(d, p)
	}
	st.loop(d)
	ok = true
}

// servePipe does what p asks, while the direction waits for p.
func (st *Stream) servePipe(d *direction, p *pipe) {
	if p.ask == toFlush && d.dir == Response && st.high {
		p.paused = true
		d.epoch++ // it is not the plugin that keeps the stream waiting
		st.home.waits.End(&st.waits[d.dir])
		return
	}
	st.resume(d)
	ask := p.ask
	p.ask, p.paused = nothing, false
	if p.err != nil {
		st.sourceFailed(d.index(p.at), "Pipe", "pipe", p.err)
		return
	}
	out := p.take()
	if ask >= toRead {
		d.pipes.fed = d.pipes.fed[:len(d.pipes.fed)-1]
	}
	p.done = ask == toEnd
	d.flight.chunk, d.flight.end = out, p.done && p.fedEnd && !d.flight.trailers
	d.flight.hasChunk = len(out) > 0 || d.flight.end
	d.flight.from = p.at + 1
	st.next(d)
}

// flushIdle passes on, while nothing is in flight, what a pipe has written that waits for its reader. It reports
// whether there was something.
func (st *Stream) flushIdle(d *direction) bool {
	for _, p := range d.pipes.all {
		if p.ask == nothing || d.pipes.isFed(p) {
			continue
		}
		if p.err != nil {
			st.sourceFailed(d.index(p.at), "Pipe", "pipe", p.err)
			return true
		}
		p.done = p.done || p.ask == toEnd
		p.ask = nothing
		out := p.take()
		p.flushed()
		if len(out) == 0 {
			continue
		}
		d.flight.chunk, d.flight.end, d.flight.hasChunk = out, false, true
		d.flight.from = p.at + 1
		st.next(d)
		return true
	}
	return false
}

func (ps *pipes) isFed(p *pipe) bool { return slices.Contains(ps.fed, p) }

// run is the goroutine of the function.
func (p *pipe) run(ctx context.Context, f func(context.Context, io.Writer, io.Reader) error) {
	var err error
	returned := false
	defer func() {
		if fault := guard.Recovered(recover(), returned); fault != nil {
			err = &faultError{fault}
		}
		p.post(toEnd, err)
	}()
	err = f(ctx, pipeWriter{p}, pipeReader{p})
	returned = true
}

// stop ends p from the stream's side.
func (p *pipe) stop(err error) {
	p.mu.Lock()
	p.stopped = err
	p.out, p.rest = nil, nil
	p.mu.Unlock()
	p.wake.Broadcast()
}
