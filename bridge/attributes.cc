#include "attributes.h"

#include "request.h"

namespace bridge {
namespace {

enum Kind { Unsure, Text, Number, Truth, TextOf140 };

// Names in the order of the ABI's ids. Envoy 1.38 offers few, and logs an error for others: of what kind they are where
// every Envoy has them, or 1.40 and no older one.
const struct {
  const char *name;
  Kind kind;
} attributes[] = {
    {"request.path", Text},
    {"request.url_path", Text},
    {"request.host", Text},
    {"request.scheme", Text},
    {"request.method", Text},
    {"request.headers", Unsure},
    {"request.referer", Text},
    {"request.useragent", Text},
    {"request.time", Unsure},
    {"request.id", Text},
    {"request.protocol", Text},
    {"request.query", Text},
    {"request.duration", Unsure},
    {"request.size", Unsure},
    {"request.total_size", Unsure},
    {"response.code", Number},
    {"response.code_details", Unsure},
    {"response.flags", Unsure},
    {"response.grpc_status", Unsure},
    {"response.headers", Unsure},
    {"response.trailers", Unsure},
    {"response.size", Unsure},
    {"response.total_size", Unsure},
    {"response.backend_latency", Unsure},
    {"source.address", Text},
    {"source.port", Number},
    {"destination.address", Text},
    {"destination.port", Number},
    {"connection.id", Number},
    {"connection.mtls", Truth},
    {"connection.requested_server_name", Text},
    {"connection.tls_version", Text},
    {"connection.subject_local_certificate", Text},
    {"connection.subject_peer_certificate", Text},
    {"connection.dns_san_local_certificate", Text},
    {"connection.dns_san_peer_certificate", Text},
    {"connection.uri_san_local_certificate", Text},
    {"connection.uri_san_peer_certificate", Text},
    {"connection.sha256_peer_certificate_digest", Text},
    {"connection.transport_failure_reason", Unsure},
    {"connection.termination_details", Unsure},
    {"upstream.address", Text},
    {"upstream.port", Number},
    {"upstream.tls_version", Unsure},
    {"upstream.subject_local_certificate", Unsure},
    {"upstream.subject_peer_certificate", Unsure},
    {"upstream.dns_san_local_certificate", Unsure},
    {"upstream.dns_san_peer_certificate", Unsure},
    {"upstream.uri_san_local_certificate", Unsure},
    {"upstream.uri_san_peer_certificate", Unsure},
    {"upstream.sha256_peer_certificate_digest", Unsure},
    {"upstream.local_address", Unsure},
    {"upstream.transport_failure_reason", Unsure},
    {"upstream.request_attempt_count", Unsure},
    {"upstream.cx_pool_ready_duration", Unsure},
    {"upstream.locality", Unsure},
    {"xds.node", Unsure},
    {"xds.cluster_name", Unsure},
    {"xds.cluster_metadata", Unsure},
    {"xds.listener_direction", Unsure},
    {"xds.listener_metadata", Unsure},
    {"xds.route_name", Text},
    {"xds.route_metadata", Unsure},
    {"xds.virtual_host_name", Unsure},
    {"xds.virtual_host_metadata", Unsure},
    {"xds.upstream_host_metadata", Unsure},
    {"xds.filter_chain_name", Unsure},
    {"health_check", Unsure},
    {"upstream.requested_server_name", TextOf140},
    {"xds.virtual_cluster_name", TextOf140},
};

auto attribute(int id) { return static_cast<T(attribute_id)>(id); }

// offered reports whether to ask Envoy for an attribute as that kind.
bool offered(int id, Kind kind) {
  Kind of = attributes[id].kind;
  return of == kind || (of == Unsure && since_139()) || (of == TextOf140 && kind == Text && since_140());
}

} // namespace

bool text_attribute(const Request &r, int id, std::string *value) {
  ebuf found{nullptr, 0};
  if (!offered(id, Text) || !CB(http_filter_get_attribute_string)(r.envoy, attribute(id), &found))
    return false;
  *value = in(found);
  return true;
}

// Envoy 1.39 has it under the id of the virtual host's name.
bool virtual_cluster(const Request &r, std::string *value) {
  return text_attribute(r, since_140() ? VirtualClusterName : VirtualHostName, value);
}

bool number_attribute(const Request &r, int id, uint64_t *value) {
  return offered(id, Number) && CB(http_filter_get_attribute_int)(r.envoy, attribute(id), value);
}

bool truth_attribute(const Request &r, int id, bool *value) {
  return offered(id, Truth) && CB(http_filter_get_attribute_bool)(r.envoy, attribute(id), value);
}

bool code_details(const Request &r, std::string *value) {
  if (text_attribute(r, ResponseCodeDetails, value) && !value->empty())
    return true;
  // A router's word for it, where Envoy keeps it from modules.
  *value = !r.details.empty() ? r.details : r.encode.state != Lane::AtStart ? "via_upstream" : "";
  return !value->empty();
}

Lookup attribute_text(const Request &r, View name, std::string *value) {
  for (int id = 0; id < static_cast<int>(sizeof attributes / sizeof *attributes); id++) {
    uint64_t number;
    bool truth;
    if (name != attributes[id].name)
      continue;
    if (id == VirtualHostName && !since_140()) // it would be the virtual cluster's
      return Lookup::Missing;
    if (text_attribute(r, id, value) && (!value->empty() || attributes[id].kind == Text))
      return Lookup::Found;
    if (number_attribute(r, id, &number))
      *value = std::to_string(number);
    else if (truth_attribute(r, id, &truth))
      *value = truth ? "true" : "false";
    else if (id == ConnectionMtls) // Envoy has no answer without TLS
      *value = "false";
    else
      return Lookup::Missing;
    return Lookup::Found;
  }
  return Lookup::Missing;
}

} // namespace bridge
