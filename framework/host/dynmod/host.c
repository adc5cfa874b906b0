// What Go calls while it is entered, beside Envoy's own callbacks.
#include <time.h>

#include "moe.h"

uint64_t moe_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

moe_value moe_attribute(moe_stream *s, int id) {
  moe_value v = {.kind = VALUE_NONE};
  bool truth;
  if (CB(http_filter_get_attribute_string)(s->envoy, id, &v.text) && v.text.length > 0) {
    v.kind = VALUE_TEXT;
  } else if (CB(http_filter_get_attribute_int)(s->envoy, id, &v.number)) {
    v.kind = VALUE_NUMBER;
  } else if (CB(http_filter_get_attribute_bool)(s->envoy, id, &truth)) {
    v.kind = VALUE_TRUTH;
    v.number = truth;
  }
  return v;
}

void *moe_scheduler(moe_stream *s) { return CB(http_filter_scheduler_new)(s->envoy); }

void moe_commit(moe_stream *s) { CB(http_filter_scheduler_commit)(s->scheduler, 0); }

void moe_config_commit(moe_config *c) { CB(http_filter_config_scheduler_commit)(c->scheduler, 0); }
