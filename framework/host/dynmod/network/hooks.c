// Event hooks of network filters: decide whether Go wants the event, and enter it if so.
#include <stdlib.h>

#include "_cgo_export.h"
#include "conn.h"

static _Atomic uint32_t threads;
static _Thread_local uint32_t thread_no; // from 1 on; 0: it has not entered Go for a connection

// Package dynmod's, which serves streams on the same threads.
extern __attribute__((weak)) bool moe_on_envoy_thread(void);

bool moe_conn_on_thread(uint32_t number) { return thread_no == number; }

bool moe_conn_on_envoy_thread(void) {
  return thread_no != 0 || (moe_on_envoy_thread != NULL && moe_on_envoy_thread());
}

// release frees c when both sides are done with it and no hook of it is under way.
static void release(moe_conn *c) {
  if (!c->completed || !c->gone || c->depth > 0)
    return;
  if (c->scheduler != NULL)
    NF(scheduler_delete)(c->scheduler);
  free(c);
}

static uint32_t cross(moe_conn_event *e) {
  moe_conn *c = e->conn;
  if (thread_no == 0)
    thread_no = atomic_fetch_add(&threads, 1) + 1;
  c->thread = e->thread = thread_no;
  c->depth++;
  moeNetworkEvent(e);
  c->depth--;
  release(c);
  return e->stop;
}

// wanted reports whether Go must be entered for an event.
static inline bool wanted(moe_conn *c, uint8_t event) { return !c->completed && (c->wants & event) != 0; }

HOOK const void *ON(network_filter_config_new)(void *envoy, ebuf name, ebuf value) {
  moe_network_config *c = calloc(1, sizeof *c);
  if (c == NULL)
    return NULL;
  if (!moeNetworkNew(c, envoy, (char *)name.ptr, name.length, (char *)value.ptr, value.length)) {
    free(c);
    return NULL;
  }
  return c;
}

HOOK void ON(network_filter_config_destroy)(const void *config) {
  moe_network_config *c = (moe_network_config *)config;
  moeNetworkDestroy(c->id);
  free(c); // no connection uses it any more
}

HOOK const void *ON(network_filter_new)(const void *config, void *filter) {
  moe_conn *c = calloc(1, sizeof *c);
  if (c == NULL)
    return NULL; // which has Envoy close the connection
  c->envoy = filter;
  c->config = (moe_network_config *)config;
  c->wants = (uint8_t)c->config->wants;
  return c;
}

HOOK STATUS ON(network_filter_new_connection)(void *envoy, const void *ours) {
  moe_conn *c = (moe_conn *)ours;
  if (!wanted(c, WANT_CONNECTION))
    return T(on_network_filter_data_status_Continue);
  moe_conn_event e = {.conn = c, .kind = CONN_NEW};
  return (STATUS)cross(&e);
}

static STATUS data(const void *ours, uint32_t kind, uint8_t want, size_t n, bool end) {
  moe_conn *c = (moe_conn *)ours;
  if (!wanted(c, want))
    return T(on_network_filter_data_status_Continue);
  moe_conn_event e = {.conn = c, .kind = kind, .length = n, .flag = end};
  return (STATUS)cross(&e);
}

HOOK STATUS ON(network_filter_read)(void *envoy, const void *ours, size_t n, bool end) {
  return data(ours, CONN_READ, WANT_READ, n, end);
}

HOOK STATUS ON(network_filter_write)(void *envoy, const void *ours, size_t n, bool end) {
  return data(ours, CONN_WRITE, WANT_WRITE, n, end);
}

HOOK void ON(network_filter_event)(void *envoy, const void *ours, T(network_connection_event) event) {
  moe_conn *c = (moe_conn *)ours;
  if (event > T(network_connection_event_LocalClose) || c->closed)
    return;
  c->closed = true;
  // Whoever Go has met is let go of here, on its own thread: Envoy may destroy the filter on another.
  if (c->completed || (c->slot == 0 && (c->wants & WANT_CLOSE) == 0))
    return;
  moe_conn_event e = {.conn = c, .kind = CONN_CLOSE, .flag = event == T(network_connection_event_LocalClose)};
  cross(&e);
}

HOOK void ON(network_filter_destroy)(const void *ours) {
  moe_conn *c = (moe_conn *)ours;
  c->envoy = NULL;
  atomic_store(&c->gone, 1);
  if (c->slot == 0)
    c->completed = true;
  if (!c->completed && thread_no == c->thread) { // Envoy has not told that the connection is closed
    moe_conn_event e = {.conn = c, .kind = CONN_GONE};
    cross(&e);
    return;
  }
  release(c);
}

HOOK void ON(network_filter_scheduled)(void *envoy, const void *ours, uint64_t id) {
  moe_conn *c = (moe_conn *)ours;
  if (c->completed)
    return;
  moe_conn_event e = {.conn = c, .kind = CONN_SCHEDULED};
  cross(&e);
}

static void watermark(const void *ours, bool above) {
  moe_conn *c = (moe_conn *)ours;
  if (!wanted(c, WANT_WATERMARK))
    return;
  moe_conn_event e = {.conn = c, .kind = CONN_WATERMARK, .flag = above};
  cross(&e);
}

HOOK void ON(network_filter_above_write_buffer_high_watermark)(void *envoy, const void *ours) { watermark(ours, true); }

HOOK void ON(network_filter_below_write_buffer_low_watermark)(void *envoy, const void *ours) { watermark(ours, false); }
