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

// newStreamPhase names, in reports, the function that makes a plugin's handler.
const newStreamPhase = "newStream"

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

// trailers reports whether there is a method that takes the trailers of dir.
func (p *phases) trailers(dir core.Direction) bool {
	if dir == Request {
		return p.reqT != nil
	}
	return p.respT != nil
}

// phasesOf returns the phases of plugin i's handler v, which it asks only for those that its type has. The plugin's
// constants are part of them.
func (c *Chain) phasesOf(i int, v any) phases {
	has := c.has[i]
	p := phases{
		reqH:  method[filter.RequestHeadersHandler](v, has, phase.OnRequestHeaders),
		reqB:  method[filter.RequestBodyHandler](v, has, phase.OnRequestBody),
		reqT:  method[filter.RequestTrailersHandler](v, has, phase.OnRequestTrailers),
		req:   method[filter.RequestHandler](v, has, phase.OnRequest),
		respH: method[filter.ResponseHeadersHandler](v, has, phase.OnResponseHeaders),
		respB: method[filter.ResponseBodyHandler](v, has, phase.OnResponseBody),
		respT: method[filter.ResponseTrailersHandler](v, has, phase.OnResponseTrailers),
		resp:  method[filter.ResponseHandler](v, has, phase.OnResponse),
		done:  method[filter.CompleteHandler](v, has, phase.OnComplete),
	}
	c.setConstants(i, &p)
	return p
}

// method returns v as the handler of a phase, or nil where its type does not have that.
func method[H any](v any, has phase.Set, p phase.Phase) (h H) {
	if has.Has(p) {
		h, _ = v.(H)
	}
	return h
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
				if c.takes[d.index(at)].Wants()&message != 0 {
					next[at] = at
				}
			}
			c.next[dir][m] = next
		}
	}
}
