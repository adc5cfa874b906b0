package bootstrap

import (
	"net/netip"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	xffv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/original_ip_detection/xff/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/extension"
)

// Edge says what stands between the clients and Envoy, and how Envoy protects itself and its upstreams from what comes
// from there. The defaults are for an Envoy that untrusted clients reach directly; they follow Envoy's "Configuring Envoy
// as an edge proxy".
type Edge struct {
	// TrustedProxies are the networks of the proxies in front of Envoy. If a connection comes from one of them, the
	// client's address is the last in x-forwarded-for that is not in these networks; any other connection's own address is
	// the client's. By default no x-forwarded-for is believed.
	TrustedProxies []netip.Prefix `json:"trustedProxies"`
	// TrustedHops is how many proxies stand in front of Envoy, where every request passes all of them: Envoy's
	// xff_num_trusted_hops. With a number that is too large, clients choose their address.
	TrustedHops uint32 `json:"trustedHops" validate:"max=100"`
	// HTTP says what requests Envoy takes and how long it waits for them.
	HTTP HTTP `json:"http"`
	// Limits bound what all clients together may use.
	Limits Limits `json:"limits"`
}

// HTTP has the fields of Envoy's HttpConnectionManager that decide what requests are taken.
type HTTP struct {
	// NormalizePath has dot segments resolved, and characters that need no escape unescaped, before a route is chosen.
	NormalizePath bool `json:"normalizePath" default:"true"`
	// MergeSlashes makes one slash of several in a row, before a route is chosen.
	MergeSlashes bool `json:"mergeSlashes" default:"true"`
	// PathWithEscapedSlashesAction is what becomes of a path with %2F or %5C. The default sends the client to the path
	// with plain slashes, so that Envoy and the upstream see the same one; keepUnchanged is for an upstream that needs
	// them, whose routes must not differ by what follows.
	PathWithEscapedSlashesAction EscapedSlashes `json:"pathWithEscapedSlashesAction" default:"unescapeAndRedirect" enum:"keepUnchanged,rejectRequest,unescapeAndRedirect,unescapeAndForward"`
	// HeadersWithUnderscoresAction is what becomes of a request with an underscore in a header's name, which some
	// upstreams take for a hyphen: x_user for x-user.
	HeadersWithUnderscoresAction Underscores `json:"headersWithUnderscoresAction" default:"rejectRequest" enum:"allow,rejectRequest,dropHeader"`
	// RequestHeadersTimeout is how long a client may take to send a request's headers; 0 is unlimited.
	RequestHeadersTimeout time.Duration `json:"requestHeadersTimeout" default:"10s" validate:"min=0"`
	// RequestTimeout is how long a client may take to send the whole request. It is unlimited by default, because long
	// uploads and streams are healthy as long as something moves.
	RequestTimeout time.Duration `json:"requestTimeout" validate:"min=0"`
	// StreamIdleTimeout ends a request on which nothing has moved in either direction for this time, a WebSocket
	// included; 0 is unlimited.
	StreamIdleTimeout time.Duration `json:"streamIdleTimeout" default:"5m" validate:"min=0"`
	// IdleTimeout closes a client's connection that has had no request for this time; 0 is unlimited.
	IdleTimeout time.Duration `json:"idleTimeout" default:"5m" validate:"min=0"`
	// MaxConnectionDuration closes a client's connection of this age when its requests are done; 0 is unlimited.
	MaxConnectionDuration time.Duration `json:"maxConnectionDuration" validate:"min=0"`
	// MaxRequestHeaders is how large a request's headers may be together, at most 8 MiB; a larger request is answered
	// with 431. Envoy counts in KiB.
	MaxRequestHeaders extension.Size `json:"maxRequestHeaders" default:"60KiB" validate:"min=1024,max=8388608"`
	// MaxHeadersCount is how many header fields a request may have; one with more is answered with 431.
	MaxHeadersCount uint32 `json:"maxHeadersCount" default:"100" validate:"min=1"`
	// MaxConcurrentStreams is how many requests an HTTP/2 connection may have at a time.
	MaxConcurrentStreams uint32 `json:"maxConcurrentStreams" default:"100" validate:"min=1,max=2147483647"`
	// InitialStreamWindowSize is how much of a request's body an HTTP/2 client may send before Envoy has passed it on.
	InitialStreamWindowSize extension.Size `json:"initialStreamWindowSize" default:"64KiB" validate:"min=65535,max=2147483647"`
	// InitialConnectionWindowSize is the same for all requests of an HTTP/2 connection together.
	InitialConnectionWindowSize extension.Size `json:"initialConnectionWindowSize" default:"1MiB" validate:"min=65535,max=2147483647"`
}

// EscapedSlashes is what becomes of a path with escaped slashes.
type EscapedSlashes string

// Underscores is what becomes of a header with an underscore in its name.
type Underscores string

var escapedSlashes = map[EscapedSlashes]hcmv3.HttpConnectionManager_PathWithEscapedSlashesAction{
	"keepUnchanged":       hcmv3.HttpConnectionManager_KEEP_UNCHANGED,
	"rejectRequest":       hcmv3.HttpConnectionManager_REJECT_REQUEST,
	"unescapeAndRedirect": hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT,
	"unescapeAndForward":  hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD,
}

var underscores = map[Underscores]corev3.HttpProtocolOptions_HeadersWithUnderscoresAction{
	"allow":         corev3.HttpProtocolOptions_ALLOW,
	"rejectRequest": corev3.HttpProtocolOptions_REJECT_REQUEST,
	"dropHeader":    corev3.HttpProtocolOptions_DROP_HEADER,
}

// DefaultEdge returns the Edge of a moe.yaml that says nothing about it.
func DefaultEdge() Edge {
	var e Edge
	if err := config.Decode(nil, &e); err != nil {
		panic(err) // a tag of Edge is wrong
	}
	return e
}

// Check reports what is wrong with e beyond its tags.
func (e *Edge) Check() error {
	if len(e.TrustedProxies) > 0 && e.TrustedHops > 0 {
		return config.Errors{{Path: "trustedHops", Msg: "trustedProxies and trustedHops are mutually exclusive"}}
	}
	if e.HTTP.InitialConnectionWindowSize < e.HTTP.InitialStreamWindowSize {
		return config.Errors{{
			Path: "http.initialConnectionWindowSize", Msg: "must not be less than initialStreamWindowSize",
		}}
	}
	return nil
}

// protect has a connection manager treat clients as e says.
func (e *Edge) protect(m *hcmv3.HttpConnectionManager) {
	e.findClient(m)
	h := &e.HTTP
	m.NormalizePath = wrapperspb.Bool(h.NormalizePath)
	m.MergeSlashes = h.MergeSlashes
	m.PathWithEscapedSlashesAction = escapedSlashes[h.PathWithEscapedSlashesAction]
	m.MaxRequestHeadersKb = wrapperspb.UInt32(uint32(h.MaxRequestHeaders / 1024))
	m.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{
		IdleTimeout:                  durationpb.New(h.IdleTimeout),
		MaxConnectionDuration:        limited(h.MaxConnectionDuration),
		MaxHeadersCount:              wrapperspb.UInt32(h.MaxHeadersCount),
		HeadersWithUnderscoresAction: underscores[h.HeadersWithUnderscoresAction],
	}
	m.Http2ProtocolOptions = &corev3.Http2ProtocolOptions{
		MaxConcurrentStreams:        wrapperspb.UInt32(h.MaxConcurrentStreams),
		InitialStreamWindowSize:     wrapperspb.UInt32(uint32(h.InitialStreamWindowSize)),
		InitialConnectionWindowSize: wrapperspb.UInt32(uint32(h.InitialConnectionWindowSize)),
	}
	m.StreamIdleTimeout = durationpb.New(h.StreamIdleTimeout)
	m.RequestTimeout = limited(h.RequestTimeout)
	m.RequestHeadersTimeout = limited(h.RequestHeadersTimeout)
}

// findClient says how Envoy finds the client's address. Envoy refuses use_remote_address beside an extension.
func (e *Edge) findClient(m *hcmv3.HttpConnectionManager) {
	m.UseRemoteAddress = wrapperspb.Bool(len(e.TrustedProxies) == 0)
	m.XffNumTrustedHops = e.TrustedHops
	if len(e.TrustedProxies) == 0 {
		return
	}
	trusted := &xffv3.XffTrustedCidrs{}
	for _, p := range e.TrustedProxies {
		trusted.Cidrs = append(trusted.Cidrs, &corev3.CidrRange{
			AddressPrefix: p.Masked().Addr().String(), PrefixLen: wrapperspb.UInt32(uint32(p.Bits())),
		})
	}
	m.OriginalIpDetectionExtensions = []*corev3.TypedExtensionConfig{{
		Name: "envoy.http.original_ip_detection.xff",
		TypedConfig: pack(&xffv3.XffConfig{
			XffTrustedCidrs: trusted, SkipXffAppend: wrapperspb.Bool(false), // as with use_remote_address
		}),
	}}
}

// limited is d for a field of Envoy's whose absence means no limit.
func limited(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}
