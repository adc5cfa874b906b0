package dynmod

/*
#include "moe.h"
*/
import "C"

import (
	"fmt"
	"strconv"

	"mosn.io/moe/framework/internal/core"
)

// attributes are Envoy's names in the order of the ABI's envoy_dynamic_module_type_attribute_id.
var attributes = []string{
	"request.path", "request.url_path", "request.host", "request.scheme", "request.method", "request.headers",
	"request.referer", "request.useragent", "request.time", "request.id", "request.protocol", "request.query",
	"request.duration", "request.size", "request.total_size", "response.code", "response.code_details",
	"response.flags", "response.grpc_status", "response.headers", "response.trailers", "response.size",
	"response.total_size", "response.backend_latency", "source.address", "source.port", "destination.address",
	"destination.port", "connection.id", "connection.mtls", "connection.requested_server_name",
	"connection.tls_version", "connection.subject_local_certificate", "connection.subject_peer_certificate",
	"connection.dns_san_local_certificate", "connection.dns_san_peer_certificate",
	"connection.uri_san_local_certificate", "connection.uri_san_peer_certificate",
	"connection.sha256_peer_certificate_digest", "connection.transport_failure_reason",
	"connection.termination_details", "upstream.address", "upstream.port", "upstream.tls_version",
	"upstream.subject_local_certificate", "upstream.subject_peer_certificate",
	"upstream.dns_san_local_certificate", "upstream.dns_san_peer_certificate",
	"upstream.uri_san_local_certificate", "upstream.uri_san_peer_certificate",
	"upstream.sha256_peer_certificate_digest", "upstream.local_address", "upstream.transport_failure_reason",
	"upstream.request_attempt_count", "upstream.cx_pool_ready_duration", "upstream.locality", "xds.node",
	"xds.cluster_name", "xds.cluster_metadata", "xds.listener_direction", "xds.listener_metadata", "xds.route_name",
	"xds.route_metadata", "xds.virtual_host_name", "xds.virtual_host_metadata", "xds.upstream_host_metadata",
	"xds.filter_chain_name", "health_check",
}

var attributeIDs = func() map[string]int {
	ids := map[string]int{}
	for id, name := range attributes {
		ids[name] = id
	}
	return ids
}()

// kinds are those of the attributes that every Envoy offers to modules.
var kinds = func() map[string]C.int {
	all := map[string]C.int{"connection.mtls": C.VALUE_TRUTH}
	for _, name := range []string{
		"response.code", "upstream.port", "source.port", "destination.port", "connection.id",
	} {
		all[name] = C.VALUE_NUMBER
	}
	for _, name := range []string{
		"request.path", "request.url_path", "request.host", "request.scheme", "request.method", "request.referer",
		"request.useragent", "request.id", "request.protocol", "request.query", "source.address",
		"destination.address", "upstream.address", "xds.route_name", "connection.requested_server_name",
		"connection.tls_version", "connection.subject_local_certificate", "connection.subject_peer_certificate",
		"connection.sha256_peer_certificate_digest", "connection.dns_san_local_certificate",
		"connection.dns_san_peer_certificate", "connection.uri_san_local_certificate",
		"connection.uri_san_peer_certificate",
	} {
		all[name] = C.VALUE_TEXT
	}
	return all
}()

// Attribute returns an attribute as text. Those that Envoy's version does not offer to modules are worked out here
// where that is possible.
func (h *handle) Attribute(name string) (value string, err error) {
	id, known := attributeIDs[name]
	if !known {
		return "", fmt.Errorf("attribute %q: %w", name, core.ErrNotFound)
	}
	err = h.Lookup(func() (ok bool) {
		if name == "request.duration" { // the same text with every Envoy
			value, ok = h.ownAttribute(name)
			return ok
		}
		if value, ok = h.attribute(id, name); !ok {
			value, ok = h.ownAttribute(name)
		}
		return ok
	})
	return value, err
}

// RouteName is that of core.RouteTeller.
func (h *handle) RouteName() (name string) {
	h.IfHere(func() { name, _ = h.attribute(routeName, "xds.route_name") })
	return name
}

// routeName is the id of the attribute that has the name of the route.
var routeName = attributeIDs["xds.route_name"]

func (s *envoyStream) attribute(id int, name string) (string, bool) {
	switch v := C.moe_attribute(s.c, C.int(id), kinds[name]); v.kind {
	case C.VALUE_TEXT:
		return goBuffer(v.text), true
	case C.VALUE_NUMBER:
		return strconv.FormatUint(uint64(v.number), 10), true
	case C.VALUE_TRUTH:
		return strconv.FormatBool(v.number != 0), true
	}
	return "", false
}

// ownAttribute works out an attribute from what this filter has seen, or from elsewhere in the ABI.
func (s *envoyStream) ownAttribute(name string) (string, bool) {
	switch name {
	case "request.duration":
		return strconv.FormatFloat(float64(C.moe_now()-s.c.start)/1e6, 'f', 3, 64), true
	case "request.size":
		return strconv.FormatUint(uint64(s.c.bytes[core.Request]), 10), true
	case "response.size":
		return strconv.FormatUint(uint64(s.c.bytes[core.Response]), 10), true
	case "xds.cluster_name":
		var v C.ebuf
		if C.moe_cluster(s.c, &v) {
			return goBuffer(v), true
		}
	case "response.code_details":
		if s.c.details != nil {
			return goString(s.c.details, s.c.details_len), true
		}
	}
	return "", false
}
