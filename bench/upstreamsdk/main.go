// Command upstreamsdk is a dynamic module made with Envoy's own Go SDK, to compare with. It must run with
// GODEBUG=cgocheck=0, because the SDK hands Go memory to C.
//
// The filter's name says what it does: "nop" nothing; "one" reads a request header and sets one request and one
// response header, whose names are its configuration, "REQUEST RESPONSE"; "async" stops the request, and has a
// goroutine schedule its continuation at once.
package main

import (
	"fmt"
	"strings"

	sdk "github.com/envoyproxy/envoy/source/extensions/dynamic_modules/sdk/go"
	_ "github.com/envoyproxy/envoy/source/extensions/dynamic_modules/sdk/go/abi"
	"github.com/envoyproxy/envoy/source/extensions/dynamic_modules/sdk/go/shared"
)

const input = "x-bench"

func main() {}

func init() {
	sdk.RegisterHttpFilterConfigFactories(map[string]shared.HttpFilterConfigFactory{
		"nop":   &nop{},
		"one":   &one{},
		"async": &async{},
	})
}

// The filters below have no state of a stream beyond what the SDK keeps, so that a configuration that needs none of
// it is its own filter.

type nop struct {
	shared.EmptyHttpFilterConfigFactory
	shared.EmptyHttpFilter
}

func (n *nop) Create(shared.HttpFilterConfigHandle, []byte) (shared.HttpFilterFactory, error) {
	return factory(func(shared.HttpFilterHandle) shared.HttpFilter { return n }), nil
}

type one struct {
	shared.EmptyHttpFilterConfigFactory
}

func (*one) Create(_ shared.HttpFilterConfigHandle, config []byte) (shared.HttpFilterFactory, error) {
	request, response, ok := strings.Cut(string(config), " ")
	if !ok {
		return nil, fmt.Errorf("configuration %q is not REQUEST RESPONSE", config)
	}
	f := &oneFilter{request: request, response: response}
	return factory(func(shared.HttpFilterHandle) shared.HttpFilter { return f }), nil
}

type oneFilter struct {
	shared.EmptyHttpFilter
	request, response string
}

// The value is not copied: this is the least that the SDK can be made to cost.
func (f *oneFilter) OnRequestHeaders(h shared.HeaderMap, _ bool) shared.HeadersStatus {
	h.Set(f.request, h.GetOne(input).ToUnsafeString())
	return shared.HeadersStatusContinue
}

func (f *oneFilter) OnResponseHeaders(h shared.HeaderMap, _ bool) shared.HeadersStatus {
	h.Set(f.response, "1")
	return shared.HeadersStatusContinue
}

type async struct {
	shared.EmptyHttpFilterConfigFactory
}

func (*async) Create(shared.HttpFilterConfigHandle, []byte) (shared.HttpFilterFactory, error) {
	return factory(func(h shared.HttpFilterHandle) shared.HttpFilter { return &asyncFilter{handle: h} }), nil
}

type asyncFilter struct {
	shared.EmptyHttpFilter
	handle shared.HttpFilterHandle
}

func (f *asyncFilter) OnRequestHeaders(shared.HeaderMap, bool) shared.HeadersStatus {
	s := f.handle.GetScheduler()
	go s.Schedule(f.handle.ContinueRequest)
	return shared.HeadersStatusStopAllAndBuffer
}

// factory makes a filter for each stream.
type factory func(shared.HttpFilterHandle) shared.HttpFilter

func (f factory) Create(h shared.HttpFilterHandle) shared.HttpFilter { return f(h) }
func (factory) OnDestroy()                                           {}
