// Package plugins holds the plugins that bench measures: each does as little as what it measures needs.
package plugins

import (
	"bytes"
	"context"
	"net/http"

	"mosn.io/moe/framework/filter"
)

const input = "x-bench"

func init() {
	filter.Register[One]("benchone", filter.Transform)
	filter.Register[Constant]("benchconstant", filter.Transform)
	filter.Register[Nop]("benchnop", filter.Transform)
	filter.Register[Async]("benchasync", filter.Transform)
	filter.Register[Body]("benchbody", filter.Transform)
	filter.Register[Wait]("benchwait", filter.Transform)
}

// One reads a request header and sets one request and one response header.
type One struct {
	Request  string `json:"request"`  // the request header to set, to the value of x-bench
	Response string `json:"response"` // the response header to set
}

// OnRequestHeaders copies a header.
func (o *One) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	h.Set(o.Request, h.Get(input))
	return filter.Continue
}

// OnResponseHeaders sets a header.
func (o *One) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	h.Set(o.Response, "1")
	return filter.Continue
}

// Constant does what One does, and tells the framework ahead what it does to responses.
type Constant struct {
	Request  string `json:"request"`  // the request header to set, to the value of x-bench
	Response string `json:"response"` // the response header to set
}

// OnRequestHeaders copies a header.
func (c *Constant) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	h.Set(c.Request, h.Get(input))
	return filter.Continue
}

// SetsHeaders sets a header of every response.
func (c *Constant) SetsHeaders() (request, response http.Header) {
	return nil, http.Header{c.Response: {"1"}}
}

// Nop has nothing to do. A plugin must implement some phase: this one never comes, because the load has no trailers.
type Nop struct{}

// OnRequestTrailers does nothing.
func (*Nop) OnRequestTrailers(filter.Stream, filter.Headers) filter.Action { return filter.Continue }

// Async decides on a goroutine, at once.
type Async struct{}

var async = filter.Go(func(context.Context) filter.Action { return filter.Continue })

// OnRequestHeaders starts the goroutine.
func (*Async) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return async
}

// Body reads both bodies while they stream.
type Body struct{}

// OnRequestBody reads a chunk.
func (*Body) OnRequestBody(_ filter.Stream, b filter.Body, _ bool) filter.Action { return read(b) }

// OnResponseBody reads a chunk.
func (*Body) OnResponseBody(_ filter.Stream, b filter.Body, _ bool) filter.Action { return read(b) }

// Wait takes both bodies as a whole, and replaces each by a copy.
type Wait struct{}

// OnRequest replaces the request's body.
func (*Wait) OnRequest(_ filter.Stream, _ filter.RequestHeaders, b filter.Body) filter.Action {
	return replace(b)
}

// OnResponse replaces the response's body.
func (*Wait) OnResponse(_ filter.Stream, _ filter.ResponseHeaders, b filter.Body) filter.Action {
	return replace(b)
}

func read(b filter.Body) filter.Action {
	if bytes.IndexByte(b.Bytes(), 0) >= 0 {
		return filter.Reply(400, "the benchmark sends no zeros")
	}
	return filter.Continue
}

func replace(b filter.Body) filter.Action {
	b.Set(bytes.Clone(b.Bytes()))
	return filter.Continue
}
