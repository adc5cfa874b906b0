package chain

import (
	"time"

	"mosn.io/moe/framework/internal/phase"
)

// Observer receives how long plugins take; see [Stream.Observer].
type Observer interface {
	// Observe is called on the stream's thread after a phase of a plugin. Took is the time from the call of the
	// plugin's method to its decision: it includes the function that the method gave to Go and the wait for it, but
	// not what a pipe does later. It is not called for a phase
	// whose stream ends, or is answered, before its Go has returned.
	Observe(plugin string, phase phase.Phase, took time.Duration)
}

// begins is called before a plugin's method.
func (st *Stream) begins(d *direction) {
	st.calling = true
	if st.Observer != nil {
		d.began, d.used = time.Now(), true
	}
}

// observe tells the observer, which is there, of the phase in flight, if its plugin was called and was not told of.
func (st *Stream) observe(d *direction) {
	if d.began.IsZero() {
		return
	}
	took := time.Since(d.began)
	d.began = time.Time{}
	st.Observer.Observe(st.chain.names[d.current()], d.phase(), took)
}
