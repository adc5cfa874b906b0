package chain

import "mosn.io/moe/framework/internal/core"

// Keeps reports whether a plugin keeps something of dir back for what follows: headers that it holds until the body is
// there, or a pipe that runs. A host that cannot tell whether more follows asks before it tells the chain that nothing
// does.
func (st *Stream) Keeps(dir int) bool {
	d := &st.d[dir]
	return d.hold >= 0 || len(d.pipes) > 0
}

// Whole returns core.WantRequestBody and core.WantResponseBody for the directions in which a plugin may wait for the
// body, with OnRequest or OnResponse. [Chain.Wants] has no bits for that, because streams want it only as it happens.
func (c *Chain) Whole() (w uint32) {
	if len(c.Waits(Request)) > 0 {
		w |= core.WantRequestBody
	}
	if len(c.Waits(Response)) > 0 {
		w |= core.WantResponseBody
	}
	return w
}

// Waits returns the names of the plugins that may wait for the body of a direction, in order.
func (c *Chain) Waits(dir int) (names []string) {
	method := [2]string{"OnRequest", "OnResponse"}[dir]
	for i := range c.plugins {
		if _, ok := c.plugins[i].Reg.Handler.MethodByName(method); ok {
			names = append(names, c.names[i])
		}
	}
	return names
}

// WaitsWhole reports whether a plugin waits for the whole body of dir, and nothing before it sees chunks. The host may
// then collect the body and hand it over in one piece, so the chain sets it no limit any more. A host asks when the
// headers have not left the chain and nothing of the body has come.
func (st *Stream) WaitsWhole(dir int) bool {
	d := &st.d[dir]
	if d.hold < 0 || d.prefix > 0 || d.susp || len(d.pipes) > 0 || len(d.buf) > 0 || d.qhead < len(d.queue) ||
		st.chain.next[dir][bodyPhase][d.first] < d.hold {
		return false
	}
	d.limit = 0
	return true
}
