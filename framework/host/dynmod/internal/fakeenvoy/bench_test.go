package fakeenvoy_test

import (
	"net/http"
	"runtime"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host/dynmod/internal/fakeenvoy"
)

// rw reads a request header and sets one header of each direction, as bench's plugins do.
type rw struct{}

func init() {
	filter.Register[rw]("fakerw", filter.Transform)
	filter.Register[constant]("fakeconstant", filter.Transform)
}

func (*rw) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	h.Set("x-user-id", h.Get("x-tag"))
	return filter.Continue
}

func (*rw) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	h.Set("x-served-by", "1")
	return filter.Continue
}

// constant is rw, but tells ahead what it sets in responses.
type constant struct{}

func (*constant) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, end bool) filter.Action {
	return (*rw)(nil).OnRequestHeaders(s, h, end)
}

func (*constant) SetsHeaders() (request, response http.Header) {
	return nil, http.Header{"X-Served-By": {"1"}}
}

// BenchmarkCrossing is what a request costs the host and the chain, and the Envoy that plays its part here.
func BenchmarkCrossing(b *testing.B) { crossing(b, "fakerw") }

// BenchmarkCrossingConstant is BenchmarkCrossing where Go is entered for the request only.
func BenchmarkCrossingConstant(b *testing.B) { crossing(b, "fakeconstant") }

func crossing(b *testing.B, plugin string) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	t := fakeenvoy.NewMain() // alone, as what other threads do depends on the time
	c, err := fakeenvoy.NewConfig(t, plugin, "{}")
	if err != nil {
		b.Fatalf("fakeenvoy.NewConfig: %v", err)
	}
	s := fakeenvoy.NewStream(c, t, 1)
	b.ReportAllocs()
	for b.Loop() {
		s.Headers(fakeenvoy.Request, true)
		s.Headers(fakeenvoy.Response, true)
		s.Complete()
		s.Destroy()
		s.Renew(c, t)
	}
	s.Destroy()
	flush(c, t)
	c.Release()
	if faults := fakeenvoy.Faults(); len(faults) > 0 {
		b.Errorf("faults: %q", faults)
	}
}
