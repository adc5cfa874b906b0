// Command plugins is a library of HTTP filters built with upstream's Golang SDK, as anybody builds one for
// envoy.filters.http.golang: the bridge's tests run it on stock Envoy.
package main

import (
	"net/url"

	xds "github.com/cncf/xds/go/xds/type/v3"
	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"
	"github.com/envoyproxy/envoy/contrib/golang/filters/http/source/go/pkg/http"
	"google.golang.org/protobuf/types/known/anypb"
)

func main() {}

// parser reads a TypedStruct into a map; a route's entries are put over the filter's.
type parser struct{}

func (parser) Parse(a *anypb.Any, _ api.ConfigCallbackHandler) (any, error) {
	s := &xds.TypedStruct{}
	if a.GetTypeUrl() == "" {
		return map[string]any{}, nil
	}
	if err := a.UnmarshalTo(s); err != nil {
		return nil, err
	}
	return s.GetValue().AsMap(), nil
}

func (parser) Merge(parent, child any) any {
	merged := map[string]any{}
	for _, m := range []any{parent, child} {
		for k, v := range m.(map[string]any) {
			merged[k] = v
		}
	}
	return merged
}

// register adds a plugin whose filters new makes from their configuration.
func register(name string, newFilter func(config map[string]any, cb api.FilterCallbackHandler) api.StreamFilter) {
	http.RegisterHttpFilterFactoryAndConfigParser(name, func(c any, cb api.FilterCallbackHandler) api.StreamFilter {
		return newFilter(c.(map[string]any), cb)
	}, parser{})
}

func init() {
	register("passthrough", func(map[string]any, api.FilterCallbackHandler) api.StreamFilter {
		return &api.PassThroughStreamFilter{}
	})
}

// query returns the query of a request's path.
func query(h api.RequestHeaderMap) url.Values {
	u, err := url.Parse(h.Path())
	if err != nil {
		return nil
	}
	return u.Query()
}

// turn runs f: at once, or in a goroutine if async, which then goes on with the status that f returns.
func turn(async bool, cb api.FilterProcessCallbacks, f func() api.StatusType) api.StatusType {
	if !async {
		return f()
	}
	go func() {
		defer cb.RecoverPanic()
		if status := f(); status != api.LocalReply {
			cb.Continue(status)
		}
	}()
	return api.Running
}
