package extproc

import (
	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// override returns the processing mode that fits what plugins want, for the answer to the headers of dir; nil where
// Envoy would ignore it, or it fits already. Envoy takes it only if its configuration allows that; if it does not,
// what was not wanted comes all the same, and is answered.
func (s *grpcStream) override(dir core.Direction) *modev3.ProcessingMode {
	req, resp := &s.dirs[core.Request], &s.dirs[core.Response]
	if !s.overridable() {
		return nil
	}
	wants := s.Chain.Wants()
	if s.Chain.EndIsMeasured() {
		wants &^= phase.Complete
	}
	m := &modev3.ProcessingMode{RequestBodyMode: req.mode, ResponseBodyMode: resp.mode}
	const none = modev3.ProcessingMode_NONE
	if dir == core.Request {
		if !req.headersHeld && wants&phase.RequestBody == 0 && !s.Chain.HoldsBody(core.Request) {
			m.RequestBodyMode = none
		}
		if wants&phase.RequestTrailers == 0 {
			m.RequestTrailerMode = modev3.ProcessingMode_SKIP
		}
		const response = phase.ResponseHeaders | phase.ResponseBody | phase.ResponseTrailers
		if wants&(response|phase.Complete) == 0 {
			m.ResponseHeaderMode, m.ResponseBodyMode = modev3.ProcessingMode_SKIP, none
		}
	} else if !resp.headersHeld && wants&phase.ResponseBody == 0 && !s.Chain.HoldsBody(core.Response) {
		m.ResponseBodyMode = none
	}
	if wants&phase.ResponseTrailers == 0 {
		m.ResponseTrailerMode = modev3.ProcessingMode_SKIP
	}
	if s.srv.o.ModeOverride || m.RequestBodyMode != req.mode || m.ResponseBodyMode != resp.mode ||
		m.ResponseHeaderMode != modev3.ProcessingMode_DEFAULT {
		return m
	}
	return nil
}

// overridable reports whether Envoy takes overrides in these modes, where its configuration allows them at all.
func (s *grpcStream) overridable() bool {
	return !s.early && !s.dirs[core.Request].duplex() && !s.dirs[core.Response].duplex()
}
