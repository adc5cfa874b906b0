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
	for dir := range core.Directions {
		if st.d[dir].wantsRest() {
			w |= phase.Body(dir) | phase.Trailers(dir)
		}
	}
	return w
}

// wantsRest reports whether the chain must see what follows in the direction, whether or not a plugin has a phase for it.
func (d *direction) wantsRest() bool {
	if !d.used {
		return d.stage != idle
	}
	return d.held.holds || d.suspended || d.stage != idle || d.length.check || len(d.pipes.all) > 0 || !d.queue.empty()
}

// Steady reports whether the stream wants what the chain that it began with wants, has no constants and is not busy: a host
// that asks after each call into the chain can spare itself the single questions. It reports false where it is not quick to
// tell.
func (st *Stream) Steady() bool {
	c := st.home
	return st.chain == c && !c.constants.any && !st.over && !st.Replied && st.d[Request].rests() && st.d[Response].rests()
}

// rests reports whether nothing but headers has been in flight, and nothing is now.
func (d *direction) rests() bool { return !d.used && d.stage == idle && !d.suspended }

// Busy reports whether dir is suspended: the host should queue its events. Those it feeds all the same queue here.
func (st *Stream) Busy(dir core.Direction) bool { return st.d[dir].suspended }

// HoldsBody reports whether a plugin keeps something of dir back for what follows: it holds the headers until it has the
// body, or its pipe runs. A host that cannot tell whether more follows asks before it tells the chain that nothing does.
func (st *Stream) HoldsBody(dir core.Direction) bool {
	d := &st.d[dir]
	return d.held.holds || len(d.pipes.all) > 0
}

// OffloadBuffering lets the host collect the body of dir and hand it over in one piece: it reports true where a plugin
// waits for the whole body and no plugin before it sees chunks. Then the host buffers and limits the body by itself: the
// chain sets it no limit any more. It may be called while the headers have not left the chain and
// nothing of the body has come.
func (st *Stream) OffloadBuffering(dir core.Direction) bool {
	d := &st.d[dir]
	h := &d.held
	if !h.holds || h.prefix > 0 || len(h.body) > 0 || d.suspended || len(d.pipes.all) > 0 || !d.queue.empty() ||
		st.chain.next[dir][bodyMessage][d.first] < h.by {
		return false
	}
	h.limit = 0
	st.HostCollects(dir)
	return true
}

// HostCollects tells the chain that the body of dir is collected before the host gets to see it. The chain then does not
// bound how long a plugin that holds the headers waits for it, because it cannot see whether the body is on its way.
func (st *Stream) HostCollects(dir core.Direction) {
	st.collected[dir] = true
	if d := &st.d[dir]; d.held.idle {
		st.resume(d)
	}
}

// NeedsWholeBody returns the ids of the plugins that may wait for the body of dir, with OnRequest or OnResponse, in
// order. [Chain.Wants] does not tell, because a stream comes to want the body only as it happens.
func (c *Chain) NeedsWholeBody(dir core.Direction) (ids []string) {
	for i := range c.plugins {
		if c.has[i].Has(phase.Whole(dir)) {
			ids = append(ids, c.names[i])
		}
	}
	return ids
}

// EndIsMeasured reports whether the stream wants its end for no more than to count it. A host that learns of that anyway
// need not have Envoy send anything for it.
func (st *Stream) EndIsMeasured() bool { return st.home.onlyMeasured && len(st.chain.complete) == 0 }
