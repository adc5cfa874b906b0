// Package passthrough takes part in every phase and does nothing.
package passthrough

import (
	"embed"

	"mosn.io/moe/framework/filter"
)

// Passthrough changes nothing. It is for measuring what a chain costs that has to be entered in every phase, and for
// telling whether Envoy loads a libmoe.so at all.
type Passthrough struct{}

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.Register[Passthrough]("passthrough", filter.Observe, filter.Docs(docs)) }

// OnRequestHeaders continues.
func (*Passthrough) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.Continue
}

// OnRequestBody continues.
func (*Passthrough) OnRequestBody(filter.Stream, filter.Body, bool) filter.Action {
	return filter.Continue
}

// OnRequestTrailers continues.
func (*Passthrough) OnRequestTrailers(filter.Stream, filter.Headers) filter.Action {
	return filter.Continue
}

// OnRequest is never called, as OnRequestHeaders does not wait for the body.
func (*Passthrough) OnRequest(filter.Stream, filter.RequestHeaders, filter.Body) filter.Action {
	return filter.Continue
}

// OnResponseHeaders continues.
func (*Passthrough) OnResponseHeaders(filter.Stream, filter.ResponseHeaders, bool) filter.Action {
	return filter.Continue
}

// OnResponseBody continues.
func (*Passthrough) OnResponseBody(filter.Stream, filter.Body, bool) filter.Action {
	return filter.Continue
}

// OnResponseTrailers continues.
func (*Passthrough) OnResponseTrailers(filter.Stream, filter.Headers) filter.Action {
	return filter.Continue
}

// OnResponse is never called, as OnResponseHeaders does not wait for the body.
func (*Passthrough) OnResponse(filter.Stream, filter.ResponseHeaders, filter.Body) filter.Action {
	return filter.Continue
}

// OnComplete does nothing.
func (*Passthrough) OnComplete(filter.Stream) {}
