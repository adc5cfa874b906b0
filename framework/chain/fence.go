package chain

import (
	"log/slog"

	"mosn.io/moe/framework/internal/guard"
)

// endRun ends a run. It is deferred; ok points to what the run has set before it returned. The last run of a stream that
// is done gives its memory back.
func (st *Stream) endRun(d *direction, ok *bool) {
	if !*ok {
		st.fence(d, guard.Recovered(recover(), false))
	}
	if st.runs--; st.runs == 0 && st.gone {
		st.recycle()
	}
}

// fence goes on after a run of d that has not come to its end. Where a plugin's method ran, its phase fails. Anything else
// is a bug of the chain or the host. After runtime.Goexit, which cannot be stopped, this is the last that the goroutine
// does; the host's deferred functions find a stream that has been answered.
func (st *Stream) fence(d *direction, fault *guard.Fault) {
	if !st.calling {
		value, _ := guard.Text(fault.Value)
		slog.Error("framework panic", "value", value, "stack", string(fault.Stack))
		defer func() { _ = recover() }()
		st.reset("panic")
		return
	}
	st.calling = false
	st.failPhase(d, fault)
	st.run(d)
}

// failPhase ends the phase in flight of d, whose plugin has panicked: with 500, or a reset when the response has begun.
func (st *Stream) failPhase(d *direction, fault *guard.Fault) {
	i := d.index(d.at)
	st.panicIn(i, d.phase().String(), fault)
	if st.Observer != nil {
		st.observeEnd(d, true)
	}
	if !st.over && d.stage != dead {
		st.reply(d, d.at, failed, st.chain.details[i]+".panic")
	}
}
