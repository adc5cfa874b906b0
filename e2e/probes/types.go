package probes

import "mosn.io/moe/framework/filter"

// Probe has every phase.
type Probe struct{ Scripts }

func (p *Probe) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, end bool) filter.Action {
	return p.requestHeaders(s, h, end)
}

func (p *Probe) OnRequestBody(s filter.Stream, b filter.Body, end bool) filter.Action {
	return p.bodyPhase(s, "request_body", b, end)
}

func (p *Probe) OnRequestTrailers(s filter.Stream, t filter.Headers) filter.Action {
	return p.trailers(s, "request_trailers", t)
}

func (p *Probe) OnRequest(s filter.Stream, h filter.RequestHeaders, b filter.Body) filter.Action {
	return p.whole(s, "request", h.Headers, b)
}

func (p *Probe) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, end bool) filter.Action {
	return p.responseHeaders(s, h, end)
}

func (p *Probe) OnResponseBody(s filter.Stream, b filter.Body, end bool) filter.Action {
	return p.bodyPhase(s, "response_body", b, end)
}

func (p *Probe) OnResponseTrailers(s filter.Stream, t filter.Headers) filter.Action {
	return p.trailers(s, "response_trailers", t)
}

func (p *Probe) OnResponse(s filter.Stream, h filter.ResponseHeaders, b filter.Body) filter.Action {
	return p.whole(s, "response", h.Headers, b)
}
func (p *Probe) OnComplete(s filter.Stream) { p.complete(s) }

// Authn runs in the authn stage, before the others, wherever it is listed.
type Authn struct{ Scripts }

func (p *Authn) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, end bool) filter.Action {
	return p.requestHeaders(s, h, end)
}

func (p *Authn) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, end bool) filter.Action {
	return p.responseHeaders(s, h, end)
}

// Whole waits for whole messages because it has no other phase.
type Whole struct{ Scripts }

func (p *Whole) OnRequest(s filter.Stream, h filter.RequestHeaders, b filter.Body) filter.Action {
	return p.whole(s, "request", h.Headers, b)
}

func (p *Whole) OnResponse(s filter.Stream, h filter.ResponseHeaders, b filter.Body) filter.Action {
	return p.whole(s, "response", h.Headers, b)
}

// Headers has the two header phases.
type Headers struct{ Scripts }

func (p *Headers) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, end bool) filter.Action {
	return p.requestHeaders(s, h, end)
}

func (p *Headers) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, end bool) filter.Action {
	return p.responseHeaders(s, h, end)
}

// Request has the request headers' phase only.
type Request struct{ Scripts }

func (p *Request) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, end bool) filter.Action {
	return p.requestHeaders(s, h, end)
}

// Response has the response headers' phase only.
type Response struct{ Scripts }

func (p *Response) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, end bool) filter.Action {
	return p.responseHeaders(s, h, end)
}

// Bodies sees bodies without having asked for headers.
type Bodies struct{ Scripts }

func (p *Bodies) OnRequestBody(s filter.Stream, b filter.Body, end bool) filter.Action {
	return p.bodyPhase(s, "request_body", b, end)
}

func (p *Bodies) OnResponseBody(s filter.Stream, b filter.Body, end bool) filter.Action {
	return p.bodyPhase(s, "response_body", b, end)
}

// Trailers sees trailers only.
type Trailers struct{ Scripts }

func (p *Trailers) OnRequestTrailers(s filter.Stream, t filter.Headers) filter.Action {
	return p.trailers(s, "request_trailers", t)
}

func (p *Trailers) OnResponseTrailers(s filter.Stream, t filter.Headers) filter.Action {
	return p.trailers(s, "response_trailers", t)
}

// Complete sees the end only.
type Complete struct{ Scripts }

func (p *Complete) OnComplete(s filter.Stream) { p.complete(s) }

// PerStream makes an object for each stream, and counts them.
type PerStream struct{ Scripts }

type perStream struct {
	p         *PerStream
	completed int
}

func (p *PerStream) newStream(s filter.Stream) *perStream {
	r := run{e: &p.engine, s: s, phase: "new_stream"}
	r.exec(p.scripts["new_stream"])
	Live.Started.Add(1)
	return &perStream{p: p}
}

func (o *perStream) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, end bool) filter.Action {
	return o.p.requestHeaders(s, h, end)
}

func (o *perStream) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, end bool) filter.Action {
	return o.p.responseHeaders(s, h, end)
}

func (o *perStream) OnComplete(s filter.Stream) {
	Live.Completed.Add(1)
	if o.completed++; o.completed > 1 {
		Live.Twice.Add(1)
	}
	o.p.call(run{s: s, phase: "complete"})
}

// Prompt needs a capability that some hosts lack.
type Prompt struct{ Scripts }

func (p *Prompt) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, end bool) filter.Action {
	return p.requestHeaders(s, h, end)
}

// Caller needs a capability that a process outside Envoy lacks.
type Caller struct{ Headers }

// Change is a Probe that may change the length of a body as it streams.
type Change struct{ Probe }
