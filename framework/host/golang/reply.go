package golang

/*
#include "gate.h"
*/
import "C"

import (
	"cmp"
	"strings"
	"unsafe"

	"mosn.io/moe/framework/host/internal/exchange"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/grpcstatus"
)

// maxReply bounds what a plugin's reader may give: Envoy takes a reply in one piece, so there is no flow control for it.
const maxReply = 64 << 20

// refusal is a reply that is not in the chain's blocks.
type refusal struct {
	status  int // 0: there is none
	details string
}

// reject replies with 500, whatever the chain has said. Where the response has begun, Envoy resets the stream.
func (s *envoyStream) reject(details string) {
	s.Reply = exchange.Reply{Begun: true, End: true, Sent: s.Reply.Sent}
	s.refusal = refusal{500, details}
}

// Headers takes headers that leave the chain.
func (s *envoyStream) Headers(dir core.Direction, end bool) {
	s.Exchange.Headers(dir, end)
	if s.Replies(dir) && !end { // a goroutine reads the rest
		s.handle.Escaped()
	}
}

// Reset ends the stream.
func (s *envoyStream) Reset(reason string) { s.reject("moe: " + reason) }

// refuse answers a stream whose configuration could not be made into a chain: no request passes unchecked.
func (s *envoyStream) refuse() {
	if s.e.kind > C.EVENT_TRAILERS || s.Reply.Sent {
		return
	}
	s.ways[s.e.dir].at = atHeaders
	s.reject("moe.configuration")
	s.settleReply()
}

// settleReply sends the reply, as soon as it is complete and Envoy waits for us in either direction.
func (s *envoyStream) settleReply() {
	r := &s.Reply
	if r.Sent || !r.End {
		return
	}
	if r.TooLarge && s.refusal.status == 0 {
		s.refusal = refusal{500, s.Chain.ReplyDetails}
	}
	at := core.NoDirection
	for dir := range core.Directions {
		if s.hooked(dir) || s.ways[dir].at != elsewhere && (at == core.NoDirection || !s.hooked(at)) {
			at = dir
		}
	}
	if at == core.NoDirection {
		setFlag(&s.c.attention)
		return
	}
	r.Sent = true
	s.c.replied = 1
	s.send(at)
	s.ways[at].at = elsewhere
	if s.hooked(at) {
		s.e.status = C.STATUS_LOCAL_REPLY
	}
	r.Body = nil
}

// send uses Envoy's local reply, which knows HEAD, gRPC, its own formats and the response code details.
func (s *envoyStream) send(dir core.Direction) {
	status, details, grpc := s.refusal.status, s.refusal.details, grpcstatus.OfHTTP(s.refusal.status)
	var fields []byte
	n := 0
	if status == 0 {
		status, details = s.ReplyStatus(), s.Chain.ReplyDetails
		grpc = s.ReplyGRPC(status)
		for f := range s.ReplyFields(s.isGRPC()) {
			fields = appendField(fields, f)
			n++
		}
	}
	body, bodyLen := bytesOf(s.Reply.Body)
	head, _ := bytesOf(fields)
	// In names of details Envoy has no spaces.
	name, nameLen := text(strings.Join(strings.Fields(cmp.Or(details, "moe")), "_"))
	C.golang_reply(s.c, C.int(dir), C.int(status), (*C.char)(body), bodyLen, (*C.uint8_t)(head), C.int(n),
		C.longlong(grpc), (*C.char)(unsafe.Pointer(name)), nameLen)
}

func (s *envoyStream) isGRPC() bool {
	s.Chain.Mu.Lock()
	defer s.Chain.Mu.Unlock()
	return exchange.IsGRPC(s.Chain.H[core.RequestHeaders].Fields)
}
