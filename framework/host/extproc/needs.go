package extproc

import (
	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/internal/core"
)

// ProcessingMode returns the mode that has Envoy send what the plugins of the loaded configuration implement, its
// routes' and consumers' included, and nothing else. It is the zero mode, which sends headers, without a configuration.
//
// What a plugin may want besides cannot be told: one that reads the request's headers in a phase of the response needs
// them sent, and one that returns Pipe from the phase of headers, without any phase for bodies, needs the body sent.
func (s *Server) ProcessingMode() *modev3.ProcessingMode {
	g := s.acquire()
	if g == nil {
		return &modev3.ProcessingMode{}
	}
	defer g.release()
	wants := uint32(0)
	add := func(r *assembly.Route) {
		for _, c := range g.filter.Chains(r) {
			wants |= c.Wants() | c.Whole()
		}
	}
	add(nil)
	for _, r := range g.routes {
		add(r)
	}
	m := &modev3.ProcessingMode{}
	mode(wants, &m.RequestHeaderMode, &m.RequestBodyMode, &m.RequestTrailerMode)
	mode(wants>>3|completion(wants), &m.ResponseHeaderMode, &m.ResponseBodyMode, &m.ResponseTrailerMode)
	return m
}

// completion has a response's headers sent where a plugin looks at streams that are complete.
func completion(wants uint32) uint32 {
	if wants&core.WantComplete != 0 {
		return core.WantRequestHeaders
	}
	return 0
}

// mode reads the bits of a direction, which are the request's.
func mode(wants uint32, headers *modev3.ProcessingMode_HeaderSendMode, body *modev3.ProcessingMode_BodySendMode,
	trailers *modev3.ProcessingMode_HeaderSendMode,
) {
	*headers, *trailers = modev3.ProcessingMode_SKIP, modev3.ProcessingMode_SKIP
	if wants&(core.WantRequestHeaders|core.WantRequestBody) != 0 {
		*headers = modev3.ProcessingMode_SEND
	}
	if wants&core.WantRequestBody != 0 {
		*body, *trailers = modev3.ProcessingMode_FULL_DUPLEX_STREAMED, modev3.ProcessingMode_SEND
	}
	if wants&core.WantRequestTrailers != 0 {
		*trailers = modev3.ProcessingMode_SEND
	}
}
