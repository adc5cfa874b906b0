package extproc

import (
	"slices"
	"unsafe"

	"mosn.io/moe/framework/internal/core"
)

// reply is a response of the chain's own.
type reply struct {
	begun, end bool
	streaming  bool // its headers were sent
	fields     []core.Field
	body       []byte
}

// Headers takes headers that leave the chain.
func (s *stream) Headers(dir core.Direction, end bool) {
	if dir == core.Response && s.st.Replied {
		s.reply.begun, s.reply.end = true, end
		s.reply.fields = slices.Clone(s.st.H[core.ResponseHeaders].Fields)
		return
	}
	d := &s.dirs[dir]
	d.headersOut, d.endOut = true, end
	d.mutation = s.mutationOf(dir.Headers())
}

// Data takes bytes that leave the chain.
func (s *stream) Data(dir core.Direction, p []byte, end bool) {
	if dir == core.Response && s.st.Replied {
		s.reply.body, s.reply.end = append(s.reply.body, p...), end
		return
	}
	d := &s.dirs[dir]
	d.endOut = end
	switch {
	case s.over || s.observe:
	case d.duplex():
		if d.bodyIn && len(d.out) == 0 && s.settleHeaders(dir) {
			s.sendStreamed(dir, p, end)
			return
		}
		d.out = append(d.out, p...)
	case d.chunk != nil && !d.same && len(d.out) == 0 && same(p, d.chunk):
		d.same = true
	default:
		d.unshare()
		d.out = append(d.out, p...)
	}
}

// Trailers takes trailers that leave the chain.
func (s *stream) Trailers(dir core.Direction) {
	if dir == core.Response && s.st.Replied {
		s.reply.end = true
		return
	}
	d := &s.dirs[dir]
	d.endOut, d.trailersOut = true, true
	d.trailerMutation = s.mutationOf(dir.Trailers())
}

// Reset ends the stream as abruptly as the protocol can: Envoy resets where the response has begun, and replies with
// 500 where it has not.
func (s *stream) Reset(reason string) {
	if d := &s.dirs[core.Response]; d.duplex() && d.headersIn && !d.headersPending && d.bodyIn && !d.eosSent {
		s.sendStreamed(core.Response, nil, false) // Envoy keeps headers until it has some of the body: they have begun
	}
	s.immediate(500, "moe: "+reason, nil)
}

func same(p, q []byte) bool {
	return len(p) == len(q) && (len(p) == 0 || unsafe.SliceData(p) == unsafe.SliceData(q))
}

// unshare makes the untouched chunk part of out, because something else goes with it.
func (d *direction) unshare() {
	if d.same {
		d.same = false
		d.out = append(d.out, d.chunk...)
	}
}
