package chain

import (
	"context"
	"io"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// What a pipe's function asks of the stream, the weightier last.
const (
	nothing = iota
	toFlush // pass on what was written
	toRead  // and then the next chunk
	toEnd   // the function has returned
)

// addPipe starts a function on the body that the plugin at d.idx sees.
func (st *Stream) addPipe(di core.Direction, d *dir, a *core.Payload) {
	if d.delta = 0; a.KeepLength {
		d.check, d.blame = true, d.plugin(di, d.idx)
	} else {
		st.removeLength(di)
	}
	s := internals.Stream(&st.Stream, d.plugin(di, d.idx))
	env := st.chain.plugins[d.plugin(di, d.idx)].Env
	p := &pipe{pos: d.idx, prompt: env != nil && env.Has(filter.CanPipePromptly)}
	p.wake.L = &p.mu
	gen, sink := st.Gen, st.sink
	p.post = func(ask int, err error) {
		st.post(gen, sink, func() { st.asked(di, p, ask, err) })
	}
	d.pipes = append(d.pipes, p)
	go p.run(s.Context(), a.Pipe)
}

func (d *dir) pipeAt(pos int) *pipe {
	for _, p := range d.pipes {
		if p.pos == pos {
			return p
		}
	}
	return nil
}

// feedPipe hands a chunk to p. The direction stands still until p has read it.
func (st *Stream) feedPipe(di core.Direction, d *dir, p *pipe, chunk []byte, end bool) {
	p.fedEnd = p.fedEnd || end
	if p.done { // what it leaves unread is dropped, and what it wrote last goes in its place
		d.cur, _ = p.take()
		if d.stage == atTrailers {
			if d.have, d.end = len(d.cur) > 0, false; d.have {
				d.base, d.tbase = p.pos+1, p.pos
				st.next(di, d)
			}
			return
		}
		d.idx++
		return
	}
	d.cur, d.have = nil, false
	if end {
		d.tbase = p.pos // the plugin's own trailers phase follows
	}
	d.busy = append(d.busy, p)
	st.wait(di)
	p.feed(chunk, end)
	if p.ask != nothing {
		st.servePipe(di, d, p)
	}
}

// resumePipe lets the last pipe that took a chunk go on, when what it wrote has left.
func (st *Stream) resumePipe(di core.Direction, d *dir) {
	p := d.busy[len(d.busy)-1]
	d.stage, d.idx = atData, p.pos
	st.wait(di)
	if p.ask != nothing {
		st.servePipe(di, d, p)
		return
	}
	p.flushed()
}

// asked is told what a pipe's function wants, on the stream's thread.
func (st *Stream) asked(di core.Direction, p *pipe, ask int, err error) {
	d := &st.d[di]
	if d.stage == dead || d.pipeAt(p.pos) != p {
		return
	}
	if p.ask = max(p.ask, ask); err != nil {
		p.err = err
	}
	st.depth++
	defer st.leave(di)
	if d.susp && d.idx == p.pos && len(d.busy) > 0 && d.busy[len(d.busy)-1] == p {
		st.servePipe(di, d, p)
	}
	st.loop(di, d)
}

// servePipe does what p asks, while the direction waits for p.
func (st *Stream) servePipe(di core.Direction, d *dir, p *pipe) {
	if p.ask == toFlush && di == Response && st.high {
		p.paused = true
		d.epoch++ // it is not the plugin that keeps the stream waiting
		st.home.watch.end(&st.alarms[di])
		return
	}
	st.wake(di)
	ask := p.ask
	p.ask, p.paused = nothing, false
	if p.err != nil {
		st.pipeFailed(di, d, p)
		return
	}
	out, _ := p.take()
	if ask >= toRead {
		d.busy = d.busy[:len(d.busy)-1]
	}
	p.done = ask == toEnd
	d.cur, d.end = out, p.done && p.fedEnd && !d.trail
	d.have = len(out) > 0 || d.end
	d.base = p.pos + 1
	st.next(di, d)
}

// flushIdle passes on, while nothing is in flight, what a pipe has written that waits for its reader. It reports
// whether there was something.
func (st *Stream) flushIdle(di core.Direction, d *dir) bool {
	for _, p := range d.pipes {
		if p.ask == nothing || d.busyWith(p) {
			continue
		}
		if p.err != nil {
			st.pipeFailed(di, d, p)
			return true
		}
		p.done = p.done || p.ask == toEnd
		p.ask = nothing
		out, _ := p.take()
		p.flushed()
		if len(out) == 0 {
			continue
		}
		d.cur, d.end, d.have = out, false, true
		d.base = p.pos + 1
		st.next(di, d)
		return true
	}
	return false
}

func (d *dir) busyWith(p *pipe) bool {
	for _, q := range d.busy {
		if q == p {
			return true
		}
	}
	return false
}

// pipeFailed ends the stream for an error or a panic of p's function.
func (st *Stream) pipeFailed(di core.Direction, d *dir, p *pipe) {
	plugin := d.plugin(di, p.pos)
	if rp, ok := p.err.(*pipePanic); ok {
		st.panicIn(plugin, "Pipe", rp.r)
	} else {
		internals.Stream(&st.Stream, plugin).Log().Error("pipe failed", "error", p.err)
	}
	st.reset("pipe: " + p.err.Error())
}

// run is the goroutine of the function.
func (p *pipe) run(ctx context.Context, f func(context.Context, io.Writer, io.Reader) error) {
	var err error = &pipePanic{caught("runtime.Goexit was called")}
	defer func() {
		if v := recover(); v != nil {
			err = &pipePanic{caught(v)}
		}
		p.post(toEnd, err)
	}()
	err = f(ctx, pipeWriter{p}, pipeReader{p})
}

type pipePanic struct{ r *recovered }

// Error is that of error.
func (*pipePanic) Error() string { return "panic" }

// stop ends p from the stream's side.
func (p *pipe) stop(err error) {
	p.mu.Lock()
	p.stopped = err
	p.out, p.rest = nil, nil
	p.mu.Unlock()
	p.wake.Broadcast()
}
