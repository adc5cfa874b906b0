// Command golangsdk is a library for Envoy's Golang filter made with Envoy's own Go SDK for it, to compare with. It must
// run with GODEBUG=cgocheck=0, because the SDK hands Go memory to C.
//
// The plugin's name says what it does: "nop" nothing; "one" reads a request header and sets one request and one response
// header, whose names its configuration has as "request" and "response".
package main

import (
	"fmt"

	typev3 "github.com/cncf/xds/go/xds/type/v3"
	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"
	"github.com/envoyproxy/envoy/contrib/golang/filters/http/source/go/pkg/http"
	"google.golang.org/protobuf/types/known/anypb"
)

const input = "x-bench"

func main() {}

func init() {
	http.RegisterHttpFilterFactoryAndConfigParser("nop", func(any, api.FilterCallbackHandler) api.StreamFilter {
		return &nop{}
	}, http.NullParser)
	http.RegisterHttpFilterFactoryAndConfigParser("one", func(c any, _ api.FilterCallbackHandler) api.StreamFilter {
		return &one{config: c.(*config)}
	}, parser{})
}

type nop struct{ api.PassThroughStreamFilter }

type config struct{ request, response string }

type one struct {
	api.PassThroughStreamFilter
	config *config
}

// DecodeHeaders copies a header.
func (f *one) DecodeHeaders(h api.RequestHeaderMap, _ bool) api.StatusType {
	v, _ := h.Get(input)
	h.Set(f.config.request, v)
	return api.Continue
}

// EncodeHeaders sets a header.
func (f *one) EncodeHeaders(h api.ResponseHeaderMap, _ bool) api.StatusType {
	h.Set(f.config.response, "1")
	return api.Continue
}

type parser struct{}

// Parse reads a TypedStruct.
func (parser) Parse(a *anypb.Any, _ api.ConfigCallbackHandler) (any, error) {
	var s typev3.TypedStruct
	if err := a.UnmarshalTo(&s); err != nil {
		return nil, err
	}
	c := &config{
		s.GetValue().GetFields()["request"].GetStringValue(), s.GetValue().GetFields()["response"].GetStringValue(),
	}
	if c.request == "" || c.response == "" {
		return nil, fmt.Errorf("request and response must be names of headers")
	}
	return c, nil
}

// Merge takes the child.
func (parser) Merge(_, child any) any { return child }
