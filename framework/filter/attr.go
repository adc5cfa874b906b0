package filter

// Attr names an attribute as Envoy does; any of Envoy's names may be converted to it.
type Attr string

// Common attributes; the list of Envoy's is at
// https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes. Not every host has each.
const (
	AttrRequestID   Attr = "request.id"
	AttrProtocol    Attr = "request.protocol" // such as "HTTP/1.1" or "HTTP/2"
	AttrRequestSize Attr = "request.size"     // bytes of the body
	AttrDuration    Attr = "request.duration" // of the stream so far, or in all in OnComplete

	AttrResponseSize  Attr = "response.size"
	AttrResponseFlags Attr = "response.flags"
	AttrCodeDetails   Attr = "response.code_details"

	AttrSourceAddress      Attr = "source.address" // the client's, see [Stream.RemoteAddr]
	AttrDestinationAddress Attr = "destination.address"

	AttrTLSVersion  Attr = "connection.tls_version"
	AttrServerName  Attr = "connection.requested_server_name" // that the client asks for (SNI)
	AttrPeerSubject Attr = "connection.subject_peer_certificate"
	AttrPeerURISAN  Attr = "connection.uri_san_peer_certificate"
	AttrPeerDNSSAN  Attr = "connection.dns_san_peer_certificate"
	AttrPeerDigest  Attr = "connection.sha256_peer_certificate_digest"

	AttrUpstreamAddress Attr = "upstream.address"
	AttrUpstreamFailure Attr = "upstream.transport_failure_reason"

	AttrRouteName       Attr = "xds.route_name"
	AttrVirtualHostName Attr = "xds.virtual_host_name"
	AttrClusterName     Attr = "xds.cluster_name"
)
