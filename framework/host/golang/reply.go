package golang

/*
#include "gate.h"
*/
import "C"

import (
	"cmp"
	"strconv"
	"strings"
	"unsafe"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/grpcstatus"
)

// reply is a response of the chain's own. Envoy takes it in one piece.
type reply struct {
	begun, end, sent bool
	status           int // of a reply that is not in the chain's blocks, or 0
	body             []byte
	details          string
}

// maxReply bounds what a plugin's reader may give: there is no flow control for it.
const maxReply = 64 << 20

func (r *reply) add(p []byte, end bool) {
	if r.status != 0 {
		return
	}
	if r.body, r.end = append(r.body, p...), end; len(r.body) > maxReply {
		r.status, r.end, r.body = 500, true, nil
	}
}

// begin takes the headers of a reply, which are in the chain's block.
func (s *stream) begin(end bool) {
	s.reply.begun, s.reply.end = true, end
	s.reply.details = s.st.ReplyDetails
	if !end { // a goroutine reads the rest
		s.handle.Escaped()
	}
}

// Reset ends the stream: Envoy resets it where a response has begun, and replies with 500 otherwise.
func (h *handle) Reset(reason string) {
	h.s.reply = reply{begun: true, end: true, status: 500, details: "moe: " + reason}
}

// refuse answers a stream whose configuration could not be made into a chain: no request passes unchecked.
func (s *stream) refuse() {
	if s.e.kind > C.EVENT_TRAILERS || s.reply.sent {
		return
	}
	s.dirs[s.e.dir].at = atHeaders
	s.reply = reply{begun: true, end: true, status: 500, details: "moe.configuration"}
	s.settleReply()
}

// settleReply sends the reply, as soon as it is complete and Envoy waits for us in either direction.
func (s *stream) settleReply() {
	r := &s.reply
	if r.sent || !r.end {
		return
	}
	at := core.NoDirection
	for dir := range core.Directions {
		if s.hooked(dir) || s.dirs[dir].at != elsewhere && (at == core.NoDirection || !s.hooked(at)) {
			at = dir
		}
	}
	if at == core.NoDirection {
		setFlag(&s.c.attention)
		return
	}
	r.sent = true
	s.c.replied = 1
	s.send(at)
	s.dirs[at].at = elsewhere
	if s.hooked(at) {
		s.e.status = C.STATUS_LOCAL_REPLY
	}
	r.body = nil
}

// send uses Envoy's local reply, which knows HEAD, gRPC, its own formats and the response code details. To gRPC
// requests Envoy sends trailers only, with the body as grpc-message.
func (s *stream) send(dir core.Direction) {
	r := &s.reply
	status, grpc := r.status, s.isGRPC()
	var fields []byte
	n := 0
	if status == 0 {
		status = 200
		for _, f := range s.st.H[core.ResponseHeaders].Fields {
			switch {
			case f.Name == ":status":
				status, _ = strconv.Atoi(f.Value)
			case f.Name == "content-length": // Envoy sets it itself
			case grpc && (f.Name == "grpc-status" || f.Name == "grpc-message" || f.Name == "content-type"):
			default:
				fields = appendField(fields, f)
				n++
			}
		}
	}
	code := -1
	if s.st != nil && r.status == 0 {
		code = s.st.ReplyGRPC
	}
	if code < 0 {
		code = grpcstatus.OfHTTP(status)
	}
	body, bodyLen := bytesOf(r.body)
	head, _ := bytesOf(fields)
	// In names of details Envoy has no spaces.
	details, detailsLen := text(strings.Join(strings.Fields(cmp.Or(r.details, "moe")), "_"))
	C.golang_reply(s.c, C.int(dir), C.int(status), (*C.char)(body), bodyLen, (*C.uint8_t)(head), C.int(n),
		C.longlong(code), (*C.char)(unsafe.Pointer(details)), detailsLen)
}

func (s *stream) isGRPC() bool {
	if s.st == nil {
		return false
	}
	s.st.Mu.Lock()
	defer s.st.Mu.Unlock()
	for _, f := range s.st.H[core.RequestHeaders].Fields {
		if f.Name == "content-type" {
			return grpcstatus.IsRequest(f.Value)
		}
	}
	return false
}
