package bootstrap

import (
	"net"
	"slices"
	"strconv"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	rulesv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	previousv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"mosn.io/moe/framework/host"
)

// serverCluster is the cluster of the processing server.
const serverCluster = "moe-extproc"

// maxServerStreams is how many streams go to the processing server at a time: one for each request.
const maxServerStreams = 50_000

// ExtProc is how Envoy reaches a processing server, and what it sends there.
type ExtProc struct {
	Server     string // host:port
	Mode       *extprocv3.ProcessingMode
	Attributes []string // of the request
	Response   []string // attributes of the response
	Namespaces []string // of dynamic metadata, sent and taken
	FailOpen   bool     // failure_mode_allow

	MessageTimeout, MaxMessageTimeout time.Duration

	TLS           bool   // Envoy speaks TLS to the server
	CA, Cert, Key string // files: the server's authority, Envoy's own certificate and its key; may be empty
}

func (x *ExtProc) filter(p *Part) *extprocv3.ExternalProcessor {
	mode, namespaces := x.Mode, x.Namespaces
	var initial []*corev3.HeaderValue
	if p.Stages != nil {
		initial = []*corev3.HeaderValue{{Key: host.ExtProcStagesKey, Value: p.String()}}
		namespaces = append(slices.Clip(namespaces), host.PartNamespace)
		mode = proto.Clone(mode).(*extprocv3.ProcessingMode)
		mode.RequestHeaderMode = extprocv3.ProcessingMode_SEND // by which a part knows what the one before has found
	}
	grpc := &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
		EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: serverCluster},
	}, RetryPolicy: &corev3.RetryPolicy{
		// A stream that no server has begun may begin at another one, well before the message's timeout. Envoy makes a
		// timeout for all of the stream of the longest interval.
		RetryOn: "connect-failure,refused-stream", NumRetries: wrapperspb.UInt32(2),
		RetryBackOff: &corev3.BackoffStrategy{
			BaseInterval: durationpb.New(5 * time.Millisecond), MaxInterval: durationpb.New(24 * time.Hour),
		},
		RetryHostPredicate: []*corev3.RetryPolicy_RetryHostPredicate{{
			Name: "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &corev3.RetryPolicy_RetryHostPredicate_TypedConfig{
				TypedConfig: pack(&previousv3.PreviousHostsPredicate{}),
			},
		}},
		HostSelectionRetryMaxAttempts: 5,
	}, InitialMetadata: initial}
	f := &extprocv3.ExternalProcessor{
		GrpcService: grpc, FailureModeAllow: x.FailOpen, ProcessingMode: mode,
		RequestAttributes: x.Attributes, ResponseAttributes: x.Response,
		MessageTimeout: durationpb.New(x.MessageTimeout), MaxMessageTimeout: durationpb.New(x.MaxMessageTimeout),
		// Without it :method, :scheme, :authority and host stay as they are, whatever a plugin sets.
		MutationRules: &rulesv3.HeaderMutationRules{AllowAllRouting: wrapperspb.Bool(true)},
		// The server keeps content-length right; otherwise Envoy removes it.
		AllowContentLengthHeader: true,
		AllowModeOverride: x.Mode.GetRequestBodyMode() != extprocv3.ProcessingMode_FULL_DUPLEX_STREAMED &&
			x.Mode.GetResponseBodyMode() != extprocv3.ProcessingMode_FULL_DUPLEX_STREAMED,
	}
	if len(namespaces) > 0 {
		all := &extprocv3.MetadataOptions_MetadataNamespaces{Untyped: namespaces}
		f.MetadataOptions = &extprocv3.MetadataOptions{ForwardingNamespaces: all, ReceivingNamespaces: all}
	}
	return f
}

// upgrades are for tunnels: WebSocket, and CONNECT where a route lets it. Where bodies are sent they need a filter of
// their own, which does not send them: Envoy would hold the headers back for bytes that do not come.
func (x *ExtProc) upgrades(filters []*hcmv3.HttpFilter, parts []Part) (all []*hcmv3.HttpConnectionManager_UpgradeConfig) {
	for _, kind := range []string{"websocket", "CONNECT"} {
		u := &hcmv3.HttpConnectionManager_UpgradeConfig{UpgradeType: kind}
		if x.Mode.GetRequestBodyMode() != extprocv3.ProcessingMode_NONE ||
			x.Mode.GetResponseBodyMode() != extprocv3.ProcessingMode_NONE {
			u.Filters = slices.Clone(filters)
			for i := range parts {
				p := &parts[i]
				f := x.filter(p)
				f.ProcessingMode = &extprocv3.ProcessingMode{
					RequestHeaderMode: f.ProcessingMode.GetRequestHeaderMode(), ResponseHeaderMode: x.Mode.GetResponseHeaderMode(),
					RequestTrailerMode: extprocv3.ProcessingMode_SKIP, ResponseTrailerMode: extprocv3.ProcessingMode_SKIP,
				}
				at := slices.IndexFunc(filters, func(f *hcmv3.HttpFilter) bool { return f.Name == p.Name })
				u.Filters[at] = httpFilter(p.Name, f)
			}
		}
		all = append(all, u)
	}
	return all
}

func (x *ExtProc) cluster() (*clusterv3.Cluster, error) {
	if _, err := ParseAddress(x.Server); err != nil {
		return nil, err
	}
	address, text, _ := net.SplitHostPort(x.Server)
	if address == "" || address == "localhost" {
		address = "127.0.0.1"
	}
	port, _ := strconv.ParseUint(text, 10, 16)
	h2 := &httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
				},
			},
		},
	}
	c := &clusterv3.Cluster{
		Name: serverCluster, ConnectTimeout: durationpb.New(time.Second),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: serverCluster,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
					Endpoint: &endpointv3.Endpoint{Address: socket(address, uint32(port))},
				},
			}}}},
		},
		// A server that cannot be reached is left alone at once, not only after the next health check.
		OutlierDetection: &clusterv3.OutlierDetection{
			SplitExternalLocalOriginErrors: true, ConsecutiveLocalOriginFailure: wrapperspb.UInt32(1),
			BaseEjectionTime: durationpb.New(5 * time.Second), MaxEjectionPercent: wrapperspb.UInt32(50),
		},
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxRequests: wrapperspb.UInt32(maxServerStreams), MaxPendingRequests: wrapperspb.UInt32(maxServerStreams),
			MaxRetries: wrapperspb.UInt32(maxServerStreams),
		}}},
		HealthChecks: []*corev3.HealthCheck{{
			Timeout: durationpb.New(time.Second), Interval: durationpb.New(5 * time.Second),
			UnhealthyThreshold: wrapperspb.UInt32(2), HealthyThreshold: wrapperspb.UInt32(1),
			HealthChecker: &corev3.HealthCheck_GrpcHealthCheck_{GrpcHealthCheck: &corev3.HealthCheck_GrpcHealthCheck{}},
		}},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": pack(h2),
		},
	}
	if x.TLS {
		c.TransportSocket = &corev3.TransportSocket{
			Name:       "envoy.transport_sockets.tls",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(x.tls())},
		}
	}
	return c, nil
}

func (x *ExtProc) tls() *tlsv3.UpstreamTlsContext {
	file := func(name string) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: name}}
	}
	common := &tlsv3.CommonTlsContext{AlpnProtocols: []string{"h2"}}
	if x.CA != "" {
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{
			ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: file(x.CA)},
		}
	}
	if x.Cert != "" {
		common.TlsCertificates = []*tlsv3.TlsCertificate{{CertificateChain: file(x.Cert), PrivateKey: file(x.Key)}}
	}
	return &tlsv3.UpstreamTlsContext{CommonTlsContext: common}
}
