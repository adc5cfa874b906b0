// Package bootstrap writes the Envoy configuration that puts MoE's plugins before one upstream.
package bootstrap

import (
	"fmt"
	"net/url"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Name is how the configuration calls its listener, its filter, its cluster and the dynamic module.
const Name = "moe"

// Options are what the configuration depends on.
type Options struct {
	Listen   string   // host:port, or :port for all addresses; port 0 lets the kernel choose
	Admin    string   // as Listen, for Envoy's admin listener
	Upstream *url.URL // scheme http, h2c or https, and host[:port]
	// KeepProtocol speaks to the upstream what the client spoke, HTTP/1.1 or HTTP/2 without TLS: for an upstream that
	// understands both. It is only for the scheme http.
	KeepProtocol bool
	Edge         Edge           // what stands in front, and limits; see DefaultEdge
	Filter       map[string]any // the document of the filter (plugins, consumers, order, …); nil leaves the filter out
	Routes       []Route        // tried in order; what matches none gets the filter's own plugins
	ExtProc      *ExtProc       // the plugins run in that server, which has their configuration
	Golang       *Golang        // the plugins run in Envoy's Golang filter
}

// Route has a configuration of its own for the requests that match.
type Route struct {
	Name  string // in Envoy's configuration; may be empty
	Match Match
	Doc   map[string]any // merged over the filter's; nil changes nothing
}

// New returns the configuration. An error names the option at fault.
func New(o Options) (*bootstrapv3.Bootstrap, error) {
	listen, err := ParseAddress(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	admin, err := ParseAddress(o.Admin)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	cluster, err := upstream(o)
	if err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	clusters := []*clusterv3.Cluster{cluster}
	if o.ExtProc != nil {
		server, err := o.ExtProc.cluster()
		if err != nil {
			return nil, fmt.Errorf("server: %w", err)
		}
		clusters = append(clusters, server)
	}
	manager, err := connectionManager(o)
	if err != nil {
		return nil, err
	}
	return &bootstrapv3.Bootstrap{
		Node: &corev3.Node{Id: Name, Cluster: Name},
		// Whoever looks why Envoy is full must get in.
		Admin:           &bootstrapv3.Admin{Address: admin, IgnoreGlobalConnLimit: true},
		OverloadManager: o.Edge.Limits.overloadManager(),
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{
			Listeners: []*listenerv3.Listener{{
				Name:    Name,
				Address: listen,
				FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
					Name:       "envoy.filters.network.http_connection_manager",
					ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(manager)},
				}}}},
				PerConnectionBufferLimitBytes: o.Edge.Limits.buffer(),
			}},
			Clusters: clusters,
		},
	}, nil
}

func connectionManager(o Options) (*hcmv3.HttpConnectionManager, error) {
	var filters []*hcmv3.HttpFilter
	if o.ExtProc != nil {
		filters = append(filters, httpFilter(Name, o.ExtProc.filter()))
	} else if o.Filter != nil {
		config, err := o.filter()
		if err != nil {
			return nil, err
		}
		filters = append(filters, httpFilter(Name, config))
	}
	filters = append(filters, httpFilter("envoy.filters.http.router", &routerv3.Router{}))

	upgrades := []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}}
	if o.ExtProc != nil {
		upgrades = o.ExtProc.upgrades(filters[len(filters)-1])
	}

	routes := make([]*routev3.Route, 0, len(o.Routes)+1)
	for i, r := range o.Routes {
		route, err := r.build(o)
		if err != nil {
			return nil, fmt.Errorf("routes[%d]: %w", i, err)
		}
		routes = append(routes, route)
	}
	rest := &routev3.Route{
		Name:   "default",
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: action(o),
	}
	m := &hcmv3.HttpConnectionManager{
		StatPrefix: Name,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name: Name,
			VirtualHosts: []*routev3.VirtualHost{{
				Name: Name, Domains: []string{"*"}, Routes: append(routes, rest),
			}},
		}},
		HttpFilters:    filters,
		UpgradeConfigs: upgrades,
	}
	o.Edge.protect(m)
	m.Http2ProtocolOptions.AllowConnect = o.ExtProc != nil
	return m, nil
}

// action sends a request upstream, for as long as something moves, which the stream's idle timeout sees to: streams and
// debuggers have no fifteen seconds.
func action(o Options) *routev3.Route_Route {
	a := &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: Name},
		Timeout:          durationpb.New(0),
	}
	if o.Upstream.Scheme == "https" {
		// A server with a certificate for its name expects that name in the request, too.
		a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: o.Upstream.Host}
	}
	return &routev3.Route_Route{Route: a}
}

func httpFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(config)}}
}

// pack cannot fail: only a string that is not UTF-8 could make it, and those are refused before.
func pack(m proto.Message) *anypb.Any {
	packed, err := anypb.New(m)
	if err != nil {
		panic(err)
	}
	return packed
}
