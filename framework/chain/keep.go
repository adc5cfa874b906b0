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
	for i := range c.plugins {
		t := c.plugins[i].Reg.Handler
		if _, ok := t.MethodByName("OnRequest"); ok {
			w |= core.WantRequestBody
		}
		if _, ok := t.MethodByName("OnResponse"); ok {
			w |= core.WantResponseBody
		}
	}
	return w
}
