// Dynamic metadata: google.protobuf.Struct for Go, single values for Envoy's modules.
#include "metadata.h"

#include <vector>

#include "call.h"
#include "log.h"
#include "wire.h"

namespace bridge {
namespace {

constexpr auto dynamic = T(metadata_source_Dynamic);

bool scalar(void *envoy, T(metadata_source) source, mbuf ns, mbuf key, Json *v) {
  ebuf text;
  if (CB(http_get_metadata_string)(envoy, source, ns, key, &text)) {
    v->kind = Json::Kind::String;
    v->text = in(text);
  } else if (CB(http_get_metadata_number)(envoy, source, ns, key, &v->number)) {
    v->kind = Json::Kind::Number;
  } else if (CB(http_get_metadata_bool)(envoy, source, ns, key, &v->truth)) {
    v->kind = Json::Kind::Bool;
  } else {
    return false;
  }
  return true;
}

bool list(void *envoy, T(metadata_source) source, mbuf ns, mbuf key, Json *v) {
  size_t n;
  if (!CB(http_get_metadata_list_size)(envoy, source, ns, key, &n))
    return false;
  v->kind = Json::Kind::List;
  v->list.resize(n);
  for (size_t i = 0; i < n; i++) {
    Json &e = v->list[i];
    ebuf text;
    if (CB(http_get_metadata_list_string)(envoy, source, ns, key, i, &text)) {
      e.kind = Json::Kind::String;
      e.text = in(text);
    } else if (CB(http_get_metadata_list_number)(envoy, source, ns, key, i, &e.number)) {
      e.kind = Json::Kind::Number;
    } else if (CB(http_get_metadata_list_bool)(envoy, source, ns, key, i, &e.truth)) {
      e.kind = Json::Kind::Bool;
    } else {
      e.kind = Json::Kind::Unknown;
    }
  }
  return true;
}

// names returns what Envoy lists in two steps, as copies: what it has lent does not outlive the next question.
template <typename Count, typename List> std::vector<std::string> names(Count count, List list) {
  size_t n = count();
  std::vector<ebuf> lent(n);
  std::vector<std::string> all;
  if (n > 0 && list(lent.data()))
    for (ebuf name : lent)
      all.emplace_back(in(name));
  return all;
}

// known reports whether nothing of v is Unknown.
bool known(const Json &v) {
  for (const Json &e : v.list)
    if (!known(e))
      return false;
  for (const auto &f : v.fields)
    if (!known(f.second))
      return false;
  return v.kind != Json::Kind::Unknown;
}

// read_namespace returns a namespace as a Struct on the wire. Values of kinds that modules cannot read are left out.
std::string read_namespace(Request *r, const std::string &name) {
  std::string bytes;
  Json all = read_metadata(r->envoy, MetadataOf::Dynamic, name);
  const Json *fields = all.find(name);
  if (fields == nullptr)
    return bytes;
  for (const auto &f : fields->fields)
    if (known(f.second))
      put_field(&bytes, f.first, value_bytes(f.second));
    else
      log(r->config->limits.metadata_kind.level(), "metadata ", name, "/", f.first,
          " is left out: modules can read scalars and lists of them");
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

Json read_metadata(void *envoy, MetadataOf of, View ns, View key) {
  auto source = static_cast<T(metadata_source)>(of);
  Json all;
  ebuf none;
  size_t n = CB(http_get_metadata_namespaces_count)(envoy, source);
  // The stream's own is always there, if only empty.
  if (n == 0 && of != MetadataOf::Dynamic && !CB(http_get_metadata_namespaces)(envoy, source, &none))
    return all;
  all.kind = Json::Kind::Object;
  for (const std::string &name : names([=] { return n; },
                                       [=](ebuf *to) { return CB(http_get_metadata_namespaces)(envoy, source, to); })) {
    if (!ns.empty() && ns != name)
      continue;
    Json fields;
    fields.kind = Json::Kind::Object;
    for (const std::string &k :
         names([&] { return CB(http_get_metadata_keys_count)(envoy, source, out(name)); },
               [&](ebuf *to) { return CB(http_get_metadata_keys)(envoy, source, out(name), to); })) {
      if (!key.empty() && key != k)
        continue;
      Json v;
      if (!scalar(envoy, source, out(name), out(k), &v) && !list(envoy, source, out(name), out(k), &v))
        v.kind = Json::Kind::Unknown;
      fields.fields.emplace_back(k, std::move(v));
    }
    all.fields.emplace_back(name, std::move(fields));
  }
  return all;
}

bool metadata_bytes(const Json &metadata, std::string *bytes) {
  bytes->clear();
  if (!known(metadata))
    return false;
  for (const auto &ns : metadata.fields)
    put_field(bytes, ns.first, struct_bytes(ns.second)); // as a Struct's, the field of namespaces is a map, of number 1
  return true;
}

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
