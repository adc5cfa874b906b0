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
