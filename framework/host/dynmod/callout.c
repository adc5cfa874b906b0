// Requests over Envoy's clusters, of a stream or, from the main thread, of a configuration.
#include <stdlib.h>
#include <string.h>

#include "moe.h"

// news enters Go for what Envoy says of a callout, of a stream or, if there is none, of a configuration.
static void news(moe_event e) {
  if (e.stream == NULL || moe_alive(e.stream))
    moe_cross(&e);
}

static void start(moe_event *e, const moe_verb *v, const uint8_t *p) {
  uint32_t token, cluster_len;
  uint64_t timeout, id = 0;
  mbuf body = {(const char *)p + v->n1, v->n2};
  memcpy(&token, p, 4);
  memcpy(&timeout, p + 4, 8);
  memcpy(&cluster_len, p + 12, 4);
  p += 16;
  mbuf cluster = {(const char *)p, cluster_len};
  mheader *headers = moe_read_headers(p + cluster_len, v->a);
  moe_instance *s = e->stream;
  if (s != NULL)
    s->called = true;
  T(http_callout_init_result) result =
      s != NULL ? CB(http_filter_start_http_stream)(s->envoy, &id, cluster, headers, v->a, body, v->b, timeout)
                : CB(http_filter_config_start_http_stream)(e->config->envoy, &id, cluster, headers, v->a, body, v->b,
                                                           timeout);
  free(headers);
  news((moe_event){.stream = s,
                   .config = e->config,
                   .kind = EVENT_CALLOUT_STARTED,
                   .callout = token,
                   .callout_id = id,
                   .status = result});
}

void moe_apply_callout(moe_event *e, const moe_verb *v, const uint8_t *p) {
  moe_instance *s = e->stream;
  if (s != NULL && !moe_alive(s)) // Envoy gives its callouts up with it
    return;
  if (v->verb == VERB_CALLOUT_START) {
    start(e, v, p);
    return;
  }
  uint64_t id;
  memcpy(&id, p, 8);
  if (v->verb == VERB_CALLOUT_DATA) {
    mbuf data = {(const char *)p + 8, v->n1 - 8};
    if (s != NULL)
      CB(http_stream_send_data)(s->envoy, id, data, v->b);
    else
      CB(http_filter_config_stream_send_data)(e->config->envoy, id, data, v->b);
  } else if (s != NULL) {
    CB(http_filter_reset_http_stream)(s->envoy, id);
  } else {
    CB(http_filter_config_reset_http_stream)(e->config->envoy, id);
  }
}

// Envoy's news of a callout, alike for streams and configurations.
#define CALLOUT_HOOKS(prefix, owner)                                                                                  \
  HOOK void ON(prefix##_http_stream_headers)(void *envoy, const void *module, uint64_t id, eheader *headers, size_t n, \
                                             bool end) {                                                              \
    news((moe_event){owner, .kind = EVENT_CALLOUT_HEADERS, .callout_id = id, .end = end, .headers = headers,          \
                     .headers_n = n});                                                                                \
  }                                                                                                                   \
  HOOK void ON(prefix##_http_stream_data)(void *envoy, const void *module, uint64_t id, const ebuf *data, size_t n,   \
                                          bool end) {                                                                 \
    news((moe_event){owner, .kind = EVENT_CALLOUT_DATA, .callout_id = id, .end = end, .data = data, .data_n = n});    \
  }                                                                                                                   \
  HOOK void ON(prefix##_http_stream_trailers)(void *envoy, const void *module, uint64_t id, eheader *trailers,        \
                                              size_t n) {                                                             \
    news((moe_event){owner, .kind = EVENT_CALLOUT_TRAILERS, .callout_id = id, .headers = trailers, .headers_n = n});  \
  }                                                                                                                   \
  HOOK void ON(prefix##_http_stream_complete)(void *envoy, const void *module, uint64_t id) {                         \
    news((moe_event){owner, .kind = EVENT_CALLOUT_COMPLETE, .callout_id = id});                                       \
  }                                                                                                                   \
  HOOK void ON(prefix##_http_stream_reset)(void *envoy, const void *module, uint64_t id,                              \
                                           T(http_stream_reset_reason) reason) {                                      \
    news((moe_event){owner, .kind = EVENT_CALLOUT_RESET, .callout_id = id});                                          \
  }                                                                                                                   \
  HOOK void ON(prefix##_http_callout_done)(void *envoy, const void *module, uint64_t id,                              \
                                           T(http_callout_result) result, eheader *headers, size_t headers_n,         \
                                           ebuf *body, size_t body_n) { /* only streams are used */ }

CALLOUT_HOOKS(http_filter, .stream = (moe_instance *)module)
CALLOUT_HOOKS(http_filter_config, .config = (moe_config *)module)
