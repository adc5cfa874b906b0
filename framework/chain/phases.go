package chain

import (
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// phases are the methods of one plugin's handler, nil where it has none.
type phases struct {
	reqH  filter.RequestHeadersHandler
	reqB  filter.RequestBodyHandler
	reqT  filter.RequestTrailersHandler
	req   filter.RequestHandler
	respH filter.ResponseHeadersHandler
	respB filter.ResponseBodyHandler
	respT filter.ResponseTrailersHandler
	resp  filter.ResponseHandler
	done  filter.CompleteHandler
}

// The messages of a direction, as they index Chain.next.
const (
	headersMessage = iota
	bodyMessage
	trailersMessage
)

// whole reports whether there is a method that takes the whole message of dir.
func (p *phases) whole(dir core.Direction) bool {
	if dir == Request {
		return p.req != nil
	}
	return p.resp != nil
}

// phasesOf asks v only for the phases that its type has.
func phasesOf(v any, has phase.Set) (p phases) {
	if has.Has(phase.OnRequestHeaders) {
		p.reqH, _ = v.(filter.RequestHeadersHandler)
	}
	if has.Has(phase.OnRequestBody) {
		p.reqB, _ = v.(filter.RequestBodyHandler)
	}
	if has.Has(phase.OnRequestTrailers) {
		p.reqT, _ = v.(filter.RequestTrailersHandler)
	}
	if has.Has(phase.OnRequest) {
		p.req, _ = v.(filter.RequestHandler)
	}
	if has.Has(phase.OnResponseHeaders) {
		p.respH, _ = v.(filter.ResponseHeadersHandler)
	}
	if has.Has(phase.OnResponseBody) {
		p.respB, _ = v.(filter.ResponseBodyHandler)
	}
	if has.Has(phase.OnResponseTrailers) {
		p.respT, _ = v.(filter.ResponseTrailersHandler)
	}
	if has.Has(phase.OnResponse) {
		p.resp, _ = v.(filter.ResponseHandler)
	}
	if has.Has(phase.OnComplete) {
		p.done, _ = v.(filter.CompleteHandler)
	}
	return p
}

// findNext makes next.
func (c *Chain) findNext() {
	n := position(len(c.plugins))
	for dir := range core.Directions {
		d := direction{dir: dir, n: n}
		for m, message := range [...]phase.Messages{phase.Headers(dir), phase.Body(dir), phase.Trailers(dir)} {
			next := make([]position, n+1)
			next[n] = n
			for at := n - 1; at >= 0; at-- {
				next[at] = next[at+1]
				if c.has[d.index(at)].Wants()&message != 0 {
					next[at] = at
				}
			}
			c.next[dir][m] = next
		}
	}
}
