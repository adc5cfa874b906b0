package bootstrap

import (
	"fmt"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	modulesv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/dynamic_modules/v3"
	"google.golang.org/protobuf/proto"
)

// ListenerFilter is a listener filter in Go: it sees a connection before Envoy does anything with it.
type ListenerFilter struct {
	// Name is the one that it is registered under.
	Name string `json:"name" validate:"required"`
	// Config is its configuration.
	Config map[string]any `json:"config"`
}

func (o *Options) checkListenerFilters(p *problems, at string, l *Listener) {
	switch {
	case len(l.ListenerFilters) == 0:
	case o.ExtProc != nil || o.Golang != nil:
		p.add(at+".listenerFilters", "listener filters in Go run in Envoys that load MoE as a dynamic module; leave them out "+
			"with another host")
	case l.HTTP3:
		p.add(at+".listenerFilters", "they see TCP, and nothing of HTTP/3; leave http3 out")
	}
}

// listenerFilters are those of a listener in Go.
func (b *builder) listenerFilters(l *Listener) (all []*listenerv3.ListenerFilter, err error) {
	for i, f := range l.ListenerFilters {
		s, err := toStruct(f.Config)
		if err != nil {
			return nil, fmt.Errorf("listenerFilters[%d]: %w", i, err)
		}
		all = append(all, listenerFilter(b.o.connectionName(f.Name), &modulesv3.DynamicModuleListenerFilter{
			DynamicModuleConfig: module(Name), FilterName: f.Name, FilterConfig: pack(s),
		}))
	}
	return all, nil
}

// connectionName is what Envoy calls a listener, network or UDP filter; it finds the extension by the type of the configuration.
func (o *Options) connectionName(name string) string {
	if o.OtherConnections {
		name += "-other"
	}
	return name
}

func listenerFilter(name string, config proto.Message) *listenerv3.ListenerFilter {
	return &listenerv3.ListenerFilter{
		Name: name, ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: pack(config)},
	}
}
