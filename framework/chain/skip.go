package chain

import "mosn.io/moe/framework/internal/core"

// Skip tells the chain that the headers of a direction have passed it by, because it did not want them (see Wants), and
// that what follows them in that direction comes to it now. A host calls it at most once for a direction, before it
// feeds the chain anything of that direction, and, for the request's, before it feeds the response.
func (st *Stream) Skip(dir core.Direction) {
	d := &st.d[dir]
	d.sent, d.used = true, true
	if dir == Request {
		st.passed = d.n
	} else {
		d.first = d.n - st.passed
	}
}
