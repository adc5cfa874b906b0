package bootstrap

import (
	"fmt"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	inspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	quicv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/quic/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"mosn.io/moe/framework/document"
)

// Listener is where clients connect.
type Listener struct {
	// Name of the listener in Envoy's configuration, and of its statistics.
	Name string `json:"name" validate:"required"`
	// Address is the IP address and port to listen on; :PORT is all addresses, port 0 any free one.
	Address string `json:"address" validate:"required"`
	// TLS has clients speak TLS; without it they speak HTTP/1.1 or HTTP/2 in plain text.
	TLS *ListenerTLS `json:"tls"`
	// HTTP3 takes HTTP/3 on the same port of UDP, too, and tells clients so (alt-svc). It needs tls.
	HTTP3 bool `json:"http3"`
	// TCP passes connections on as they are: no plugins and no routes, but networkFilters.
	TCP *TCP `json:"tcp"`
	// UDP takes datagrams in place of connections, and passes them on: no plugins and no routes, but udpFilters.
	UDP *UDP `json:"udp"`
	// ListenerFilters are listener filters in Go, in order, before all that Envoy does with a connection.
	ListenerFilters []ListenerFilter `json:"listenerFilters"`
	// NetworkFilters are network filters in Go, in order, before what takes HTTP or passes TCP on.
	NetworkFilters []NetworkFilter `json:"networkFilters"`
	// UDPFilters are UDP filters in Go, in order, before what passes datagrams on.
	UDPFilters []UDPFilter `json:"udpFilters"`
}

// TakesHTTP reports whether plugins and routes are for l.
func (l *Listener) TakesHTTP() bool { return l.TCP == nil && l.UDP == nil }

// protocols returns what l listens to.
func (l *Listener) protocols() []string {
	switch {
	case l.UDP != nil:
		return []string{"udp"}
	case l.HTTP3:
		return []string{"tcp", "udp"}
	}
	return []string{"tcp"}
}

// quicSuffix is what the name of the listener for HTTP/3 has more than that of its listener for TCP.
const quicSuffix = "-http3"

// connectTimeout is how long a client may take for the TLS handshake.
const handshakeTimeout = 10 * time.Second

// listener adds l: one for UDP, or one for TCP and, if it takes HTTP/3, one for QUIC.
func (b *builder) listener(l *Listener) error {
	address, err := ParseAddress(l.Address)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	if l.UDP != nil {
		return b.udpListener(l, address)
	}
	chain, manager, err := b.filterChain(l)
	if err != nil {
		return err
	}
	tcp := &listenerv3.Listener{
		Name: l.Name, Address: address, PerConnectionBufferLimitBytes: b.o.Edge.Limits.buffer(),
		FilterChains: []*listenerv3.FilterChain{chain},
	}
	b.r.Listeners = append(b.r.Listeners, tcp)
	if tcp.ListenerFilters, err = b.listenerFilters(l); err != nil {
		return err
	}
	// Network filters may ask for the server name, which Envoy has of its TLS inspector alone.
	if l.TCP != nil && l.TCP.ServerNames || l.TLS != nil && len(l.TLS.ServerNames)+len(l.NetworkFilters) > 0 {
		tcp.ListenerFilters = append(tcp.ListenerFilters, listenerFilter("envoy.filters.listener.tls_inspector",
			&inspectorv3.TlsInspector{}))
	}
	if l.TLS == nil {
		return nil
	}
	context := b.listenerTLS(l)
	if l.TCP != nil {
		context.CommonTlsContext.AlpnProtocols = nil // those of HTTP
	}
	chain.TransportSocket = transportSocket("envoy.transport_sockets.tls", context)
	chain.TransportSocketConnectTimeout = durationpb.New(handshakeTimeout)
	if len(l.TLS.ServerNames) > 0 {
		chain.FilterChainMatch = &listenerv3.FilterChainMatch{ServerNames: l.TLS.ServerNames}
	}
	if l.HTTP3 {
		b.r.Listeners = append(b.r.Listeners, b.quic(l, address, manager, chain.FilterChainMatch))
	}
	return nil
}

// filterChain handles what comes in at l: by its network filters, and then tcp_proxy or a connection manager, which it
// returns, too.
func (b *builder) filterChain(l *Listener) (*listenerv3.FilterChain, *hcmv3.HttpConnectionManager, error) {
	filters, err := b.networkFilters(l)
	if err != nil {
		return nil, nil, err
	}
	if l.TCP != nil {
		return &listenerv3.FilterChain{Filters: append(filters, l.TCP.proxy(l))}, nil, nil
	}
	routes, err := b.routes(l)
	if err != nil {
		return nil, nil, err
	}
	manager, err := b.connectionManager(l, routes)
	if err != nil {
		return nil, nil, err
	}
	chain := filterChain(manager)
	chain.Filters = append(filters, chain.Filters...)
	return chain, manager, nil
}

// quic is the listener for HTTP/3 beside l's for TCP, with the same connection manager.
func (b *builder) quic(
	l *Listener, address *corev3.Address, manager *hcmv3.HttpConnectionManager, match *listenerv3.FilterChainMatch,
) *listenerv3.Listener {
	manager = proto.Clone(manager).(*hcmv3.HttpConnectionManager)
	h := &b.o.Edge.HTTP
	manager.CodecType = hcmv3.HttpConnectionManager_HTTP3
	manager.Http2ProtocolOptions = nil
	manager.Http3ProtocolOptions = &corev3.Http3ProtocolOptions{QuicProtocolOptions: &corev3.QuicProtocolOptions{
		MaxConcurrentStreams:        wrapperspb.UInt32(h.MaxConcurrentStreams),
		InitialStreamWindowSize:     wrapperspb.UInt32(min(uint32(h.InitialStreamWindowSize), 16<<20)),
		InitialConnectionWindowSize: wrapperspb.UInt32(min(uint32(h.InitialConnectionWindowSize), 24<<20)),
	}}
	context := b.listenerTLS(l)
	context.CommonTlsContext.AlpnProtocols = nil // QUIC has h3, and nothing to choose
	chain := filterChain(manager)
	chain.FilterChainMatch = match
	chain.TransportSocket = transportSocket("envoy.transport_sockets.quic",
		&quicv3.QuicDownstreamTransport{DownstreamTlsContext: context})
	address = proto.Clone(address).(*corev3.Address)
	address.GetSocketAddress().Protocol = corev3.SocketAddress_UDP
	return &listenerv3.Listener{
		Name: l.Name + quicSuffix, Address: address, FilterChains: []*listenerv3.FilterChain{chain},
		UdpListenerConfig: &listenerv3.UdpListenerConfig{QuicOptions: &listenerv3.QuicProtocolOptions{}},
	}
}

func filterChain(manager *hcmv3.HttpConnectionManager) *listenerv3.FilterChain {
	return &listenerv3.FilterChain{Filters: []*listenerv3.Filter{{
		Name:       "envoy.filters.network.http_connection_manager",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(manager)},
	}}}
}

func transportSocket(name string, config proto.Message) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name: name, ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(config)},
	}
}

// connectionManager handles what comes in at l, whose routes are given.
func (b *builder) connectionManager(
	l *Listener, routes *routev3.RouteConfiguration,
) (*hcmv3.HttpConnectionManager, error) {
	filters, err := b.httpFilters()
	if err != nil {
		return nil, err
	}
	loggers, err := b.accessLoggers()
	if err != nil {
		return nil, err
	}
	upgrades := []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}}
	if b.o.ExtProc != nil {
		upgrades = b.o.ExtProc.upgrades(filters, b.o.parts())
	}
	m := &hcmv3.HttpConnectionManager{StatPrefix: l.Name, HttpFilters: filters, UpgradeConfigs: upgrades, AccessLog: loggers}
	b.refer(m, routes)
	b.o.Edge.protect(m)
	m.Http2ProtocolOptions.AllowConnect = b.o.ExtProc != nil
	l.TLS.forward(m)
	return m, nil
}

// httpFilters are those of every listener: the plugins', if there are plugins, Envoy's own around and between them, and
// the router.
func (b *builder) httpFilters() (filters []*hcmv3.HttpFilter, err error) {
	parts := b.o.parts()
	for boundary := range len(document.Stages) + 1 {
		filters = append(filters, b.natives(boundary)...)
		for i := range parts {
			if parts[i].First() != boundary {
				continue
			}
			f, err := b.part(&parts[i])
			if err != nil {
				return nil, err
			}
			filters = append(filters, f)
		}
	}
	return append(filters, httpFilter("envoy.filters.http.router", &routerv3.Router{})), nil
}

// part returns a filter with plugins.
func (b *builder) part(p *Part) (*hcmv3.HttpFilter, error) {
	if b.o.ExtProc != nil {
		return httpFilter(p.Name, b.o.ExtProc.filter(p)), nil
	}
	config, err := b.o.filter(p)
	if err != nil {
		return nil, err
	}
	return b.filter(p.Name, config), nil
}

// routes returns those of a listener.
func (b *builder) routes(l *Listener) (*routev3.RouteConfiguration, error) {
	var routes []*routev3.Route
	for i := range b.o.Routes {
		r := &b.o.Routes[i]
		if !r.at(l.Name) {
			continue
		}
		route, err := b.route(r)
		if err != nil {
			return nil, fmt.Errorf("routes[%d]: %w", i, err)
		}
		routes = append(routes, route)
	}
	if b.o.Default != "" {
		rest := &routev3.Route{
			Name:  "default",
			Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		}
		b.action(rest, Action{Upstream: b.o.Default})
		routes = append(routes, rest)
	}
	c := &routev3.RouteConfiguration{
		Name:         l.Name + b.o.division(),
		VirtualHosts: []*routev3.VirtualHost{{Name: l.Name, Domains: []string{"*"}, Routes: routes}},
	}
	if l.HTTP3 {
		c.ResponseHeadersToAdd = []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{
			Key: "alt-svc", Value: fmt.Sprintf(`h3=":%d"; ma=86400`, portOf(l.Address)),
		}}}
	}
	return c, nil
}

func httpFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(config)}}
}
