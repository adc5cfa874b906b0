#include "attributes.h"

#include <cstdio>
#include <ctime>

#include "headers.h"
#include "request.h"

namespace bridge {
namespace {

enum Kind { Unsure, Text, Number, Truth, Map, TextOf140 };

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
    {"request.headers", Map},
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
    {"response.headers", Map},
    {"response.trailers", Map},
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

// Callbacks that tell Envoys apart; nothing here calls them. 1.39 brought most attributes and the first, 1.40 some more
// and the second.
extern "C" {
__attribute__((weak)) void envoy_dynamic_module_callback_http_get_header_values(void);
__attribute__((weak)) void envoy_dynamic_module_callback_log_v2(void);
}

bool since_139() { return envoy_dynamic_module_callback_http_get_header_values != nullptr; }
bool since_140() { return envoy_dynamic_module_callback_log_v2 != nullptr; }

// offered reports whether to ask Envoy for an attribute as that kind.
bool offered(int id, Kind kind) {
  Kind of = attributes[id].kind;
  return of == kind || (of == Unsure && since_139()) || (of == TextOf140 && kind == Text && since_140());
}

std::string timestamp(std::chrono::system_clock::time_point t) {
  auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count();
  time_t seconds = static_cast<time_t>(ns / 1000000000);
  struct tm parts;
  gmtime_r(&seconds, &parts);
  char date[32], all[64];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(all, sizeof all, "%s.%09u+00:00", date, static_cast<unsigned>(ns % 1000000000));
  return all;
}

uint64_t header_bytes(const Request &r, const Lane &lane) {
  uint64_t count, headers, trailers;
  count_headers(lane, 0, lane.headers_type(), &count, &headers);
  count_headers(lane, 1, lane.headers_type() + 1, &count, &trailers);
  return headers + trailers + r.bytes[lane.encoding];
}

bool header(const Request &r, int type, View name, std::string *value) {
  ebuf found{nullptr, 0};
  CB(http_get_header)(r.envoy, static_cast<T(http_header_type)>(type), out(name), &found, 0, nullptr);
  if (found.ptr != nullptr)
    *value = in(found);
  return found.ptr != nullptr;
}

// own works out what Envoy does not offer, and what tells how the bridge does.
bool own(const Request &r, View name, std::string *value) {
  uint64_t number;
  if (name == "request.size") {
    std::string length;
    if (header(r, T(http_header_type_RequestHeader), "content-length", value))
      return true;
    number = r.bytes[0];
  } else if (name == "response.size") {
    number = r.bytes[1];
  } else if (name == "request.total_size") {
    number = header_bytes(r, r.decode);
  } else if (name == "response.total_size") {
    number = header_bytes(r, r.encode);
  } else if (name == "golang_bridge.requests") {
    number = alive.requests;
  } else if (name == "golang_bridge.configs") {
    number = alive.configs;
  } else if (name == "golang_bridge.config_handles") {
    number = alive.handles;
  } else if (name == "golang_bridge.routes") {
    number = RouteConfig::alive();
  } else if (name == "request.time") {
    *value = timestamp(r.start);
    return true;
  } else if (name == "response.code_details") {
    return code_details(r, value);
  } else if (name == "xds.cluster_name") {
    return r.cluster(value);
  } else if (name == "xds.virtual_cluster_name") {
    return virtual_cluster(r, value);
  } else {
    return false;
  }
  *value = std::to_string(number);
  return true;
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

Lookup property(const Request &r, View path, std::string *value) {
  static const struct {
    View prefix;
    int type;
  } maps[] = {{"request.headers.", 0}, {"request.trailers.", 1}, {"response.headers.", 2}, {"response.trailers.", 3}};
  for (const auto &m : maps)
    if (path.substr(0, m.prefix.size()) == m.prefix)
      return header(r, m.type, path.substr(m.prefix.size()), value) ? Lookup::Found : Lookup::Missing;
  if (own(r, path, value))
    return Lookup::Found;
  for (int id = 0; id < static_cast<int>(sizeof attributes / sizeof *attributes); id++) {
    uint64_t number;
    bool truth;
    if (path != attributes[id].name)
      continue;
    if (id == VirtualHostName && !since_140()) // it would be the virtual cluster's
      return Lookup::Missing;
    if (attributes[id].kind == Map)
      return Lookup::NotText;
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
