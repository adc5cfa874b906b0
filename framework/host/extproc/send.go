package extproc

import (
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"mosn.io/moe/framework/internal/core"
)

// send sends an answer, with the metadata that plugins have set meanwhile.
func (s *grpcStream) send(r *extprocv3.ProcessingResponse) {
	if s.over || s.err != nil {
		return
	}
	s.mu.Lock()
	if len(s.changed) > 0 {
		all := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(s.changed))}
		for ns, v := range s.changed {
			all.Fields[ns] = structpb.NewStructValue(v)
		}
		r.DynamicMetadata, s.changed = all, nil
	}
	s.mu.Unlock()
	s.srv.o.Registry.server.sent.Add(1)
	if err := s.grpc.Send(r); err != nil {
		s.over = true
		if s.ctx.Err() == nil {
			s.err = err
		}
	}
}

func (s *grpcStream) sendHeaders(dir core.Direction, c *extprocv3.CommonResponse) {
	s.dirs[dir].headersPending = false
	r := &extprocv3.ProcessingResponse{}
	h := &extprocv3.HeadersResponse{Response: c}
	if dir == core.Request {
		s.mu.Lock()
		c.ClearRouteCache, s.clearRoute = s.clearRoute, false
		s.mu.Unlock()
		if c.ClearRouteCache && c.HeaderMutation == nil {
			c.HeaderMutation = &extprocv3.HeaderMutation{} // without one Envoy ignores the wish
		}
		r.Response = &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: h}
	} else {
		r.Response = &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: h}
	}
	r.ModeOverride = s.override(dir)
	s.send(r)
}

func (s *grpcStream) sendBody(dir core.Direction, c *extprocv3.CommonResponse) {
	b := &extprocv3.BodyResponse{Response: c}
	r := &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseBody{ResponseBody: b}}
	if dir == core.Request {
		s.mu.Lock()
		c.ClearRouteCache, s.clearRoute = s.clearRoute, false
		s.mu.Unlock()
		r.Response = &extprocv3.ProcessingResponse_RequestBody{RequestBody: b}
	}
	s.send(r)
}

// sendStreamed sends p in pieces.
func (s *grpcStream) sendStreamed(dir core.Direction, p []byte, end bool) {
	for first := true; first || len(p) > 0; first = false {
		n := min(len(p), maxChunk)
		last := end && n == len(p)
		s.sendBody(dir, &extprocv3.CommonResponse{BodyMutation: &extprocv3.BodyMutation{
			Mutation: &extprocv3.BodyMutation_StreamedResponse{StreamedResponse: &extprocv3.StreamedBodyResponse{
				Body: p[:n], EndOfStream: last,
			}},
		}})
		p = p[n:]
	}
	s.dirs[dir].eosSent = end
}

func (s *grpcStream) sendTrailers(dir core.Direction, m *extprocv3.HeaderMutation) {
	t := &extprocv3.TrailersResponse{HeaderMutation: m}
	r := &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseTrailers{ResponseTrailers: t}}
	if dir == core.Request {
		r.Response = &extprocv3.ProcessingResponse_RequestTrailers{RequestTrailers: t}
	}
	s.send(r)
}

// replyAtOnce uses Envoy's local reply, which knows HEAD and gRPC.
func (s *grpcStream) replyAtOnce() {
	r := &extprocv3.ImmediateResponse{
		Status: httpStatus(s.ReplyStatus()), Body: s.Reply.Body, Details: text(s.Chain.ReplyDetails),
	}
	m := &extprocv3.HeaderMutation{}
	seen := map[string]bool{}
	for f := range s.ReplyFields(false) {
		m.SetHeaders = append(m.SetHeaders, option(f, seen[f.Name]))
		seen[f.Name] = true
	}
	if len(m.SetHeaders) > 0 {
		r.Headers = m
	}
	if s.Chain.ReplyGRPC >= 0 {
		r.GrpcStatus = &extprocv3.GrpcStatus{Status: uint32(s.Chain.ReplyGRPC)}
	}
	s.srv.o.Registry.server.replies.Add(1)
	s.sendImmediate(r)
}

func httpStatus(code int) *typev3.HttpStatus {
	return &typev3.HttpStatus{Code: typev3.StatusCode(code)}
}

// immediate answers for the server itself.
func (s *grpcStream) immediate(status int, details string, body []byte) {
	if s.observe {
		s.over = true
		return
	}
	s.sendImmediate(&extprocv3.ImmediateResponse{
		Status: httpStatus(status), Details: text(details), Body: body,
	})
}

// sendImmediate is the last message of a stream.
func (s *grpcStream) sendImmediate(r *extprocv3.ImmediateResponse) {
	s.send(&extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ImmediateResponse{ImmediateResponse: r},
	})
	s.over = true
}

// impossible ends a stream that a plugin wants what Envoy's modes do not allow of.
func (s *grpcStream) impossible(dir core.Direction, why string) {
	s.srv.log.Error("a stream is refused: "+why, "mode", s.dirs[dir].mode.String())
	s.immediate(500, "moe.mode", nil)
}

// tooLarge answers a body that does not fit into what BUFFERED_PARTIAL sends.
func (s *grpcStream) tooLarge(dir core.Direction) {
	if dir == core.Request {
		s.immediate(413, "request_payload_too_large", []byte("Payload Too Large"))
	} else {
		s.immediate(500, "response_payload_too_large", []byte("Internal Server Error"))
	}
}

func (s *grpcStream) streamReplyHeaders() {
	s.dirs[core.Request].headersPending = false
	h := &corev3.HeaderMap{}
	for _, f := range s.Chain.H[core.ResponseHeaders].Fields {
		h.Headers = append(h.Headers, &corev3.HeaderValue{Key: f.Name, RawValue: []byte(f.Value)})
	}
	s.srv.o.Registry.server.replies.Add(1)
	s.sendReplyPart(&extprocv3.StreamedImmediateResponse{
		Response: &extprocv3.StreamedImmediateResponse_HeadersResponse{
			HeadersResponse: &extprocv3.HttpHeaders{Headers: h},
		},
	})
}

// streamReply sends what there is of a reply's body.
func (s *grpcStream) streamReply() {
	r := &s.Reply
	for p := r.Body; len(p) > 0 || r.End; {
		n := min(len(p), maxChunk)
		last := r.End && n == len(p)
		s.sendReplyPart(&extprocv3.StreamedImmediateResponse{
			Response: &extprocv3.StreamedImmediateResponse_BodyResponse{
				BodyResponse: &extprocv3.StreamedBodyResponse{Body: p[:n], EndOfStream: last},
			},
		})
		if p = p[n:]; last || s.over {
			s.over = true
			break
		}
	}
	r.Body = r.Body[:0]
}

func (s *grpcStream) sendReplyPart(r *extprocv3.StreamedImmediateResponse) {
	s.send(&extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_StreamedImmediateResponse{StreamedImmediateResponse: r},
	})
}

// watch has Envoy asked for more time while it waits for a plugin.
func (s *grpcStream) watch(waiting bool) {
	d := s.srv.o.MessageTimeout / 2
	switch {
	case waiting == s.asking || s.srv.o.MaxMessageTimeout == 0:
	case !waiting:
		s.asking = false
		s.ask.Stop()
	case s.ask == nil:
		s.asking, s.ask = true, time.NewTimer(d)
	default:
		s.asking = true
		s.ask.Reset(d)
	}
}

// askForTime has Envoy wait as long as it is configured to at most; it may be asked once for each message.
func (s *grpcStream) askForTime() {
	s.send(&extprocv3.ProcessingResponse{OverrideMessageTimeout: durationpb.New(s.srv.o.MaxMessageTimeout)})
}

// text is what protobuf takes as a string.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
