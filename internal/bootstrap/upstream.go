package bootstrap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// ParseUpstream checks the URL of an upstream: http://host[:port], h2c://… for HTTP/2 without TLS, or https://….
func ParseUpstream(s string) (*url.URL, error) {
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
		return nil, errors.New(`expected http://HOST[:PORT], h2c://…, https://… or the word echo`)
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

func upstream(o Options) (*clusterv3.Cluster, error) {
	u := o.Upstream
	n, err := port(u)
	if err != nil {
		return nil, err
	}
	c := &clusterv3.Cluster{
		Name:           Name,
		ConnectTimeout: durationpb.New(5 * time.Second),

		PerConnectionBufferLimitBytes: o.Edge.Limits.buffer(),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: Name,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
					Endpoint: &endpointv3.Endpoint{Address: socket(u.Hostname(), n)},
				},
			}}}},
		},
	}
	if isAddress(u.Hostname()) {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
	} else {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
		c.DnsLookupFamily = clusterv3.Cluster_V4_PREFERRED // AUTO asks for IPv6 alone where a name has both
	}
	options := &httpv3.HttpProtocolOptions{}
	explicit := &httpv3.HttpProtocolOptions_ExplicitHttpConfig{}
	h1, h2 := &corev3.Http1ProtocolOptions{}, upstreamHTTP2()
	switch {
	case o.KeepProtocol:
		options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
			UseDownstreamProtocolConfig: &httpv3.HttpProtocolOptions_UseDownstreamHttpConfig{
				HttpProtocolOptions: h1, Http2ProtocolOptions: h2,
			},
		}
	case u.Scheme == "https":
		options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_AutoConfig{
			AutoConfig: &httpv3.HttpProtocolOptions_AutoHttpConfig{HttpProtocolOptions: h1, Http2ProtocolOptions: h2},
		}
		c.TransportSocket = tls(u.Hostname())
	case u.Scheme == "h2c":
		explicit.ProtocolConfig = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
			Http2ProtocolOptions: h2,
		}
		options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: explicit}
	default:
		explicit.ProtocolConfig = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
			HttpProtocolOptions: h1,
		}
		options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: explicit}
	}
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{
		"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": pack(options),
	}
	return c, nil
}

// upstreamHTTP2 has windows of the sizes that Envoy recommends at an edge.
func upstreamHTTP2() *corev3.Http2ProtocolOptions {
	return &corev3.Http2ProtocolOptions{
		InitialStreamWindowSize: wrapperspb.UInt32(64 << 10), InitialConnectionWindowSize: wrapperspb.UInt32(1 << 20),
	}
}

// tls verifies the server by its name against the system's certificate authorities.
func tls(name string) *corev3.TransportSocket {
	validation := &tlsv3.CertificateValidationContext{
		TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: systemCA()}},
	}
	san := &tlsv3.SubjectAltNameMatcher{
		SanType: tlsv3.SubjectAltNameMatcher_DNS,
		Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name}},
	}
	context := &tlsv3.UpstreamTlsContext{Sni: name}
	if isAddress(name) {
		san.SanType, context.Sni = tlsv3.SubjectAltNameMatcher_IP_ADDRESS, "" // an address is not a server name
	}
	validation.MatchTypedSubjectAltNames = []*tlsv3.SubjectAltNameMatcher{san}
	context.CommonTlsContext = &tlsv3.CommonTlsContext{
		ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: validation},
	}
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(context)},
	}
}

// systemCA returns where this system keeps its certificate authorities; SSL_CERT_FILE says otherwise, as for Go.
func systemCA() string {
	if f := os.Getenv("SSL_CERT_FILE"); f != "" {
		return f
	}
	files := []string{
		"/etc/ssl/certs/ca-certificates.crt", // Debian
		"/etc/pki/tls/certs/ca-bundle.crt",   // Fedora
		"/etc/ssl/ca-bundle.pem",             // openSUSE
		"/etc/ssl/cert.pem",                  // Alpine, macOS
	}
	for _, f := range files {
		if _, err := os.Stat(f); err == nil {
			return f
		}
	}
	return files[0]
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

func socket(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}
