package bootstrap

import (
	"fmt"
	"slices"
	"time"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	modulesv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/dynamic_modules/v3"
	udpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/extension"
)

// UDPFilter is a UDP filter in Go: it sees the datagrams that clients send to a listener.
type UDPFilter struct {
	// Name is the one that it is registered under.
	Name string `json:"name" validate:"required"`
	// Config is its configuration.
	Config map[string]any `json:"config"`
}

// UDP passes datagrams on, and their answers back.
type UDP struct {
	// Upstream is where datagrams go that the filters let pass: an address such as HOST:PORT, or a name of upstreams. Without
	// one they are dropped.
	Upstream string `json:"upstream"`
	// IdleTimeout ends a client's session, with its own port towards the upstream, when nothing has passed for that long.
	IdleTimeout time.Duration `json:"idleTimeout" default:"1m" validate:"min=1ms"`
	// MaxDatagramSize is how long a datagram may be, in both directions; longer ones are dropped.
	MaxDatagramSize extension.Size `json:"maxDatagramSize" default:"1500" validate:"min=1,max=65535"`
}

func (o *Options) checkUDP(p *problems, at string, l *Listener) {
	if l.UDP == nil {
		if len(l.UDPFilters) > 0 {
			p.add(at+".udpFilters", "they are for listeners with udp")
		}
		return
	}
	for _, f := range []field{
		{"tls", l.TLS != nil},
		{"http3", l.HTTP3},
		{"tcp", l.TCP != nil},
		{"listenerFilters", len(l.ListenerFilters) > 0},
		{"networkFilters", len(l.NetworkFilters) > 0},
	} {
		if f.given {
			p.add(at+"."+f.name, "a listener with udp has no connections")
		}
	}
	switch name := l.UDP.Upstream; {
	case name == "" && len(l.UDPFilters) == 0:
		p.add(at+".udp.upstream", "is required, or udpFilters that answer")
	case name != "" && !slices.Contains(o.upstreamNames(), name):
		p.add(at+".udp.upstream", "%s", config.Unknown("upstream", name, o.upstreamNames()))
	}
	if len(l.UDPFilters) > 0 && (o.ExtProc != nil || o.Golang != nil) {
		p.add(at+".udpFilters", "UDP filters in Go run in Envoys that load MoE as a dynamic module; leave them out with another "+
			"host")
	}
}

// udpListener adds a listener of UDP.
func (b *builder) udpListener(l *Listener, address *corev3.Address) error {
	address.GetSocketAddress().Protocol = corev3.SocketAddress_UDP
	socket := &corev3.UdpSocketConfig{MaxRxDatagramSize: wrapperspb.UInt64(uint64(l.UDP.MaxDatagramSize))}
	udp := &listenerv3.Listener{
		Name: l.Name, Address: address,
		UdpListenerConfig: &listenerv3.UdpListenerConfig{DownstreamSocketConfig: socket},
	}
	for i, f := range l.UDPFilters {
		s, err := toStruct(f.Config)
		if err != nil {
			return fmt.Errorf("udpFilters[%d]: %w", i, err)
		}
		udp.ListenerFilters = append(udp.ListenerFilters, listenerFilter(b.o.connectionName(f.Name),
			&modulesv3.DynamicModuleUdpListenerFilter{DynamicModuleConfig: module(Name), FilterName: f.Name, FilterConfig: pack(s)}))
	}
	if l.UDP.Upstream != "" {
		udp.ListenerFilters = append(udp.ListenerFilters, l.UDP.proxy(l, socket))
	}
	b.r.Listeners = append(b.r.Listeners, udp)
	return nil
}

// proxy passes all datagrams on to the upstream.
func (u *UDP) proxy(l *Listener, socket *corev3.UdpSocketConfig) *listenerv3.ListenerFilter {
	route := &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Action{Action: &xdscorev3.TypedExtensionConfig{
		Name: "route", TypedConfig: pack(&udpv3.Route{Cluster: u.Upstream}),
	}}}
	return listenerFilter("envoy.filters.udp_listener.udp_proxy", &udpv3.UdpProxyConfig{
		StatPrefix: l.Name, IdleTimeout: durationpb.New(u.IdleTimeout), UpstreamSocketConfig: socket,
		RouteSpecifier: &udpv3.UdpProxyConfig_Matcher{Matcher: &xdsmatcherv3.Matcher{OnNoMatch: route}},
	})
}
