// Event hooks of listener filters: decide whether Go wants the event, and enter it if so.
#include <stdlib.h>

#include "_cgo_export.h"
#include "socket.h"

static _Atomic uint32_t threads;
static _Thread_local uint32_t thread_no; // from 1 on; 0: it has not entered Go for a listener filter

// Those of the packages that serve streams and connections on the same threads.
extern __attribute__((weak)) bool moe_on_envoy_thread(void);
extern __attribute__((weak)) bool moe_conn_on_envoy_thread(void);

bool moe_socket_on_thread(uint32_t number) { return thread_no == number; }

bool moe_socket_on_envoy_thread(void) {
  return thread_no != 0 || (moe_on_envoy_thread != NULL && moe_on_envoy_thread()) ||
         (moe_conn_on_envoy_thread != NULL && moe_conn_on_envoy_thread());
}

// release frees s when both sides are done with it and no hook of it is under way.
static void release(moe_socket *s) {
  if (!s->completed || !s->gone || s->depth > 0)
    return;
  if (s->scheduler != NULL)
    LF(scheduler_delete)(s->scheduler);
  free(s);
}

// cross enters Go, and closes the connection if that is Go's verdict. Envoy may destroy the filter meanwhile, but s stays
// until left.
static uint32_t cross(moe_socket_event *e) {
  moe_socket *s = e->socket;
  if (thread_no == 0)
    thread_no = atomic_fetch_add(&threads, 1) + 1;
  s->thread = e->thread = thread_no;
  s->depth++;
  moeListenerEvent(e);
  if (e->verdict == VERDICT_CLOSE && s->envoy != NULL)
    LF(close_socket)(s->envoy, (mbuf){e->details, e->written});
  return e->verdict;
}

static void left(moe_socket *s) {
  s->depth--;
  release(s);
}

static STATUS enter(moe_socket *s, uint32_t kind, size_t n) {
  moe_socket_event e = {.socket = s, .kind = kind, .length = n};
  uint32_t verdict = cross(&e);
  left(s);
  return verdict == VERDICT_PASS ? T(on_listener_filter_status_Continue) : T(on_listener_filter_status_StopIteration);
}

HOOK const void *ON(listener_filter_config_new)(void *envoy, ebuf name, ebuf value) {
  moe_listener_config *c = calloc(1, sizeof *c);
  if (c == NULL)
    return NULL;
  if (!moeListenerNew(c, envoy, (char *)name.ptr, name.length, (char *)value.ptr, value.length)) {
    free(c);
    return NULL;
  }
  return c;
}

HOOK void ON(listener_filter_config_destroy)(const void *config) {
  moe_listener_config *c = (moe_listener_config *)config;
  moeListenerDestroy(c->id);
  free(c); // no connection uses it any more
}

HOOK const void *ON(listener_filter_new)(const void *config, void *filter) {
  moe_socket *s = calloc(1, sizeof *s);
  if (s == NULL)
    return NULL; // which has Envoy close the connection
  s->envoy = filter;
  s->config = (moe_listener_config *)config;
  return s;
}

HOOK STATUS ON(listener_filter_on_accept)(void *envoy, const void *ours) {
  return enter((moe_socket *)ours, SOCKET_ACCEPT, 0);
}

HOOK STATUS ON(listener_filter_on_data)(void *envoy, const void *ours, size_t n) {
  moe_socket *s = (moe_socket *)ours;
  if (s->completed || s->least == 0 || n < s->least)
    return T(on_listener_filter_status_StopIteration);
  return enter(s, SOCKET_DATA, n);
}

HOOK size_t ON(listener_filter_get_max_read_bytes)(void *envoy, const void *ours) {
  return ((const moe_socket *)ours)->most;
}

HOOK void ON(listener_filter_on_close)(void *envoy, const void *ours) {
  moe_socket *s = (moe_socket *)ours;
  if (!s->completed)
    enter(s, SOCKET_CLOSE, 0);
}

HOOK void ON(listener_filter_destroy)(const void *ours) {
  moe_socket *s = (moe_socket *)ours;
  s->envoy = NULL;
  atomic_store(&s->gone, 1);
  if (s->slot == 0)
    s->completed = true;
  if (!s->completed && thread_no == s->thread) // Envoy has lost patience
    enter(s, SOCKET_GONE, 0);
  else
    release(s);
}

// The hooks above return a verdict; this one reports it by a callback, in which Envoy may destroy the filter.
HOOK void ON(listener_filter_scheduled)(void *envoy, const void *ours, uint64_t id) {
  moe_socket *s = (moe_socket *)ours;
  if (s->completed)
    return;
  moe_socket_event e = {.socket = s, .kind = SOCKET_SCHEDULED};
  uint32_t verdict = cross(&e);
  if (verdict != VERDICT_WAIT)
    LF(continue_filter_chain)(envoy, verdict == VERDICT_PASS);
  left(s);
}
