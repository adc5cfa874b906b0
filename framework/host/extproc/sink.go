package extproc

import (
	"mosn.io/moe/framework/internal/core"
)

// TellChanges keeps the changes of a block for the answer to it.
func (s *grpcStream) TellChanges(block int) {
	for dir := range core.Directions {
		switch d := &s.dirs[dir]; block {
		case dir.Headers():
			d.mutation = s.mutationOf(block)
		case dir.Trailers():
			d.trailerMutation = s.mutationOf(block)
		}
	}
}

// Data takes bytes that leave the chain.
func (s *grpcStream) Data(dir core.Direction, p []byte, end bool) {
	d := &s.dirs[dir]
	if s.Replies(dir) || !d.duplex() && !s.over && !s.observe {
		s.Exchange.Data(dir, p, end)
		return
	}
	d.EndOut = end
	switch {
	case s.over, s.observe:
	case d.bodyIn && len(d.Out) == 0 && s.settleHeaders(dir):
		s.sendStreamed(dir, p, end)
	default: // what the chunk was does not matter: Envoy has given it away
		d.Out = append(d.Out, p...)
	}
}

// Reset ends the stream as abruptly as the protocol can: Envoy resets where the response has begun, and replies with
// 500 where it has not.
func (s *grpcStream) Reset(reason string) {
	if d := &s.dirs[core.Response]; d.duplex() && d.headersIn && !d.headersPending && d.bodyIn && !d.eosSent {
		s.sendStreamed(core.Response, nil, false) // Envoy keeps headers until it has some of the body: they have begun
	}
	s.immediate(500, "moe: "+reason, nil)
}
