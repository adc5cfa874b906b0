package extproc

import (
	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"mosn.io/moe/framework/internal/core"
)

// maxChunk is how many bytes of body one answer has: what the protocol recommends.
const maxChunk = 64 << 10

// settle tells Envoy what has left the chain.
func (s *grpcStream) settle() {
	switch {
	case s.over || s.observe:
	case s.Reply.Begun:
		s.settleReply()
	default:
		for dir := range core.Directions {
			if d := &s.dirs[dir]; d.started() {
				s.settleDirection(dir, d)
			}
		}
	}
	if s.over {
		return
	}
	waiting, held := false, s.held
	for dir := range core.Directions {
		d := &s.dirs[dir]
		if !s.Chain.Busy(dir) {
			d.backlog = 0
		} else if !d.duplex() && (d.headersPending || d.bodyPending > 0 || d.trailersPending) {
			waiting = true
		}
	}
	if held > 0 && s.atRest() {
		s.account(0)
	}
	s.watch(waiting && !s.observe)
}

// atRest reports whether no plugin holds anything back.
func (s *grpcStream) atRest() bool {
	for dir := range core.Directions {
		if s.Chain.Busy(dir) || s.Chain.HoldsBody(dir) {
			return false
		}
	}
	return true
}

func (s *grpcStream) settleDirection(dir core.Direction, d *direction) {
	if !s.settleHeaders(dir) || s.over {
		return
	}
	if d.duplex() {
		s.settleDuplex(dir, d)
	} else if !s.settleChunks(dir, d) {
		return
	}
	if d.trailersPending && (d.TrailersOut || d.faked) && !s.over {
		d.trailersPending = false
		if len(d.Out) > 0 {
			s.impossible(dir, "a plugin adds to the body at its end, when the answers to it are given")
			return
		}
		s.sendTrailers(dir, d.trailerMutation)
	}
}

// settleHeaders answers the headers if that can be; it reports whether they are answered.
func (s *grpcStream) settleHeaders(dir core.Direction) bool {
	d := &s.dirs[dir]
	if !d.headersPending {
		return true
	}
	if s.observe {
		return false
	}
	if d.HeadersOut && (d.EndOut || !d.headersEnd) {
		if d.mode == modev3.ProcessingMode_NONE && !d.headersEnd && s.Chain.HoldsBody(dir) {
			s.impossible(dir, "a plugin pipes the body: set "+names[dir]+"_body_mode to FULL_DUPLEX_STREAMED")
			return false
		}
		c := &extprocv3.CommonResponse{HeaderMutation: d.mutation}
		d.mutation = nil
		if d.Out != nil && !d.bodyIn && (d.headersEnd || d.trailersIn) { // a body where Envoy has none
			c.Status = extprocv3.CommonResponse_CONTINUE_AND_REPLACE
			c.BodyMutation = &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_Body{Body: d.Out}}
			d.Out = nil
		}
		s.sendHeaders(dir, c)
		return true
	}
	if d.duplex() || s.Chain.Busy(dir) || d.HeadersOut {
		return false
	}
	switch { // a plugin holds the headers for the body
	case d.mode == modev3.ProcessingMode_BUFFERED, d.mode == modev3.ProcessingMode_BUFFERED_PARTIAL:
	case d.mode == modev3.ProcessingMode_STREAMED && s.early:
		return false // the body comes all the same
	case s.srv.o.ModeOverride && s.overridable():
		d.mode = modev3.ProcessingMode_BUFFERED
	default:
		s.impossible(dir, "a plugin needs the whole body: set "+names[dir]+"_body_mode to FULL_DUPLEX_STREAMED or BUFFERED")
		return false
	}
	d.headersHeld = true
	s.Chain.HostCollects(dir) // or Envoy does, for the host
	s.sendHeaders(dir, &extprocv3.CommonResponse{})
	return true
}

// settleDuplex sends what has left the chain, in pieces.
func (s *grpcStream) settleDuplex(dir core.Direction, d *direction) {
	if !d.bodyIn {
		if d.trailersPending && len(d.Out) > 0 {
			s.impossible(dir, "a plugin adds a body where there is none but trailers")
		}
		return
	}
	if len(d.Out) > 0 || d.EndOut && !d.TrailersOut && !d.eosSent {
		p := d.Out
		d.Out = nil
		s.sendStreamed(dir, p, d.EndOut && !d.TrailersOut)
	}
}

// settleChunks answers the chunks that Envoy waits for; it reports whether it waits for none any more.
func (s *grpcStream) settleChunks(dir core.Direction, d *direction) bool {
	if d.bodyPending == 0 {
		return true
	}
	if s.Chain.Busy(dir) || !d.HeadersOut {
		return false
	}
	for ; d.bodyPending > 1; d.bodyPending-- {
		s.sendBody(dir, &extprocv3.CommonResponse{BodyMutation: clearBody})
	}
	d.bodyPending = 0
	c := &extprocv3.CommonResponse{}
	if d.headersHeld {
		d.headersHeld = false
		c.HeaderMutation, d.mutation = d.mutation, nil
	}
	switch {
	case d.Untouched():
	case len(d.Out) == 0:
		c.BodyMutation = clearBody
	default:
		c.BodyMutation = &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_Body{Body: d.Out}}
	}
	d.Forget()
	d.Out = nil
	s.sendBody(dir, c)
	return true
}

var clearBody = &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_ClearBody{ClearBody: true}}

// settleReply sends the chain's own response.
func (s *grpcStream) settleReply() {
	r := &s.Reply
	switch {
	case r.Sent:
		s.streamReply()
	case r.End:
		s.replyAtOnce()
	case s.canStream():
		r.Sent = true
		s.streamReplyHeaders()
		s.streamReply()
	case len(r.Body) > s.srv.o.BufferLimit:
		s.impossible(core.Response, "a reply's reader gives more than can be held, where Envoy takes no streamed reply")
	}
}

// canStream reports whether Envoy takes a reply in pieces: only as the answer to request headers, and only in these
// modes; of several values of a name it would keep the last.
func (s *grpcStream) canStream() bool {
	d := &s.dirs[core.Request]
	if !d.headersPending || !d.duplex() && d.mode != modev3.ProcessingMode_NONE {
		return false
	}
	seen := map[string]bool{}
	for _, f := range s.Chain.H[core.ResponseHeaders].Fields {
		if seen[f.Name] {
			return false
		}
		seen[f.Name] = true
	}
	return true
}
