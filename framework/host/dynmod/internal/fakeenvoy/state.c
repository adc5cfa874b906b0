// Attributes, metadata, filter state, secrets and metrics. Every text of a stream is its tag, so that one that reaches
// another stream shows.
#include <string.h>

#include "internal.h"

// Its presence tells the module that Envoy has all attributes.
void envoy_dynamic_module_callback_http_get_header_values(void) {}

static bool name_of(fake_stream *s, const char *callback, ebuf *to) {
  if (!alive(s, callback))
    return false;
  *to = (ebuf){s->name, strlen(s->name)};
  return true;
}

// Modules cannot read the cluster's name as an attribute.
static bool offered(fake_stream *s, T(attribute_id) id) {
  return id == T(attribute_id_ResponseCode) ? s->has_code : id != T(attribute_id_XdsClusterName);
}

bool CB(http_filter_get_attribute_string)(void *s, T(attribute_id) id, ebuf *to) {
  return name_of(s, "http_filter_get_attribute_string", to) && offered(s, id);
}
bool CB(http_filter_get_attribute_int)(void *of, T(attribute_id) id, uint64_t *to) {
  fake_stream *s = of;
  if (!alive(s, "http_filter_get_attribute_int") || !offered(s, id))
    return false;
  *to = (uint64_t)s->tag;
  return true;
}
bool CB(http_filter_get_attribute_bool)(void *s, T(attribute_id) id, bool *to) {
  return alive(s, "http_filter_get_attribute_bool") && false;
}
// Envoy's looks for the route where there is none, and aborts if it must not.
bool CB(http_get_cluster_name)(void *of, ebuf *to) {
  fake_stream *s = of;
  if (!name_of(s, "http_get_cluster_name", to))
    return false;
  if (!s->routed && s->route_fixed)
    fault("http_get_cluster_name of a stream that has no route and looks for none");
  s->routed = true;
  return true;
}
bool CB(http_filter_get_generic_secret)(void *s, size_t id, ebuf *to) {
  return name_of(s, "http_filter_get_generic_secret", to);
}
bool CB(http_get_filter_state_bytes)(void *s, mbuf key, ebuf *to) {
  return name_of(s, "http_get_filter_state_bytes", to);
}
bool CB(http_get_filter_state_typed)(void *s, mbuf key, ebuf *to) {
  return name_of(s, "http_get_filter_state_typed", to);
}
bool CB(http_set_filter_state_bytes)(void *s, mbuf key, mbuf value) { return alive(s, "http_set_filter_state_bytes"); }
bool CB(http_set_filter_state_typed)(void *s, mbuf key, mbuf value) { return alive(s, "http_set_filter_state_typed"); }

void CB(http_set_dynamic_metadata_number)(void *s, mbuf ns, mbuf key, double v) {
  alive(s, "http_set_dynamic_metadata_number");
}
void CB(http_set_dynamic_metadata_string)(void *s, mbuf ns, mbuf key, mbuf v) {
  alive(s, "http_set_dynamic_metadata_string");
}
void CB(http_set_dynamic_metadata_bool)(void *s, mbuf ns, mbuf key, bool v) {
  alive(s, "http_set_dynamic_metadata_bool");
}
bool CB(http_get_metadata_string)(void *s, T(metadata_source) from, mbuf ns, mbuf key, ebuf *to) {
  return name_of(s, "http_get_metadata_string", to);
}
#define METADATA(name, ...)                                                                                           \
  bool CB(name)(void *s, __VA_ARGS__) { return alive(s, #name) && false; }
METADATA(http_get_metadata_number, T(metadata_source) from, mbuf ns, mbuf key, double *to)
METADATA(http_get_metadata_bool, T(metadata_source) from, mbuf ns, mbuf key, bool *to)
METADATA(http_add_dynamic_metadata_list_number, mbuf ns, mbuf key, double v)
METADATA(http_add_dynamic_metadata_list_string, mbuf ns, mbuf key, mbuf v)
METADATA(http_add_dynamic_metadata_list_bool, mbuf ns, mbuf key, bool v)
METADATA(http_get_metadata_list_size, T(metadata_source) from, mbuf ns, mbuf key, size_t *n)
METADATA(http_get_metadata_list_number, T(metadata_source) from, mbuf ns, mbuf key, size_t at, double *to)
METADATA(http_get_metadata_list_string, T(metadata_source) from, mbuf ns, mbuf key, size_t at, ebuf *to)
METADATA(http_get_metadata_list_bool, T(metadata_source) from, mbuf ns, mbuf key, size_t at, bool *to)

#define RECORD(name)                                                                                                  \
  T(metrics_result) CB(http_filter_##name)(void *s, size_t id, mbuf *tags, size_t n, uint64_t v) {                    \
    alive(s, "http_filter_" #name);                                                                                   \
    return T(metrics_result_Success);                                                                                 \
  }
RECORD(increment_counter)
RECORD(increment_gauge)
RECORD(decrement_gauge)
RECORD(record_histogram_value)
