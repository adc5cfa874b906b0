package chain

import (
	"context"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/guard"
)

// suspension is a wait of a direction for a plugin, which the chain bounds.
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
func (st *Stream) suspendFor(d *direction, f func(context.Context) core.Action) {
	if d.dir == Request && !d.sent && !d.held.holds {
		st.passed = d.at
	}
	c := &call{suspension: st.suspend(d), f: f}
	go c.run(st.handle(d.current()).Context())
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
	if c.returned {
		if st.Observer != nil && c.a.Kind != core.Go {
			st.observe(d)
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
	d.suspended, d.used = true, true
	d.epoch++
	s := suspension{st: st, sink: st.sink, dir: d.dir, gen: st.Gen, epoch: d.epoch}
	st.home.waits.Begin(&st.waits[d.dir], s)
	return s
}

// resume ends the standing still. Results that were waited for are late from now on.
func (st *Stream) resume(d *direction) {
	d.epoch++
	if d.suspended {
		d.suspended = false
		st.home.waits.End(&st.waits[d.dir])
	}
}

// expired is called, on the timer's goroutine, when a suspension has lasted too long.
func (s suspension) expired() {
	s.st.post(s.gen, s.sink, func() {
		if d := &s.st.d[s.dir]; d.suspended && d.epoch == s.epoch {
			s.st.expire(d)
		}
	})
}

// expire ends a suspension that has lasted too long: the request is answered with 504, or the stream reset.
func (st *Stream) expire(d *direction) {
	at, i := d.at, d.current()
	if st.Observer != nil {
		st.observe(d)
	}
	st.chain.cells[i].timeouts.Add(1)
	st.tell(i, "does not answer within "+st.home.options.Timeout.String(), "phase", d.phase().String())
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
	st.reply(d, at, timedOut, st.chain.details[i]+".timeout")
	st.loop(response)
	ok = true
}
