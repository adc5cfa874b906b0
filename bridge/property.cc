#include "property.h"

#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "headers.h"
#include "metadata.h"
#include "request.h"

namespace bridge {
namespace {

// Parts are the names in a path. As in contrib's filter, a dot at the end does not count.
class Parts {
public:
  explicit Parts(View path) : rest_(path) {}

  bool more() const { return !rest_.empty(); }

  bool next(View *part) {
    if (!more())
      return false;
    size_t end = rest_.find('.');
    *part = rest_.substr(0, end);
    rest_.remove_prefix(end == View::npos ? rest_.size() : end + 1);
    return true;
  }

private:
  View rest_;
};

// timestamp writes t with as many digits as it has.
std::string timestamp(std::chrono::system_clock::time_point t) {
  auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count();
  time_t seconds = static_cast<time_t>(ns / 1000000000);
  struct tm parts;
  gmtime_r(&seconds, &parts);
  char date[32], fraction[16];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(fraction, sizeof fraction, ".%09u", static_cast<unsigned>(ns % 1000000000));
  std::string digits = fraction;
  digits.erase(digits.find_last_not_of(".0") + 1);
  return date + digits + "+00:00";
}

uint64_t header_bytes(const Lane &lane) {
  uint64_t count, bytes;
  count_headers(lane, 0, lane.headers_type(), &count, &bytes);
  return bytes;
}

uint64_t message_bytes(const Request &r, const Lane &lane) {
  uint64_t count, trailers;
  count_headers(lane, 1, lane.headers_type() + 1, &count, &trailers);
  return header_bytes(lane) + trailers + r.bytes[lane.encoding];
}

// header joins the values of a header, or a trailer, as HTTP does.
bool header(const Request &r, int type, View name, std::string *value) {
  size_t count = 0;
  if (type == T(http_header_type_ResponseHeader) && r.encode.own_headers != nullptr) {
    for (const auto &h : *r.encode.own_headers)
      if (h.first == name)
        *value += (count++ == 0 ? "" : ",") + h.second;
    return count > 0;
  }
  ebuf found{nullptr, 0};
  auto of = static_cast<T(http_header_type)>(type);
  if (!CB(http_get_header)(r.envoy, of, out(name), &found, 0, &count))
    return false;
  *value = in(found);
  for (size_t i = 1; i < count; i++)
    if (CB(http_get_header)(r.envoy, of, out(name), &found, i, nullptr))
      value->append(",").append(in(found));
  return true;
}

// own works out what Envoy does not offer, and what tells how the bridge does.
bool own(const Request &r, View name, std::string *value) {
  uint64_t number;
  if (name == "request.size") {
    if (header(r, T(http_header_type_RequestHeader), "content-length", value)) {
      char *end;
      long long length = std::strtoll(value->c_str(), &end, 10);
      if (end == value->c_str() || *end != 0)
        return false;
      *value = std::to_string(length);
      return true;
    }
    number = r.bytes[0];
  } else if (name == "response.size") {
    number = r.bytes[1];
  } else if (name == "request.headers_bytes") {
    number = header_bytes(r.decode);
  } else if (name == "response.headers_bytes") {
    number = header_bytes(r.encode);
  } else if (name == "request.total_size") {
    number = message_bytes(r, r.decode);
  } else if (name == "response.total_size") {
    number = message_bytes(r, r.encode);
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

// plain is a value that has no parts, or more parts than the path names.
Lookup plain(const Json &v, Parts parts, std::string *value) {
  char digits[32];
  switch (v.kind) {
  case Json::Kind::String:
    *value = v.text;
    break;
  case Json::Kind::Number:
    std::snprintf(digits, sizeof digits, "%g", v.number);
    *value = digits;
    break;
  case Json::Kind::Bool:
    *value = v.truth ? "true" : "false";
    break;
  default: // also what is Unknown: objects and nulls
    return parts.more() ? Lookup::Missing : Lookup::NotText;
  }
  return parts.more() ? Lookup::Missing : Lookup::Found;
}

// element finds the element of a list.
const Json *element(const Json &list, View number) {
  std::string text(number);
  char *end;
  long i = std::strtol(text.c_str(), &end, 10);
  bool found = end != text.c_str() && *end == 0 && i >= 0 && static_cast<size_t>(i) < list.list.size();
  return found ? &list.list[static_cast<size_t>(i)] : nullptr;
}

// of_metadata walks through a core.Metadata.
Lookup of_metadata(const Request &r, MetadataOf source, Parts parts, std::string *value) {
  View field, ns, key, number;
  bool whole = !parts.next(&field);
  if (!whole && field != "filter_metadata") // the other has types that modules do not see
    return field == "typed_filter_metadata" && !parts.more() ? Lookup::NotText : Lookup::Missing;
  Parts names = parts;
  if (parts.next(&ns))
    parts.next(&key);
  Json all = source == MetadataOf::Cluster ? r.cluster_metadata() : read_metadata(r.envoy, source, ns, key);
  if (all.kind != Json::Kind::Object) { // of a host that is there, and has none, it is a null
    bool of_host = source == MetadataOf::Host || source == MetadataOf::HostLocality;
    return whole && of_host && text_attribute(r, UpstreamAddress, value) ? Lookup::NotText : Lookup::Missing;
  }
  if (whole)
    return metadata_bytes(all, value) ? Lookup::Found : Lookup::NotText;
  if (!names.next(&ns))
    return Lookup::NotText;
  const Json *at = all.find(ns);
  if (at == nullptr)
    return Lookup::Missing;
  if (!names.next(&key))
    return Lookup::NotText;
  at = at->find(key);
  if (at != nullptr && at->kind == Json::Kind::List && names.next(&number))
    at = element(*at, number);
  return at == nullptr ? Lookup::Missing : plain(*at, names, value);
}

// of_headers walks through a map of headers or trailers.
Lookup of_headers(const Request &r, int type, Parts parts, std::string *value) {
  View name;
  if (!parts.next(&name))
    return Lookup::NotText;
  std::string lower;
  for (char c : name)
    lower.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  return header(r, type, lower, value) && !parts.more() ? Lookup::Found : Lookup::Missing;
}

Lookup of_filter_state(const Request &r, Parts parts, std::string *value) {
  View name;
  ebuf found{nullptr, 0};
  if (!parts.next(&name))
    return Lookup::NotText;
  if (parts.more() || !CB(http_get_filter_state_typed)(r.envoy, out(name), &found))
    return Lookup::Missing;
  *value = in(found);
  return Lookup::Found;
}

const View maps[] = {"request", "response", "connection", "upstream", "source", "destination", "xds"};

const struct {
  View name;
  int type;
} headers[] = {
    {"request.headers", T(http_header_type_RequestHeader)},
    {"response.headers", T(http_header_type_ResponseHeader)},
    {"response.trailers", T(http_header_type_ResponseTrailer)},
};

const struct {
  View name;
  MetadataOf source;
} metadata[] = {
    {"xds.route_metadata", MetadataOf::Route},
    {"xds.cluster_metadata", MetadataOf::Cluster},
    {"xds.upstream_host_metadata", MetadataOf::Host},
    {"xds.upstream_host_locality_metadata", MetadataOf::HostLocality},
};

} // namespace

Lookup property(const Request &r, View path, std::string *value) {
  Parts parts(path);
  View root, field;
  if (!parts.next(&root))
    return Lookup::NotText;
  if (root == "metadata")
    return of_metadata(r, MetadataOf::Dynamic, parts, value);
  if (root == "filter_state")
    return of_filter_state(r, parts, value);
  if (!parts.next(&field)) {
    for (View map : maps)
      if (root == map)
        return Lookup::NotText;
    return Lookup::Missing;
  }
  std::string name = std::string(root) + "." + std::string(field);
  for (const auto &h : headers)
    if (name == h.name)
      return of_headers(r, h.type, parts, value);
  for (const auto &m : metadata)
    if (name == m.name)
      return of_metadata(r, m.source, parts, value);
  if (parts.more()) // behind what is a text
    return Lookup::Missing;
  return own(r, name, value) ? Lookup::Found : attribute_text(r, name, value);
}

} // namespace bridge
