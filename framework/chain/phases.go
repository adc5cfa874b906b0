package chain

import (
	"reflect"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
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

// Which of a direction's phases: the bits of core.Want… in this order, the response's shifted by three.
const (
	headersPhase = iota
	bodyPhase
	trailersPhase
)

// phasesOf asks v only for what bits say that its type may have.
func phasesOf(v any, bits uint32) (p phases) {
	if bits&core.WantRequestHeaders != 0 {
		p.reqH, _ = v.(filter.RequestHeadersHandler)
		p.req, _ = v.(filter.RequestHandler)
	}
	if bits&core.WantRequestBody != 0 {
		p.reqB, _ = v.(filter.RequestBodyHandler)
	}
	if bits&core.WantRequestTrailers != 0 {
		p.reqT, _ = v.(filter.RequestTrailersHandler)
	}
	if bits&core.WantResponseHeaders != 0 {
		p.respH, _ = v.(filter.ResponseHeadersHandler)
		p.resp, _ = v.(filter.ResponseHandler)
	}
	if bits&core.WantResponseBody != 0 {
		p.respB, _ = v.(filter.ResponseBodyHandler)
	}
	if bits&core.WantResponseTrailers != 0 {
		p.respT, _ = v.(filter.ResponseTrailersHandler)
	}
	if bits&core.WantComplete != 0 {
		p.done, _ = v.(filter.CompleteHandler)
	}
	return p
}

// methodBits: a whole message needs no bits for its body and trailers, because a stream wants them only while it holds.
var methodBits = map[string]uint32{
	"OnRequestHeaders":   core.WantRequestHeaders,
	"OnRequestBody":      core.WantRequestBody,
	"OnRequestTrailers":  core.WantRequestTrailers,
	"OnRequest":          core.WantRequestHeaders,
	"OnResponseHeaders":  core.WantResponseHeaders,
	"OnResponseBody":     core.WantResponseBody,
	"OnResponseTrailers": core.WantResponseTrailers,
	"OnResponse":         core.WantResponseHeaders,
	"OnComplete":         core.WantComplete,
}

// handlerBits tells from the type of a handler which phases it may have.
func handlerBits(t reflect.Type) (w uint32) {
	for i := range t.NumMethod() {
		w |= methodBits[t.Method(i).Name]
	}
	return w
}

// index makes next.
func (c *Chain) index() {
	n := len(c.plugins)
	for di := range core.Directions {
		for phase := range c.next[di] {
			next := make([]int, n+1)
			next[n] = n
			for i := n - 1; i >= 0; i-- {
				p := i
				if di == Response {
					p = n - 1 - i
				}
				next[i] = next[i+1]
				if c.bits[p]&(1<<(3*int(di)+phase)) != 0 {
					next[i] = i
				}
			}
			c.next[di][phase] = next
		}
	}
}
