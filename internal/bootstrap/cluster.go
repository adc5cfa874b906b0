package bootstrap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	quicv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/quic/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"mosn.io/moe/framework/config"
)

// ParseUpstream reads the address of an upstream: http://HOST[:PORT], h2c://… for HTTP/2 without TLS, https://…, or
// HOST:PORT and :PORT, which are http://… (on this machine, without a host).
func ParseUpstream(s string) (*url.URL, error) {
	if host, port, err := net.SplitHostPort(s); err == nil && !strings.Contains(s, "/") {
		if host == "" {
			host = "127.0.0.1"
		}
		s = "http://" + net.JoinHostPort(host, port)
	}
	u, err := url.Parse(s)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err // without the text, which may hold a password
		}
		return nil, fmt.Errorf("no URL: %w", err)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "h2c":
		return nil, errors.New(`expected HOST:PORT, http://HOST[:PORT], h2c://… or https://…`)
	case u.User != nil:
		return nil, errors.New("a user and password are not supported; have a plugin set the header authorization")
	case u.Hostname() == "":
		return nil, errors.New("the URL has no host")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return nil, errors.New("the URL must end after the host and port: requests keep their own path")
	}
	if _, err := port(u); err != nil {
		return nil, err
	}
	return u, nil
}

func port(u *url.URL) (uint32, error) {
	switch text := u.Port(); {
	case text != "":
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return 0, fmt.Errorf("port %s: expected a number from 1 to 65535", text)
		}
		return uint32(n), nil
	case u.Scheme == "https":
		return 443, nil
	}
	return 80, nil
}

// Upstream is a cluster of Envoy's: endpoints that serve the same. Plugins find it by its name, too.
type Upstream struct {
	// Name of the cluster.
	Name string `json:"name" validate:"required"`
	// URL is an address as for the file's upstream, in place of endpoints: http://HOST:PORT, h2c://…, https://…, HOST:PORT.
	URL string `json:"url"`
	// Endpoints are HOST:PORT each. Names are looked up by DNS, and again when the answer has aged; each address that a
	// name has is an endpoint.
	Endpoints []string `json:"endpoints" validate:"omitempty,min=1"`
	// EndpointWeights are the weights of endpoints, by the text that endpoints has for them; 1 for those without one. An
	// endpoint's share of the requests is its weight by the sum of all: Envoy's load_balancing_weight.
	EndpointWeights map[string]uint32 `json:"endpointWeights" validate:"omitempty,min=1,dive,min=1,max=1000000"`
	// DNSLookupFamily says which addresses of a name to use.
	DNSLookupFamily string `json:"dnsLookupFamily" default:"v4Preferred" enum:"auto,v4Only,v6Only,v4Preferred,all"`
	// Protocol is what Envoy speaks: auto chooses between HTTP/1.1 and HTTP/2 in the TLS handshake, http3 is over QUIC
	// alone and needs tls, downstream speaks what the client spoke.
	Protocol string `json:"protocol" enum:"http1,http2,http3,auto,downstream" absent:"http1, or auto with tls"`
	// TLS has Envoy speak TLS to the endpoints.
	TLS *UpstreamTLS `json:"tls"`
	// HostRewrite is the host that the upstream sees; the client's by default, and that of an https url.
	HostRewrite string `json:"hostRewrite"`
	// ConnectTimeout is how long a connection may take to be made.
	ConnectTimeout time.Duration `json:"connectTimeout" default:"5s" validate:"min=1ms"`
	// Timeout is how long the upstream may take for a whole response. It is unlimited by default, as long as something
	// moves: http.streamIdleTimeout bounds a silent upstream.
	Timeout time.Duration `json:"timeout" validate:"min=0"`
	// LBPolicy is how Envoy chooses an endpoint.
	LBPolicy string `json:"lbPolicy" default:"roundRobin" enum:"roundRobin,leastRequest,random,ringHash,maglev"`
	// HashPolicy is what ringHash and maglev choose by.
	HashPolicy *HashPolicy `json:"hashPolicy"`
	// HealthCheck asks endpoints whether they are well.
	HealthCheck *HealthCheck `json:"healthCheck"`
	// OutlierDetection takes endpoints out that fail.
	OutlierDetection *OutlierDetection `json:"outlierDetection"`
	// CircuitBreakers bound what goes to the upstream at a time; Envoy's own bounds hold by default.
	CircuitBreakers *CircuitBreakers `json:"circuitBreakers"`
	// Retry sends failed requests again, on routes that do not say it themselves. Routes with weightedUpstreams do.
	Retry *Retry `json:"retry"`
}

// HashPolicy is what requests must have in common to go to one endpoint. Exactly one field may be given.
type HashPolicy struct {
	// Header is the name of a request header.
	Header string `json:"header"`
	// Cookie is the name of a cookie.
	Cookie string `json:"cookie"`
	// SourceIP is the client's address.
	SourceIP bool `json:"sourceIp"`
}

// http3 is the protocol of an upstream that is reached over QUIC.
const http3 = "http3"

var lbPolicies = map[string]clusterv3.Cluster_LbPolicy{
	"roundRobin": clusterv3.Cluster_ROUND_ROBIN, "leastRequest": clusterv3.Cluster_LEAST_REQUEST,
	"random": clusterv3.Cluster_RANDOM, "ringHash": clusterv3.Cluster_RING_HASH, "maglev": clusterv3.Cluster_MAGLEV,
}

// lookupFamilies has no auto for the default: that asks for IPv6 alone where a name has both.
var lookupFamilies = map[string]clusterv3.Cluster_DnsLookupFamily{
	"auto": clusterv3.Cluster_AUTO, "v4Only": clusterv3.Cluster_V4_ONLY, "v6Only": clusterv3.Cluster_V6_ONLY,
	"v4Preferred": clusterv3.Cluster_V4_PREFERRED, "all": clusterv3.Cluster_ALL,
}

// UpstreamOf returns the upstream of an address, see [ParseUpstream], with a name and the defaults.
func UpstreamOf(name string, u *url.URL) Upstream {
	var up Upstream
	if err := config.Decode(map[string]any{"name": name}, &up); err != nil {
		panic(err) // a tag of Upstream is wrong
	}
	up.SetURL(u)
	return up
}

// SetURL has u's endpoint be that of an address, in place of its URL.
func (u *Upstream) SetURL(to *url.URL) {
	n, err := port(to)
	if err != nil {
		panic(err) // ParseUpstream has refused it
	}
	u.URL, u.Endpoints = "", []string{net.JoinHostPort(to.Hostname(), strconv.Itoa(int(n)))}
	switch to.Scheme {
	case "h2c":
		u.Protocol = "http2"
	case "https":
		if u.TLS == nil {
			u.TLS = &UpstreamTLS{}
		}
		if u.HostRewrite == "" {
			// A server with a certificate for its name expects that name in the request, too.
			u.HostRewrite = to.Host
		}
	}
}

// serverName is the name that the upstream should have, or "" if nothing says one.
func (u *Upstream) serverName() string {
	if u.TLS.ServerName != "" {
		return u.TLS.ServerName
	}
	name := ""
	for i, e := range u.Endpoints {
		host, _, _ := net.SplitHostPort(e)
		if i > 0 && host != name {
			return ""
		}
		name = host
	}
	return name
}

// cluster is u, which Check has found to be good.
func (b *builder) cluster(u *Upstream) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:                 u.Name,
		ConnectTimeout:       durationpb.New(u.ConnectTimeout),
		LbPolicy:             lbPolicies[u.LBPolicy],
		HealthChecks:         u.HealthCheck.build(u.Protocol == "http2"),
		OutlierDetection:     u.OutlierDetection.build(),
		CircuitBreakers:      u.CircuitBreakers.build(),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},

		PerConnectionBufferLimitBytes: b.o.Edge.Limits.buffer(),
	}
	endpoints := &endpointv3.LocalityLbEndpoints{}
	for _, e := range u.Endpoints {
		host, _, _ := net.SplitHostPort(e)
		if !isAddress(host) {
			c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
			c.DnsLookupFamily = lookupFamilies[u.DNSLookupFamily]
		}
		endpoint := &endpointv3.LbEndpoint{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socket(host, portOf(e))}},
		}
		if weight, ok := u.EndpointWeights[e]; ok {
			endpoint.LoadBalancingWeight = wrapperspb.UInt32(weight)
		}
		endpoints.LbEndpoints = append(endpoints.LbEndpoints, endpoint)
	}
	c.LoadAssignment = &endpointv3.ClusterLoadAssignment{
		ClusterName: u.Name, Endpoints: []*endpointv3.LocalityLbEndpoints{endpoints},
	}
	switch {
	case u.Protocol == http3:
		c.TransportSocket = transportSocket("envoy.transport_sockets.quic",
			&quicv3.QuicUpstreamTransport{UpstreamTlsContext: b.upstreamTLS(u)})
	case u.TLS != nil:
		c.TransportSocket = transportSocket("envoy.transport_sockets.tls", b.upstreamTLS(u))
	}
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{
		"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": pack(u.protocol()),
	}
	return c
}

func (u *Upstream) protocol() *httpv3.HttpProtocolOptions {
	h1, h2 := &corev3.Http1ProtocolOptions{}, upstreamHTTP2()
	explicit := &httpv3.HttpProtocolOptions_ExplicitHttpConfig{}
	options := &httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: explicit},
	}
	protocol := u.Protocol
	if protocol == "" && u.TLS != nil {
		protocol = "auto"
	}
	switch protocol {
	case "downstream":
		options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
			UseDownstreamProtocolConfig: &httpv3.HttpProtocolOptions_UseDownstreamHttpConfig{
				HttpProtocolOptions: h1, Http2ProtocolOptions: h2,
			},
		}
	case "auto":
		options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_AutoConfig{
			AutoConfig: &httpv3.HttpProtocolOptions_AutoHttpConfig{HttpProtocolOptions: h1, Http2ProtocolOptions: h2},
		}
	case "http2":
		explicit.ProtocolConfig = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
			Http2ProtocolOptions: h2,
		}
	case http3:
		explicit.ProtocolConfig = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http3ProtocolOptions{
			Http3ProtocolOptions: &corev3.Http3ProtocolOptions{QuicProtocolOptions: &corev3.QuicProtocolOptions{
				InitialStreamWindowSize: h2.InitialStreamWindowSize, InitialConnectionWindowSize: h2.InitialConnectionWindowSize,
			}},
		}
	default:
		explicit.ProtocolConfig = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
			HttpProtocolOptions: h1,
		}
	}
	return options
}

// hashPolicy is what routes to u choose an endpoint by.
func (u *Upstream) hashPolicy() []*routev3.RouteAction_HashPolicy {
	h := u.HashPolicy
	if h == nil {
		return nil
	}
	p := &routev3.RouteAction_HashPolicy{}
	switch {
	case h.Header != "":
		p.PolicySpecifier = &routev3.RouteAction_HashPolicy_Header_{
			Header: &routev3.RouteAction_HashPolicy_Header{HeaderName: h.Header},
		}
	case h.Cookie != "":
		p.PolicySpecifier = &routev3.RouteAction_HashPolicy_Cookie_{
			Cookie: &routev3.RouteAction_HashPolicy_Cookie{Name: h.Cookie},
		}
	default:
		p.PolicySpecifier = &routev3.RouteAction_HashPolicy_ConnectionProperties_{
			ConnectionProperties: &routev3.RouteAction_HashPolicy_ConnectionProperties{SourceIp: true},
		}
	}
	return []*routev3.RouteAction_HashPolicy{p}
}

// upstreamHTTP2 has windows of the sizes that Envoy recommends at an edge.
func upstreamHTTP2() *corev3.Http2ProtocolOptions {
	return &corev3.Http2ProtocolOptions{
		InitialStreamWindowSize: wrapperspb.UInt32(64 << 10), InitialConnectionWindowSize: wrapperspb.UInt32(1 << 20),
	}
}

// ParseAddress reads the address of a listener: an IP address or localhost, or nothing, which is all addresses, and a
// port.
func ParseAddress(s string) (*corev3.Address, error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return nil, fmt.Errorf("%q: expected HOST:PORT or :PORT", s)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%q: expected a port from 0 to 65535", s)
	}
	switch host {
	case "":
		host = "0.0.0.0"
	case "localhost":
		host = "127.0.0.1"
	}
	if !isAddress(host) {
		return nil, fmt.Errorf("%q: expected an IP address, localhost or nothing before the port", s)
	}
	return socket(host, uint32(n)), nil
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// portOf returns the port of HOST:PORT, or 0.
func portOf(address string) uint32 {
	_, text, _ := net.SplitHostPort(address)
	n, _ := strconv.ParseUint(text, 10, 16)
	return uint32(n)
}

func socket(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}
