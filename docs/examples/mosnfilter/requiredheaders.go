// Package mosnfilter is a stream filter for MOSN and for Envoy. It passes requests whose headers have the values in its
// configuration, and answers others with 403:
//
//	{"type": "required_headers", "config": {"x-tenant": "blue"}}
//
// It imports MOSN's API and nothing of MoE. In MOSN, its import in the main package is enough. For Envoy, "moe build --with"
// puts it into a library.
package mosnfilter

import (
	"context"
	"fmt"

	"mosn.io/api"
	"mosn.io/pkg/log"
)

func init() { api.RegisterStream("required_headers", New) }

// New returns a factory for a configuration: values by the names of headers.
func New(config map[string]interface{}) (api.StreamFilterChainFactory, error) {
	f := factory{}
	for name, value := range config {
		text, isText := value.(string)
		if !isText {
			return nil, fmt.Errorf("%s: expected a string, got %T", name, value)
		}
		f[name] = text
	}
	return f, nil
}

// factory makes the filters of a listener. It has the required values by name.
type factory map[string]string

// CreateFilterChain adds the filter of a stream, to run before the route is chosen.
func (f factory) CreateFilterChain(_ context.Context, callbacks api.StreamFilterChainFactoryCallbacks) {
	callbacks.AddStreamReceiverFilter(&filter{required: f}, api.BeforeRoute)
}

type filter struct {
	required map[string]string
	handler  api.StreamReceiverFilterHandler
}

// SetReceiveFilterHandler keeps what the filter answers with.
func (f *filter) SetReceiveFilterHandler(handler api.StreamReceiverFilterHandler) {
	f.handler = handler
}

// OnReceive answers a request that lacks a header. It passes the request's headers to the answer, because MOSN takes 403 over
// HTTP/1 with no other; MOSN sends them back to the client, and MoE does not.
func (f *filter) OnReceive(ctx context.Context, headers api.HeaderMap, _ api.IoBuffer, _ api.HeaderMap) api.StreamFilterStatus {
	for name, want := range f.required {
		if got, _ := headers.Get(name); got != want {
			log.DefaultContextLogger.Infof(ctx, "[required_headers] %s is not as required", name)
			f.handler.SendHijackReplyWithBody(403, headers, name+" is not as required")
			return api.StreamFilterStop
		}
	}
	return api.StreamFilterContinue
}

// OnDestroy has nothing to give back.
func (f *filter) OnDestroy() {}
