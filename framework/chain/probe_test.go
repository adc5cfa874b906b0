package chain_test

import (
	"mosn.io/moe/framework/filter"
)

// probe is a plugin made of functions; those that are nil continue. OnRequest and OnResponse are there for WaitBody.
type probe struct {
	reqH, respH func(s filter.Stream, h filter.Headers, end bool) filter.Action
	reqB, respB func(s filter.Stream, b filter.Body, end bool) filter.Action
	reqT, respT func(s filter.Stream, t filter.Headers) filter.Action
	req, resp   func(s filter.Stream, h filter.Headers, b filter.Body) filter.Action
	done        func(s filter.Stream)
	provision   func(env *filter.Env) error
}

func (p *probe) Provision(env *filter.Env) error {
	if p.provision != nil {
		return p.provision(env)
	}
	return nil
}

func (p *probe) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, end bool) (a filter.Action) {
	if p.reqH != nil {
		a = p.reqH(s, h.Headers, end)
	}
	return a
}

func (p *probe) OnRequestBody(s filter.Stream, b filter.Body, end bool) (a filter.Action) {
	if p.reqB != nil {
		a = p.reqB(s, b, end)
	}
	return a
}

func (p *probe) OnRequestTrailers(s filter.Stream, t filter.Headers) (a filter.Action) {
	if p.reqT != nil {
		a = p.reqT(s, t)
	}
	return a
}

func (p *probe) OnRequest(s filter.Stream, h filter.RequestHeaders, b filter.Body) (a filter.Action) {
	if p.req != nil {
		a = p.req(s, h.Headers, b)
	}
	return a
}

func (p *probe) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, end bool) (a filter.Action) {
	if p.respH != nil {
		a = p.respH(s, h.Headers, end)
	}
	return a
}

func (p *probe) OnResponseBody(s filter.Stream, b filter.Body, end bool) (a filter.Action) {
	if p.respB != nil {
		a = p.respB(s, b, end)
	}
	return a
}

func (p *probe) OnResponseTrailers(s filter.Stream, t filter.Headers) (a filter.Action) {
	if p.respT != nil {
		a = p.respT(s, t)
	}
	return a
}

func (p *probe) OnResponse(s filter.Stream, h filter.ResponseHeaders, b filter.Body) (a filter.Action) {
	if p.resp != nil {
		a = p.resp(s, h.Headers, b)
	}
	return a
}

func (p *probe) OnComplete(s filter.Stream) {
	if p.done != nil {
		p.done(s)
	}
}

// resizer is a probe that was registered with ChangesBody.
type resizer struct{ probe }

func init() {
	filter.Register[probe]("probe", filter.Observe)
	filter.Register[resizer]("resizer", filter.Observe, filter.ChangesBody())
}
