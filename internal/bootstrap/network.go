package bootstrap

import (
	"fmt"
	"slices"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	modulesv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/dynamic_modules/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"mosn.io/moe/framework/config"
)

// NetworkFilter is a network filter in Go: it sees the connections of a listener, and their bytes.
type NetworkFilter struct {
	// Name is the one that it is registered under.
	Name string `json:"name" validate:"required"`
	// Config is its configuration.
	Config map[string]any `json:"config"`
}

// TCP passes connections on as they are.
type TCP struct {
	// Upstream is where connections go: an address such as HOST:PORT, or a name of upstreams.
	Upstream string `json:"upstream" validate:"required"`
	// ServerNames has Envoy wait for the client's first bytes, and look for the server name that its TLS asks for. It is for
	// protocols in which the client speaks first.
	ServerNames bool `json:"serverNames"`
	// IdleTimeout closes connections on which nothing passes.
	IdleTimeout time.Duration `json:"idleTimeout" default:"1h" validate:"min=0"`
}

func (o *Options) checkNetwork(p *problems, at string, l *Listener) {
	if l.TCP != nil {
		if l.HTTP3 {
			p.add(at+".http3", "a listener with tcp takes no HTTP")
		}
		if name := l.TCP.Upstream; name != "" && !slices.Contains(o.upstreamNames(), name) {
			p.add(at+".tcp.upstream", "%s", config.Unknown("upstream", name, o.upstreamNames()))
		}
	}
	if len(l.NetworkFilters) == 0 {
		return
	}
	if l.HTTP3 {
		p.add(at+".networkFilters", "they see TCP, and nothing of HTTP/3; leave http3 out")
	}
	if o.ExtProc != nil || o.Golang != nil {
		p.add(at+".networkFilters", "network filters in Go run in Envoys that load MoE as a dynamic module; leave them out with "+
			"another host")
	}
}

// networkFilters are those of a listener that stand before what handles its connections.
func (b *builder) networkFilters(l *Listener) (all []*listenerv3.Filter, err error) {
	for i, f := range l.NetworkFilters {
		s, err := toStruct(f.Config)
		if err != nil {
			return nil, fmt.Errorf("networkFilters[%d]: %w", i, err)
		}
		all = append(all, networkFilter(b.o.connectionName(f.Name), &modulesv3.DynamicModuleNetworkFilter{
			DynamicModuleConfig: module(Name), FilterName: f.Name, FilterConfig: pack(s),
		}))
	}
	return all, nil
}

func networkFilter(name string, config proto.Message) *listenerv3.Filter {
	return &listenerv3.Filter{Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(config)}}
}

func (t *TCP) proxy(l *Listener) *listenerv3.Filter {
	return networkFilter("envoy.filters.network.tcp_proxy", &tcpv3.TcpProxy{
		StatPrefix: l.Name, ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: t.Upstream},
		IdleTimeout: durationpb.New(t.IdleTimeout),
	})
}

// runtime has Envoy wait with closing a connection for a network filter that has something at hand.
func (o *Options) runtime() *bootstrapv3.LayeredRuntime {
	if !slices.ContainsFunc(o.Listeners, func(l Listener) bool { return len(l.NetworkFilters) > 0 }) {
		return nil
	}
	layer, err := toStruct(map[string]any{"envoy.reloadable_features.connection_close_through_filter_manager": true})
	if err != nil {
		return nil
	}
	return &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{{
		Name: Name, LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: layer},
	}}}
}
