package headermutation

import (
	"net/http"
	"strings"

	"mosn.io/moe/framework/filter"
)

// SkipsPhase is that of filter.PhaseSkipper: SetsHeaders says ahead what is the same for all streams.
func (p *HeaderMutation) SkipsPhase(method string) bool {
	switch method {
	case "OnRequestHeaders":
		_, same := p.request.constant()
		return same && p.target.empty() && !p.timed && !p.ClearRouteCache
	case "OnResponseHeaders":
		_, same := p.response.constant()
		return same
	case "OnRequestTrailers":
		return p.requestTrailers.empty()
	case "OnResponseTrailers":
		return p.responseTrailers.empty()
	}
	return false
}

// SetsHeaders is that of filter.HeaderSetter.
func (p *HeaderMutation) SetsHeaders() (request, response http.Header) {
	if p.SkipsPhase("OnRequestHeaders") {
		request, _ = p.request.constant()
	}
	if p.SkipsPhase("OnResponseHeaders") {
		response, _ = p.response.constant()
	}
	return request, response
}

// empty reports whether p changes nothing.
func (p *program) empty() bool {
	return len(p.remove)+len(p.prefix)+len(p.pattern)+len(p.put) == 0
}

// constant returns what p sets and removes where that depends neither on the stream nor on the headers that there are.
func (p *program) constant() (h http.Header, same bool) {
	if len(p.prefix)+len(p.pattern) > 0 {
		return nil, false
	}
	h = http.Header{}
	for _, name := range p.remove {
		h[name] = nil
	}
	for _, x := range p.put {
		if x.action != overwriteOrAdd || !x.value.Constant() {
			return nil, false
		}
		h[x.name] = []string{x.value.Of(filter.Stream{})}
	}
	for name := range h {
		if strings.HasPrefix(name, ":") || name == "content-length" || name == "transfer-encoding" {
			return nil, false
		}
	}
	return h, true
}
