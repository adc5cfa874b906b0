package extproc

import (
	"errors"
	"net/http"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"mosn.io/moe/framework/internal/core"
)

// begin chooses the chain and the modes by the first message.
func (s *grpcStream) begin(m *extprocv3.ProcessingRequest) error {
	s.observe = m.GetObservabilityMode()
	for dir := range core.Directions {
		s.dirs[dir].mode = s.srv.o.BodyMode
	}
	switch p := m.GetProtocolConfig(); {
	case p != nil:
		s.dirs[core.Request].mode, s.dirs[core.Response].mode = p.GetRequestBodyMode(), p.GetResponseBodyMode()
		s.early = p.GetSendBodyWithoutWaitingForHeaderResponse()
	case s.observe:
		s.dirs[core.Request].mode = modev3.ProcessingMode_STREAMED
		s.dirs[core.Response].mode = modev3.ProcessingMode_STREAMED
	}
	s.learn(m)
	route := ""
	if v := s.attributes["xds.route_name"]; v != nil {
		route = v.GetStringValue()
	}
	c, err := s.gen.chain(s.told(StagesKey), s.told(ConfigKey), s.told(RouteKey), route)
	if err != nil {
		if s.observe {
			return status.Error(codes.FailedPrecondition, err.Error())
		}
		s.srv.log.Debug("a stream is refused", "error", err)
		s.immediate(500, "moe.route", nil)
		return s.err
	}
	s.Start(c, s, s, s)
	s.life = s.Chain.Gen
	return nil
}

// told returns the last value of a key in the gRPC initial metadata.
func (s *grpcStream) told(key string) string {
	if v := metadata.ValueFromIncomingContext(s.ctx, key); len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// feed gives a message to the chain. The error is a gRPC status: what the client did wrong.
func (s *grpcStream) feed(m *extprocv3.ProcessingRequest) error {
	if s.over {
		return nil
	}
	var err error
	switch r := m.GetRequest().(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		if s.dirs[core.Response].started() {
			err = errors.New("request_headers after the response has begun")
		} else {
			err = s.headers(core.Request, r.RequestHeaders)
		}
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		err = s.headers(core.Response, r.ResponseHeaders)
	case *extprocv3.ProcessingRequest_RequestBody:
		err = s.body(core.Request, r.RequestBody)
	case *extprocv3.ProcessingRequest_ResponseBody:
		err = s.body(core.Response, r.ResponseBody)
	case *extprocv3.ProcessingRequest_RequestTrailers:
		err = s.trailers(core.Request, r.RequestTrailers)
	case *extprocv3.ProcessingRequest_ResponseTrailers:
		err = s.trailers(core.Response, r.ResponseTrailers)
	default:
		err = errors.New("a message without a request that this server knows")
	}
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return nil
}

var names = [2]string{"request", "response"}

func (s *grpcStream) headers(dir core.Direction, h *extprocv3.HttpHeaders) error {
	d := &s.dirs[dir]
	switch {
	case d.headersIn:
		return errors.New("a second " + names[dir] + "_headers")
	case d.started():
		return errors.New(names[dir] + "_headers after the " + names[dir] + "'s body or trailers")
	}
	if dir == core.Response && !s.dirs[core.Request].started() {
		s.skip(core.Request)
	}
	d.headersIn, d.headersPending = true, true
	d.headersEnd, d.endIn = h.GetEndOfStream(), h.GetEndOfStream()
	if err := s.load(dir.Headers(), h.GetHeaders()); err != nil {
		return err
	}
	if dir == core.Request && s.stuck() {
		return nil
	}
	s.Chain.Headers(dir, h.GetEndOfStream())
	return nil
}

// stuck refuses a request for a tunnel (WebSocket, CONNECT) in a mode in which Envoy would let its headers go with the
// first bytes only, for which the client waits until it has the response's headers.
func (s *grpcStream) stuck() bool {
	if s.observe {
		return false
	}
	h := internals.Stream(&s.Chain.Stream, 0).RequestHeaders()
	if !h.Has("upgrade") && h.Method() != http.MethodConnect {
		return false
	}
	for dir := range core.Directions {
		if d := &s.dirs[dir]; d.duplex() || d.mode == modev3.ProcessingMode_STREAMED {
			s.impossible(dir, "a tunnel (upgrade, CONNECT) would hang: give upgrade_configs filters of their own, where "+
				"the body modes of ext_proc are NONE")
			return true
		}
	}
	return false
}

func (s *grpcStream) body(dir core.Direction, b *extprocv3.HttpBody) error {
	d := &s.dirs[dir]
	if d.endIn {
		return errors.New(names[dir] + "_body after the " + names[dir] + "'s end")
	}
	s.skipped(dir)
	p, end := b.GetBody(), b.GetEndOfStream()
	d.bodyIn, d.endIn = true, end
	d.bytes.Add(int64(len(p)))
	if !d.duplex() {
		d.bodyPending++
	}
	if !d.HeadersOut || s.Chain.Busy(dir) {
		d.backlog += len(p)
		if !s.account(s.held + int64(len(p))) {
			s.srv.o.Registry.server.overload.Add(1)
			s.immediate(503, "moe.overload", []byte("overloaded"))
			return nil
		}
	}
	d.Feed(p)
	s.Chain.Data(dir, p, end)
	if !end && !d.duplex() && !s.observe {
		s.complete(dir)
	}
	if !d.Untouched() { // else the answer says so
		d.Forget()
	}
	return nil
}

// complete lets a body end that is all there is of it, though Envoy does not call it the end.
func (s *grpcStream) complete(dir core.Direction) {
	d := &s.dirs[dir]
	switch d.mode {
	case modev3.ProcessingMode_BUFFERED: // trailers follow, which may come here or not
		if s.Chain.HoldsBody(dir) {
			d.faked = true
			s.Chain.Trailers(dir)
		}
	case modev3.ProcessingMode_BUFFERED_PARTIAL:
		if s.Chain.HoldsBody(dir) && !s.over && !s.Chain.Replied {
			s.tooLarge(dir)
		}
	}
}

func (s *grpcStream) trailers(dir core.Direction, t *extprocv3.HttpTrailers) error {
	d := &s.dirs[dir]
	switch {
	case d.trailersIn:
		return errors.New("second " + names[dir] + "_trailers")
	case d.endIn:
		return errors.New(names[dir] + "_trailers after the " + names[dir] + "'s end")
	}
	s.skipped(dir)
	d.trailersIn, d.trailersPending, d.endIn = true, true, true
	if d.faked {
		return nil
	}
	if err := s.load(dir.Trailers(), t.GetTrailers()); err != nil {
		return err
	}
	s.Chain.Trailers(dir)
	return nil
}

// skipped tells the chain, where a direction begins without its headers, that Envoy does not send them.
func (s *grpcStream) skipped(dir core.Direction) {
	if s.dirs[dir].started() {
		return
	}
	if dir == core.Response && !s.dirs[core.Request].started() {
		s.skip(core.Request)
	}
	s.skip(dir)
}

func (s *grpcStream) skip(dir core.Direction) {
	s.dirs[dir].HeadersOut = true
	s.Chain.Skip(dir)
}

// load puts headers or trailers into the chain's block.
func (s *grpcStream) load(block int, h headerMap) (err error) {
	s.Chain.Mu.Lock()
	defer s.Chain.Mu.Unlock()
	b := &s.Chain.H[block]
	if b.Fields, err = appendFields(b.Fields[:0], h); err == nil {
		b.Present = true
	}
	return err
}
