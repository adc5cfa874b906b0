package accesslog

// TextField is a field whose value is text; its String is the field's name in Envoy's ABI for dynamic modules.
type TextField uint8

// Text fields. Those of the downstream are of the connection to the client, those of the upstream of the last attempt.
const (
	ResponseCodeDetails TextField = iota // why the response is what it is, such as via_upstream or route_not_found
	Protocol                             // of the request: "HTTP/1.1", "HTTP/2" …
	RouteName
	VirtualClusterName
	ConnectionTerminationDetails // why Envoy closed the connection
	RequestID                    // the stream's, of x-request-id
	LocalReplyBody               // what Envoy or a filter answered in place of the upstream
	RequestedServerName          // that the client asked for (SNI)
	DownstreamTLSVersion
	DownstreamTLSCipher
	DownstreamTLSSessionID
	DownstreamPeerSubject
	DownstreamPeerIssuer
	DownstreamPeerSerial       // in hexadecimal
	DownstreamPeerCertDigest   // SHA-256, in hexadecimal
	DownstreamPeerFingerprint1 // SHA-1, in hexadecimal
	DownstreamLocalSubject
	DownstreamTransportFailureReason // why the TLS handshake failed
	JA3Hash                          // of the client's TLS hello; needs the TLS inspector to compute it
	JA4Hash                          // likewise
	UpstreamCluster
	UpstreamHost // the endpoint's host name
	UpstreamProtocol
	UpstreamTransportFailureReason // likewise
	UpstreamTLSVersion
	UpstreamTLSCipher
	UpstreamTLSSessionID
	UpstreamPeerSubject
	UpstreamPeerIssuer
	UpstreamPeerCertDigest // SHA-256, in hexadecimal
	UpstreamLocalSubject
)

var textNames = [...]string{
	ResponseCodeDetails:              "response_code_details",
	Protocol:                         "protocol",
	RouteName:                        "route_name",
	VirtualClusterName:               "virtual_cluster_name",
	ConnectionTerminationDetails:     "connection_termination_details",
	RequestID:                        "request_id",
	LocalReplyBody:                   "local_reply_body",
	RequestedServerName:              "requested_server_name",
	DownstreamTLSVersion:             "downstream_tls_version",
	DownstreamTLSCipher:              "downstream_tls_cipher",
	DownstreamTLSSessionID:           "downstream_tls_session_id",
	DownstreamPeerSubject:            "downstream_peer_subject",
	DownstreamPeerIssuer:             "downstream_peer_issuer",
	DownstreamPeerSerial:             "downstream_peer_serial",
	DownstreamPeerCertDigest:         "downstream_peer_cert_digest",
	DownstreamPeerFingerprint1:       "downstream_peer_fingerprint_1",
	DownstreamLocalSubject:           "downstream_local_subject",
	DownstreamTransportFailureReason: "downstream_transport_failure_reason",
	JA3Hash:                          "ja3_hash",
	JA4Hash:                          "ja4_hash",
	UpstreamCluster:                  "upstream_cluster",
	UpstreamHost:                     "upstream_host",
	UpstreamProtocol:                 "upstream_protocol",
	UpstreamTransportFailureReason:   "upstream_transport_failure_reason",
	UpstreamTLSVersion:               "upstream_tls_version",
	UpstreamTLSCipher:                "upstream_tls_cipher",
	UpstreamTLSSessionID:             "upstream_tls_session_id",
	UpstreamPeerSubject:              "upstream_peer_subject",
	UpstreamPeerIssuer:               "upstream_peer_issuer",
	UpstreamPeerCertDigest:           "upstream_peer_cert_digest",
	UpstreamLocalSubject:             "upstream_local_subject",
}

// String is the field's name.
func (f TextField) String() string { return nameOf(textNames[:], int(f)) }

// NumberField is a field whose value is a number.
type NumberField uint8

// Number fields.
const (
	ResponseCode NumberField = iota // 0 where there was no response
	AttemptCount                    // of requests to the upstream, 1 without a retry
	ConnectionID                    // unique in this Envoy
	UpstreamConnectionID
	RequestHeadersBytes
	ResponseHeadersBytes
	ResponseTrailersBytes
	WorkerIndex // of the thread that logs; the main thread's is the number of workers
)

var numberNames = [...]string{
	ResponseCode:          "response_code",
	AttemptCount:          "attempt_count",
	ConnectionID:          "connection_id",
	UpstreamConnectionID:  "upstream_connection_id",
	RequestHeadersBytes:   "request_headers_bytes",
	ResponseHeadersBytes:  "response_headers_bytes",
	ResponseTrailersBytes: "response_trailers_bytes",
	WorkerIndex:           "worker_index",
}

// String is the field's name.
func (f NumberField) String() string { return nameOf(numberNames[:], int(f)) }

// TruthField is a field that is true or false.
type TruthField uint8

// Truth fields.
const (
	HealthCheck TruthField = iota // the request was answered by Envoy's health check filter
	MTLS                          // the client has shown a certificate, and Envoy has verified it
	DownstreamPeerCertPresented
	DownstreamPeerCertValidated
	TraceSampled
)

var truthNames = [...]string{
	HealthCheck:                 "health_check",
	MTLS:                        "mtls",
	DownstreamPeerCertPresented: "downstream_peer_cert_presented",
	DownstreamPeerCertValidated: "downstream_peer_cert_validated",
	TraceSampled:                "trace_sampled",
}

// String is the field's name.
func (f TruthField) String() string { return nameOf(truthNames[:], int(f)) }

// AddrField is an address with a port.
type AddrField uint8

// Addresses. The direct ones are those of the socket; the others are what Envoy takes for the client's address, by
// X-Forwarded-For or the PROXY protocol, and for the one that the client asked for.
const (
	DownstreamRemote AddrField = iota
	DownstreamLocal
	DownstreamDirectRemote
	DownstreamDirectLocal
	UpstreamRemote
	UpstreamLocal
)

var addrNames = [...]string{
	DownstreamRemote:       "downstream_remote_address",
	DownstreamLocal:        "downstream_local_address",
	DownstreamDirectRemote: "downstream_direct_remote_address",
	DownstreamDirectLocal:  "downstream_direct_local_address",
	UpstreamRemote:         "upstream_remote_address",
	UpstreamLocal:          "upstream_local_address",
}

// String is the field's name.
func (f AddrField) String() string { return nameOf(addrNames[:], int(f)) }

// ListField is a list of subject alternative names of a certificate: the peer's, or Envoy's own.
type ListField uint8

// Lists.
const (
	DownstreamPeerURISANs ListField = iota
	DownstreamPeerDNSSANs
	DownstreamLocalURISANs
	DownstreamLocalDNSSANs
	UpstreamPeerURISANs
	UpstreamPeerDNSSANs
	UpstreamLocalURISANs
	UpstreamLocalDNSSANs
)

var listNames = [...]string{
	DownstreamPeerURISANs:  "downstream_peer_uri_san",
	DownstreamPeerDNSSANs:  "downstream_peer_dns_san",
	DownstreamLocalURISANs: "downstream_local_uri_san",
	DownstreamLocalDNSSANs: "downstream_local_dns_san",
	UpstreamPeerURISANs:    "upstream_peer_uri_san",
	UpstreamPeerDNSSANs:    "upstream_peer_dns_san",
	UpstreamLocalURISANs:   "upstream_local_uri_san",
	UpstreamLocalDNSSANs:   "upstream_local_dns_san",
}

// String is the field's name.
func (f ListField) String() string { return nameOf(listNames[:], int(f)) }

// TimeField is a time that a certificate states.
type TimeField uint8

// Times, to the second.
const (
	DownstreamPeerCertStart TimeField = iota
	DownstreamPeerCertEnd
	UpstreamPeerCertStart
	UpstreamPeerCertEnd
)

var timeNames = [...]string{
	DownstreamPeerCertStart: "downstream_peer_cert_v_start",
	DownstreamPeerCertEnd:   "downstream_peer_cert_v_end",
	UpstreamPeerCertStart:   "upstream_peer_cert_v_start",
	UpstreamPeerCertEnd:     "upstream_peer_cert_v_end",
}

// String is the field's name.
func (f TimeField) String() string { return nameOf(timeNames[:], int(f)) }

func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return ""
}
