package chain

import (
	"context"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/guard"
)

// suspension is a wait of a direction, which the chain bounds: for a plugin, or, while a plugin holds the headers, for
// more of the body.
type suspension struct {
	st    *Stream
	sink  core.Sink
	dir   core.Direction
	gen   uint32
	epoch uint32
}

// call is a function of filter.Go that runs.
type call struct {
	suspension
	f        func(context.Context) core.Action
	a        core.Action
	returned bool
	fault    *guard.Fault
}

// suspendFor has the direction wait for f.
func (st *Stream) suspendFor(d *direction, wait WaitKind, f func(context.Context) core.Action) {
	if d.dir == Request && !d.sent && !d.held.holds {
		st.passed = d.at
	}
	c := &call{suspension: st.suspend(d), f: f}
	if st.Observer != nil {
		st.observeSuspend(d, wait)
	}
	go c.run(st.handle(max(d.current(), 0)).Context()) // a chain without plugins may wait for its consumer's
}

func (c *call) run(ctx context.Context) {
	defer c.post()
	c.a = c.f(ctx)
	c.returned = true
}

// post brings the result, or the panic, to the stream's thread.
func (c *call) post() {
	if !c.returned {
		c.fault = guard.Recovered(recover(), false)
	}
	c.sink.Post(c.resume)
}

func (c *call) resume() {
	st, d := c.st, &c.st.d[c.dir]
	if !st.alive(c.gen) || d.epoch != c.epoch {
		return // the stream is done, or was answered or timed out meanwhile
	}
	st.runs++
	ok := false
	defer st.endRun(d, &ok)
	st.resume(d)
	if st.Observer != nil {
		st.observeResume(d)
	}
	if c.returned {
		if st.Observer != nil && c.a.Kind != core.Go {
			st.observeEnd(d, false)
		}
		st.apply(d, c.a)
	} else {
		st.failPhase(d, c.fault)
	}
	st.loop(d)
	st.replyAllLate()
	ok = true
}

// alive reports, on the stream's thread, whether life gen of st goes on.
func (st *Stream) alive(gen uint32) bool {
	st.Mu.Lock()
	live := st.Gen == gen
	st.Mu.Unlock()
	return live && !st.over
}

// post runs f on the stream's thread, if this life of the stream goes on.
func (st *Stream) post(gen uint32, sink core.Sink, f func()) {
	sink.Post(func() {
		if st.alive(gen) {
			f()
		}
	})
}

// suspend has the direction stand still, for Options.Timeout at most.
func (st *Stream) suspend(d *direction) suspension {
	d.suspended, d.used, d.held.idle = true, true, false
	return st.wait(d)
}

// wait bounds how long the direction stays as it is.
func (st *Stream) wait(d *direction) suspension {
	d.epoch++
	s := suspension{st: st, sink: st.sink, dir: d.dir, gen: st.Gen, epoch: d.epoch}
	st.home.waits.Begin(&st.waits[d.dir], s)
	return s
}

// awaitBody bounds how long the peer may take for the next piece of a body that a plugin waits for.
func (st *Stream) awaitBody(d *direction) {
	d.held.idle = true
	st.wait(d)
}

// resume ends the standing still. Results that were waited for are late from now on.
func (st *Stream) resume(d *direction) {
	d.epoch++
	if d.suspended || d.held.idle {
		d.suspended, d.held.idle = false, false
		st.home.waits.End(&st.waits[d.dir])
	}
}

// expired is called, on the timer's goroutine, when a wait has lasted too long.
func (s suspension) expired() {
	s.st.post(s.gen, s.sink, func() {
		d := &s.st.d[s.dir]
		switch {
		case d.epoch != s.epoch:
		case d.suspended:
			s.st.expire(d)
		case d.held.idle:
			s.st.expireBody(d)
		}
	})
}

// expireBody ends a wait for a body that does not come: it is the peer that is slow, and no plugin.
func (st *Stream) expireBody(d *direction) {
	response := &st.d[Response]
	st.runs++
	ok := false
	defer st.endRun(response, &ok)
	details := st.chain.details[d.index(d.held.by)] + ".body_timeout"
	st.tellObserver(PluginTimesOut, st.chain.names[d.index(d.held.by)], WaitsForBody, details)
	if d == response {
		st.reply(d, d.held.by, responseStalled, details)
	} else {
		st.reply(d, d.held.by, requestStalled, details)
	}
	st.loop(response)
	ok = true
}

// expire ends a suspension that has lasted too long: the request is answered with 504, or the stream reset.
func (st *Stream) expire(d *direction) {
	if d.dir == Request && st.consumer.waits {
		st.expireConsumer(d)
		return
	}
	at, i := d.at, d.current()
	if st.Observer != nil {
		st.observeTimeout(d)
	}
	st.chain.cells[i].timeouts.Add(1)
	st.tell(i, "does not answer within "+st.home.options.Timeout.String(), "phase", d.phase().String())
	st.endWait(d, at, timedOut, st.chain.details[i]+".timeout")
}

// endWait cancels what a direction waits for, and answers in its place.
func (st *Stream) endWait(d *direction, at position, r *core.Payload, details string) {
	response := &st.d[Response]
	st.runs++
	ok := false
	defer st.endRun(response, &ok)
	st.Mu.Lock()
	st.EndContext(context.DeadlineExceeded)
	st.Mu.Unlock()
	if d == response {
		st.revoke(d)
		st.resume(d)
	}
	st.reply(d, at, r, details)
	st.loop(response)
	ok = true
}
