package chain

import (
	"context"

	"mosn.io/moe/framework/internal/core"
)

// call is a function of filter.Go that runs.
type call struct {
	st       *Stream
	sink     core.Sink
	gen      uint32
	epoch    uint32
	di       core.Direction
	f        func(context.Context) core.Action
	a        core.Action
	returned bool
	panicked any
}

// suspend lets the direction wait for f.
func (st *Stream) suspend(di core.Direction, d *dir, f func(context.Context) core.Action) {
	if di == Request && !d.sent && d.hold < 0 {
		st.passed = d.idx
	}
	st.wait(di)
	c := &call{st: st, sink: st.sink, gen: st.Gen, epoch: d.epoch, di: di, f: f}
	go c.run(internals.Stream(&st.Stream, d.current(di)).Context())
}

func (c *call) run(ctx context.Context) {
	defer c.post()
	c.a = c.f(ctx)
	c.returned = true
}

// post brings the result, or the panic, to the stream's thread.
func (c *call) post() {
	if !c.returned {
		if v := recover(); v != nil {
			c.panicked = caught(v)
		} else {
			c.panicked = caught("runtime.Goexit was called")
		}
	}
	c.sink.Post(c.resume)
}

func (c *call) resume() {
	if !c.st.alive(c.gen) || c.st.d[c.di].epoch != c.epoch {
		return // the stream is done, or was answered or timed out meanwhile
	}
	st, d := c.st, &c.st.d[c.di]
	st.depth++
	defer st.leave(c.di)
	st.wake(c.di)
	if c.returned {
		if st.Observer != nil && c.a.Kind != core.Go {
			st.observe(c.di, d)
		}
		st.apply(c.di, c.a)
	} else {
		st.failPhase(c.di, d, c.panicked)
	}
	st.loop(c.di, d)
	st.runLaters()
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

// wait has the direction stand still, for Options.Timeout at most.
func (st *Stream) wait(di core.Direction) {
	d := &st.d[di]
	d.susp, d.used = true, true
	d.epoch++
	st.home.watch.begin(&st.alarms[di], st, di)
}

// wake ends the standing still. Results that were waited for are late from now on.
func (st *Stream) wake(di core.Direction) {
	d := &st.d[di]
	d.epoch++
	if d.susp {
		d.susp = false
		st.home.watch.end(&st.alarms[di])
	}
}

// expire ends a wait that took too long: the request is answered with 504, or the stream reset.
func (st *Stream) expire(di core.Direction, d *dir) {
	pos := d.idx
	p := d.current(di)
	if st.Observer != nil {
		st.observe(di, d)
	}
	st.chain.cells[p].timeouts.Add(1)
	st.chain.tell(p, "does not answer within "+st.home.options.Timeout.String(), "phase", d.phase(di))
	st.depth++
	defer st.leave(Response)
	st.Mu.Lock()
	st.EndContext(context.DeadlineExceeded)
	st.Mu.Unlock()
	if di == Response {
		st.revoke(di)
		st.wake(di)
	}
	st.reply(di, pos, timedOut, st.chain.details[p]+".timeout")
	st.loop(Response, &st.d[Response])
}
