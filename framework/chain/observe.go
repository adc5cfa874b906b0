package chain

import (
	"time"

	"mosn.io/moe/framework/internal/core"
)

// Observer is told how long plugins take: what [Stream.Observer] is set to.
type Observer interface {
	// Observe is called on the stream's thread after a phase of a plugin. Took is the time from the call of the
	// plugin's method to its decision: it includes the function that the method gave to Go and the wait for it, but
	// not what a pipe does later. A phase whose stream ends, or is answered, before its Go has returned is not told.
	Observe(plugin string, phase Phase, took time.Duration)
}

// Phase is one of the methods that a plugin may have.
type Phase uint8

// OnComplete is the last phase; those before it are numbered by direction and stage.
const OnComplete Phase = 8

// PhaseCount is how many phases there are; they begin with 0.
const PhaseCount = int(OnComplete) + 1

var methodNames = [PhaseCount]string{
	"OnRequestHeaders", "OnRequestBody", "OnRequestTrailers", "OnRequest",
	"OnResponseHeaders", "OnResponseBody", "OnResponseTrailers", "OnResponse", "OnComplete",
}

// String returns the name of the method.
func (p Phase) String() string {
	if int(p) >= PhaseCount {
		return ""
	}
	return methodNames[p]
}

func phaseOf(di core.Direction, d *dir) Phase { return Phase(4*int(di) + int(d.stage) - 1) }

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
