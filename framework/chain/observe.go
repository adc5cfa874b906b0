package chain

import (
	"time"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// Observer is told how long plugins take: what [Stream.Observer] is set to.
type Observer interface {
	// Observe is called on the stream's thread after a phase of a plugin. Took is the time from the call of the
	// plugin's method to its decision: it includes the function that the method gave to Go and the wait for it, but
	// not what a pipe does later. A phase whose stream ends, or is answered, before its Go has returned is not told.
	Observe(plugin string, phase Phase, took time.Duration)
}

// Phase is one of the methods that a plugin may have.
type Phase = phase.Phase

// phaseOf returns the phase of the stage that d is at: the stages stand in the order of the table of phases.
func phaseOf(di core.Direction, d *dir) Phase {
	return Phase(int(di)*phase.PerDirection + int(d.stage) - atHeaders)
}

// begins is called before a plugin's method.
func (st *Stream) begins(d *dir) {
	st.calling = true
	if st.Observer != nil {
		d.began = time.Now()
	}
}

// observe tells the observer, which is there, of the phase in flight, if its plugin was called and was not told of.
func (st *Stream) observe(di core.Direction, d *dir) {
	if d.began.IsZero() {
		return
	}
	took := time.Since(d.began)
	d.began = time.Time{}
	st.Observer.Observe(st.chain.names[d.current(di)], phaseOf(di, d), took)
}
