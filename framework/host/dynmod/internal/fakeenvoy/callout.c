// Requests over Envoy's clusters. Their paths say /TAG; the cluster "none" is unknown, "dead" cannot take a request.
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static T(http_callout_init_result)
    start(callout **all, uint64_t *next, uint64_t *id, mbuf cluster, mheader *headers, size_t n) {
  if (cluster.length == 4 && memcmp(cluster.ptr, "none", 4) == 0)
    return T(http_callout_init_result_ClusterNotFound);
  if (cluster.length == 4 && memcmp(cluster.ptr, "dead", 4) == 0)
    return T(http_callout_init_result_CannotCreateRequest);
  callout *o = calloc(1, sizeof *o);
  o->id = *id = ++*next;
  for (size_t i = 0; i < n; i++)
    if (headers[i].key_length == 5 && memcmp(headers[i].key_ptr, ":path", 5) == 0)
      o->tag = atoi(headers[i].value_ptr + 1);
  o->next = *all;
  *all = o;
  return T(http_callout_init_result_Success);
}

static callout **find(callout **all, uint64_t id) {
  while (*all != NULL && (*all)->id != id)
    all = &(*all)->next;
  return all;
}

static bool drop(callout **all, uint64_t id) {
  callout **at = find(all, id), *o = *at;
  if (o == NULL)
    return false;
  *at = o->next;
  free(o);
  return true;
}

T(http_callout_init_result)
CB(http_filter_start_http_stream)(void *of, uint64_t *id, mbuf cluster, mheader *headers, size_t n, mbuf body, bool end,
                                  uint64_t timeout) {
  fake_stream *s = of;
  if (!alive(s, "http_filter_start_http_stream"))
    return T(http_callout_init_result_CannotCreateRequest);
  return start(&s->callouts, &s->next_callout, id, cluster, headers, n);
}

void CB(http_filter_reset_http_stream)(void *of, uint64_t id) {
  fake_stream *s = of;
  // Envoy tells the module of a reset that it has asked for, from within.
  if (alive(s, "http_filter_reset_http_stream") && drop(&s->callouts, id) && s->module != NULL)
    ON(http_filter_http_stream_reset)(s, s->module, id, T(http_stream_reset_reason_LocalReset));
}

bool CB(http_stream_send_data)(void *of, uint64_t id, mbuf data, bool end) {
  fake_stream *s = of;
  return alive(s, "http_stream_send_data") && *find(&s->callouts, id) != NULL;
}

T(http_callout_init_result)
CB(http_filter_config_start_http_stream)(void *of, uint64_t *id, mbuf cluster, mheader *headers, size_t n, mbuf body,
                                         bool end, uint64_t timeout) {
  fake_config *c = of;
  if (!config_alive(c, "http_filter_config_start_http_stream"))
    return T(http_callout_init_result_CannotCreateRequest);
  return start(&c->callouts, &c->next_callout, id, cluster, headers, n);
}

void CB(http_filter_config_reset_http_stream)(void *of, uint64_t id) {
  fake_config *c = of;
  if (config_alive(c, "http_filter_config_reset_http_stream") && drop(&c->callouts, id) && c->module != NULL)
    ON(http_filter_config_http_stream_reset)(c, c->module, id, T(http_stream_reset_reason_LocalReset));
}

bool CB(http_filter_config_stream_send_data)(void *of, uint64_t id, mbuf data, bool end) {
  fake_config *c = of;
  return config_alive(c, "http_filter_config_stream_send_data") && *find(&c->callouts, id) != NULL;
}

int fake_callouts(fake_stream *s, fake_config *c, uint64_t *ids, int max) {
  int n = 0;
  for (callout *o = s != NULL ? s->callouts : c->callouts; o != NULL && n < max; o = o->next)
    ids[n++] = o->id;
  return n;
}

int fake_callout_tag(fake_stream *s, fake_config *c, uint64_t id) {
  callout *o = *find(s != NULL ? &s->callouts : &c->callouts, id);
  return o != NULL ? o->tag : 0;
}

// One hook of a callout, with a body that says the tag.
#define HOOKS(prefix, of)                                                                                             \
  switch (kind) {                                                                                                     \
  case CALLOUT_HEADERS:                                                                                               \
    ON(prefix##_http_stream_headers)(of, of->module, id, &status, 1, end);                                            \
    break;                                                                                                            \
  case CALLOUT_DATA:                                                                                                  \
    ON(prefix##_http_stream_data)(of, of->module, id, &data, 1, end);                                                 \
    break;                                                                                                            \
  case CALLOUT_TRAILERS:                                                                                              \
    ON(prefix##_http_stream_trailers)(of, of->module, id, &trailer, 1);                                               \
    break;                                                                                                            \
  case CALLOUT_COMPLETE:                                                                                              \
    drop(&of->callouts, id);                                                                                          \
    ON(prefix##_http_stream_complete)(of, of->module, id);                                                            \
    break;                                                                                                            \
  case CALLOUT_RESET:                                                                                                 \
    drop(&of->callouts, id);                                                                                          \
    ON(prefix##_http_stream_reset)(of, of->module, id, T(http_stream_reset_reason_ConnectionFailure));                \
    break;                                                                                                            \
  case CALLOUT_DONE:                                                                                                  \
    ON(prefix##_http_callout_done)(of, of->module, id, T(http_callout_result_Success), &status, 1, &data, 1);         \
  }

void fake_callout(fake_stream *s, fake_config *c, uint64_t id, int kind, bool end, int tag) {
  char body[32];
  snprintf(body, sizeof body, "%d;", tag);
  ebuf data = {body, strlen(body)};
  eheader status = {":status", 7, "200", 3}, trailer = {"x-t", 3, "1", 1};
  if (s != NULL && s->module != NULL) {
    HOOKS(http_filter, s)
  } else if (s == NULL && c->module != NULL) {
    HOOKS(http_filter_config, c)
  }
}
