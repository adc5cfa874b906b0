package filter_test

import (
	"fmt"
	"net/http"

	"mosn.io/moe/framework/filter"
)

// Rewrite shows what can be done to headers.
type Rewrite struct{ report func(...any) }

func init() { filter.Register[Rewrite]("rewrite", filter.Transform) }

func (p *Rewrite) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	p.report(h.Method(), h.Scheme(), h.Host(), h.Path(), h.Values("x-tag"))
	h.SetMethod(http.MethodGet)
	h.SetHost("internal.example")
	h.Add("x-tag", "c")
	copied := h.HTTP() // a net/http header, for a library that takes one
	p.report(copied["X-Tag"], h.Len() > len(copied))
	return filter.Continue
}

func (p *Rewrite) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	if h.Status() == http.StatusNotFound && s.RequestHeaders().Method() == http.MethodGet {
		h.SetStatus(http.StatusGone)
		h.SetCookie(&http.Cookie{Name: "seen", Value: "1"})
	}
	return filter.Continue
}

func (p *Rewrite) OnComplete(s filter.Stream) {
	p.report("answered with", s.ResponseHeaders().Status())
}

// Headers may be changed until the phase that received them is over.
func ExampleHeaders() {
	h := run(&Rewrite{report: func(args ...any) { fmt.Println(args...) }})
	h.Upstream = http.NotFoundHandler()
	r := h.Post("/a?b", "", "x-tag", "a", "x-tag", "b")
	fmt.Println(r.Status, r.Header.Get("set-cookie"), r.Upstream.Host)
	// Output:
	// POST http example.com /a?b [a b]
	// [a b c] true
	// answered with 410
	// 410 seen=1 internal.example
}

// Trailing reads the trailers of both directions: gRPC's status is among the response's.
type Trailing struct{ report func(...any) }

func init() { filter.Register[Trailing]("trailing", filter.Observe) }

func (p *Trailing) OnRequestTrailers(_ filter.Stream, t filter.Headers) filter.Action {
	p.report("request", t.Get("x-checksum"))
	return filter.Continue
}

func (p *Trailing) OnResponseTrailers(s filter.Stream, t filter.Headers) filter.Action {
	t.Set("x-checksum", s.RequestTrailers().Get("x-checksum"))
	return filter.Continue
}

func (p *Trailing) OnComplete(s filter.Stream) {
	p.report("response", s.ResponseTrailers().Get("grpc-status"))
}

// Trailers come after the whole body, where a message has any.
func ExampleResponseTrailersHandler() {
	h := run(&Trailing{report: func(args ...any) { fmt.Println(args...) }})
	fmt.Println(h.GRPC("/pkg.Service/Method", "message").GRPCStatus)
	// Output:
	// response 0
	// 0
}
