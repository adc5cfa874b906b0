// What Go calls while it is entered, beside Envoy's own callbacks.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "moe.h"

uint64_t moe_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// Envoy 1.38 offers modules few attributes and logs an error for each other one; 1.39 brought the rest, and this
// callback, which nothing here calls.
extern __attribute__((weak)) void envoy_dynamic_module_callback_http_get_header_values(void);

bool moe_since_139(void) { return envoy_dynamic_module_callback_http_get_header_values != NULL; }

bool moe_set_filter_state(moe_instance *s, mbuf key, mbuf value) {
  ebuf there;
  // Envoy 1.38 keeps what is there, says that it does not, and logs a bug of its own.
  if (!moe_since_139() && (CB(http_get_filter_state_bytes)(s->envoy, key, &there) ||
                       CB(http_get_filter_state_typed)(s->envoy, key, &there)))
    return false;
  return CB(http_set_filter_state_typed)(s->envoy, key, value) || CB(http_set_filter_state_bytes)(s->envoy, key, value);
}

moe_value moe_attribute(moe_instance *s, int id, int kind) {
  moe_value v = {.kind = VALUE_NONE};
  bool truth, any = kind == VALUE_NONE;
  if (any && !moe_since_139())
    return v;
  if ((any || kind == VALUE_TEXT) && CB(http_filter_get_attribute_string)(s->envoy, id, &v.text) && v.text.length > 0) {
    v.kind = VALUE_TEXT;
  } else if ((any || kind == VALUE_NUMBER) && CB(http_filter_get_attribute_int)(s->envoy, id, &v.number)) {
    v.kind = VALUE_NUMBER;
  } else if ((any || kind == VALUE_TRUTH) && CB(http_filter_get_attribute_bool)(s->envoy, id, &truth)) {
    v.kind = VALUE_TRUTH;
    v.number = truth;
  }
  return v;
}

// Envoy aborts when it is asked for the cluster of a stream of which it has no route and takes none any more: the route was
// cleared, by any filter, or never looked for, and the response's headers have gone. So its name is taken before that.

bool moe_route_open(moe_instance *s) {
  uint64_t code; // Envoy has one before the response's headers reach a filter, and keeps it
  return !s->answered && !CB(http_filter_get_attribute_int)(s->envoy, T(attribute_id_ResponseCode), &code);
}

void moe_answered(moe_instance *s) {
  const uint32_t later = WANT_RESPONSE_HEADERS | WANT_RESPONSE_BODY | WANT_RESPONSE_TRAILERS | WANT_COMPLETE;
  ebuf name;
  if (s->answered)
    return;
  s->answered = true;
  if (((s->wants & later) == 0 && !s->escaped) || !CB(http_get_cluster_name)(s->envoy, &name))
    return;
  s->cluster = moe_keep(s, name.ptr, name.length);
  s->cluster_len = name.length;
}

// moe_cluster reports whether the stream's cluster is known, and its name.
bool moe_cluster(moe_instance *s, ebuf *name) {
  if (moe_route_open(s))
    return CB(http_get_cluster_name)(s->envoy, name);
  *name = (ebuf){s->cluster, s->cluster_len};
  return s->cluster != NULL;
}

bool moe_has_secrets(void) {
  return CB(http_filter_config_generic_secret_subscribe) != NULL && CB(http_filter_get_generic_secret) != NULL;
}

void *moe_scheduler(moe_instance *s) { return CB(http_filter_scheduler_new)(s->envoy); }

void moe_commit(moe_instance *s) { CB(http_filter_scheduler_commit)(s->scheduler, 0); }

void moe_config_commit(moe_config *c) { CB(http_filter_config_scheduler_commit)(c->scheduler, 0); }

void moe_config_use(moe_config *c) { atomic_fetch_add(&c->users, 1); }

void moe_config_release(moe_config *c) {
  if (atomic_fetch_sub(&c->users, 1) != 1)
    return;
  CB(http_filter_config_scheduler_delete)(c->scheduler);
  free(c);
}

void moe_config_reset_callout(moe_config *c, uint64_t id) { CB(http_filter_config_reset_http_stream)(c->envoy, id); }
