// Dynamic metadata: google.protobuf.Struct for Go, single values for Envoy's modules.
#include "call.h"
#include "json.h"
#include "log.h"
#include "wire.h"

namespace bridge {
namespace {

constexpr auto dynamic = T(metadata_source_Dynamic);

bool scalar(void *envoy, mbuf ns, mbuf key, Json *v) {
  ebuf text;
  if (CB(http_get_metadata_string)(envoy, dynamic, ns, key, &text)) {
    v->kind = Json::Kind::String;
    v->text = in(text);
  } else if (CB(http_get_metadata_number)(envoy, dynamic, ns, key, &v->number)) {
    v->kind = Json::Kind::Number;
  } else if (CB(http_get_metadata_bool)(envoy, dynamic, ns, key, &v->truth)) {
    v->kind = Json::Kind::Bool;
  } else {
    return false;
  }
  return true;
}

bool list(void *envoy, mbuf ns, mbuf key, Json *v) {
  size_t n;
  if (!CB(http_get_metadata_list_size)(envoy, dynamic, ns, key, &n))
    return false;
  v->kind = Json::Kind::List;
  v->list.resize(n);
  for (size_t i = 0; i < n; i++) {
    Json &e = v->list[i];
    ebuf text;
    if (CB(http_get_metadata_list_string)(envoy, dynamic, ns, key, i, &text)) {
      e.kind = Json::Kind::String;
      e.text = in(text);
    } else if (CB(http_get_metadata_list_number)(envoy, dynamic, ns, key, i, &e.number)) {
      e.kind = Json::Kind::Number;
    } else if (CB(http_get_metadata_list_bool)(envoy, dynamic, ns, key, i, &e.truth)) {
      e.kind = Json::Kind::Bool;
    }
  }
  return true;
}

// read_namespace returns a namespace as a Struct on the wire. Values of kinds that modules cannot read are left out.
std::string read_namespace(Request *r, const std::string &name) {
  std::string bytes;
  size_t n = CB(http_get_metadata_keys_count)(r->envoy, dynamic, out(name));
  std::vector<ebuf> keys(n);
  if (n == 0 || !CB(http_get_metadata_keys)(r->envoy, dynamic, out(name), keys.data()))
    return bytes;
  for (ebuf k : keys) {
    Json v;
    mbuf key = out(in(k));
    if (scalar(r->envoy, out(name), key, &v) || list(r->envoy, out(name), key, &v))
      put_field(&bytes, in(k), value_bytes(v));
    else
      log(r->config->limits.metadata_kind.level(), "metadata ", name, "/", in(k),
          " is left out: modules can read scalars and lists of them");
  }
  return bytes;
}

bool is_scalar(const Json &v) {
  return v.kind == Json::Kind::String || v.kind == Json::Kind::Number || v.kind == Json::Kind::Bool;
}

void add_element(void *envoy, mbuf ns, mbuf key, const Json &v) {
  if (v.kind == Json::Kind::String)
    CB(http_add_dynamic_metadata_list_string)(envoy, ns, key, out(v.text));
  else if (v.kind == Json::Kind::Number)
    CB(http_add_dynamic_metadata_list_number)(envoy, ns, key, v.number);
  else
    CB(http_add_dynamic_metadata_list_bool)(envoy, ns, key, v.truth);
}

// write_value returns false if modules cannot write a value of that kind.
bool write_value(void *envoy, mbuf ns, mbuf key, const Json &v) {
  switch (v.kind) {
  case Json::Kind::String:
    CB(http_set_dynamic_metadata_string)(envoy, ns, key, out(v.text));
    return true;
  case Json::Kind::Number:
    CB(http_set_dynamic_metadata_number)(envoy, ns, key, v.number);
    return true;
  case Json::Kind::Bool:
    CB(http_set_dynamic_metadata_bool)(envoy, ns, key, v.truth);
    return true;
  case Json::Kind::List: {
    for (const Json &e : v.list)
      if (!is_scalar(e))
        return false;
    size_t there;
    if (CB(http_get_metadata_list_size)(envoy, dynamic, ns, key, &there) && there > 0)
      return false; // Envoy would append
    for (const Json &e : v.list)
      add_element(envoy, ns, key, e);
    return true;
  }
  default:
    return false;
  }
}

} // namespace
} // namespace bridge

using namespace bridge;

GOAPI int envoyGoFilterHttpGetDynamicMetadata(void *r, void *name, int name_length, uint64_t *data, int *length) {
  Call call = Call::of_request(r);
  if (call.refused())
    return call.code();
  Request *request = call.request;
  return call.read([=, ns = std::string(text(name, name_length))] {
    return give(request, read_namespace(request, ns), data, length);
  });
}

GOAPI int envoyGoFilterHttpSetDynamicMetadata(void *r, void *name, int name_length, void *key, int key_length,
                                              void *data, int length) {
  Call call = Call::of_request(r);
  if (call.refused())
    return call.code();
  Json v;
  if (!parse_value(text(data, length), &v))
    return static_cast<int>(Result::CannotSerialize);
  Request *request = call.request;
  return call.write([request, v, ns = std::string(text(name, name_length)), k = std::string(text(key, key_length))] {
    if (!write_value(request->envoy, out(ns), out(k), v))
      log(Level::Error, "plugin ", request->config->settings.plugin_name, ": metadata ", ns, "/", k, " is not set to ",
          v.kind_name(), ": modules can set scalars, and lists of them once");
  });
}
