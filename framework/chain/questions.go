package chain

import (
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// The questions that hosts ask.

// Wants returns the messages that the stream wants now: those that its plugins have phases for, and the rest of a
// direction while a plugin holds its headers, is suspended or pipes. A host asks after each call into the chain.
func (st *Stream) Wants() phase.Messages {
	if st.over {
		return st.chain.wants & phase.Complete
	}
	w := st.chain.wants
	if st.Replied {
		return w & phase.Complete
	}
	for di := range core.Directions {
		d := &st.d[di]
		if d.hold >= 0 || d.susp || d.stage != idle || d.check || len(d.pipes) > 0 || d.qhead < len(d.queue) {
			w |= phase.Body(di) | phase.Trailers(di)
		}
	}
	return w
}

// Busy reports whether dir is suspended: the host should queue its events. Those it feeds all the same queue here.
func (st *Stream) Busy(dir core.Direction) bool { return st.d[dir].susp }

// HoldsBody reports whether a plugin keeps something of dir back for what follows: it holds the headers until it has the
// body, or its pipe runs. A host that cannot tell whether more follows asks before it tells the chain that nothing does.
func (st *Stream) HoldsBody(dir core.Direction) bool {
	d := &st.d[dir]
	return d.hold >= 0 || len(d.pipes) > 0
}

// NeedsWholeBody returns the names of the plugins that may wait for the body of a direction, in order.
func (c *Chain) NeedsWholeBody(dir core.Direction) (names []string) {
	for i := range c.plugins {
		if c.has[i].Has(phase.Whole(dir)) {
			names = append(names, c.names[i])
		}
	}
	return names
}

// OffloadBuffering lets the host collect the body of dir and hand it over in one piece: it reports true where a plugin
// waits for the whole body and no plugin before it sees chunks. From then on the chain sets the body no limit, so a host
// that is told true buffers, and limits, by itself. It may be called while the headers have not left the chain and
// nothing of the body has come.
func (st *Stream) OffloadBuffering(dir core.Direction) bool {
	d := &st.d[dir]
	if d.hold < 0 || d.prefix > 0 || d.susp || len(d.pipes) > 0 || len(d.buf) > 0 || d.qhead < len(d.queue) ||
		st.chain.next[dir][bodyMessage][d.first] < d.hold {
		return false
	}
	d.limit = 0
	return true
}
