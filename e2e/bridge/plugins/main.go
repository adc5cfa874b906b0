// Command plugins is a library of plugins on upstream's Golang SDK, as one would build it for Envoy's contrib image. Each
// plugin shows one behaviour that the SDK promises; the tests in the folder above run them through the bridge.
package main

import (
	"fmt"
	"net/url"
	"time"

	xds "github.com/cncf/xds/go/xds/type/v3"
	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"
	"github.com/envoyproxy/envoy/contrib/golang/filters/http/source/go/pkg/http"
	"google.golang.org/protobuf/types/known/anypb"
)

func main() {}

// settings are the plugin_config.
type settings map[string]string

// parser reads a TypedStruct. What a route says replaces what its parent says, name by name.
type parser struct{}

func (parser) Parse(a *anypb.Any, _ api.ConfigCallbackHandler) (any, error) { return parse(a) }

func parse(a *anypb.Any) (settings, error) {
	s := settings{}
	if a.GetTypeUrl() == "" {
		return s, nil
	}
	var ts xds.TypedStruct
	if err := a.UnmarshalTo(&ts); err != nil {
		return nil, err
	}
	for k, v := range ts.GetValue().AsMap() {
		s[k] = fmt.Sprint(v)
	}
	if s["refuse"] != "" {
		return nil, fmt.Errorf("refused: %s", s["refuse"])
	}
	return s, nil
}

func (parser) Merge(parent, child any) any {
	merged := settings{}
	for _, s := range []any{parent, child} {
		for k, v := range s.(settings) {
			merged[k] = v
		}
	}
	return merged
}

// register names a plugin.
func register(name string, f func(settings, api.FilterCallbackHandler) api.StreamFilter) {
	http.RegisterHttpFilterFactoryAndConfigParser(name, func(c any, cb api.FilterCallbackHandler) api.StreamFilter {
		return f(c.(settings), cb)
	}, parser{})
}

// stream is what most plugins need: the query of the request says what to do.
type stream struct {
	api.PassThroughStreamFilter
	cb       api.FilterCallbackHandler
	settings settings
	query    url.Values
}

func (s *stream) read(h api.RequestHeaderMap) {
	_, q, _ := cutQuery(h.Path())
	s.query, _ = url.ParseQuery(q)
}

func cutQuery(path string) (string, string, bool) {
	for i := range path {
		if path[i] == '?' {
			return path[:i], path[i+1:], true
		}
	}
	return path, "", false
}

// run answers a phase: at once, or from a goroutine if the query has async.
func (s *stream) run(p api.FilterProcessCallbacks, f func() api.StatusType) api.StatusType {
	if !s.query.Has("async") {
		return f()
	}
	go func() {
		defer p.RecoverPanic()
		if status := f(); status != api.LocalReply {
			p.Continue(status)
		}
	}()
	return api.Running
}

func (s *stream) nap(what string) {
	if s.query.Get(what) != "" {
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *stream) decoder() api.DecoderFilterCallbacks { return s.cb.DecoderFilterCallbacks() }
func (s *stream) encoder() api.EncoderFilterCallbacks { return s.cb.EncoderFilterCallbacks() }

func init() {
	http.RegisterHttpFilterFactoryAndConfigParser("passthrough", http.PassThroughFactory, parser{})
}
