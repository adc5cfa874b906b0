// Event hooks of streams: decide whether the chain wants the event, cross into Go if so, and do what it says.
#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"
#include "moe.h"

_Atomic uint32_t moe_route_configs;

enum { STACK_CHUNKS = 16, STACK_OUT = 2048 };

static _Atomic uint32_t threads;
_Thread_local moe_thread moe_this_thread;

// moe_on_envoy_thread reports whether the caller runs on a thread of Envoy's that has entered Go, or on the main one: that
// goroutine is bound to the thread until it returns, so that no other can run there.
bool moe_on_envoy_thread(void) { return moe_this_thread.number != 0 || moe_on_main_thread(); }

// moe_on_thread reports whether the caller runs on the thread of a number.
bool moe_on_thread(uint32_t number) { return moe_this_thread.number == number; }

static void free_stream(moe_instance *s) {
  if (s->scheduler != NULL)
    CB(http_filter_scheduler_delete)(s->scheduler);
  moe_instance_free(s);
}

// release frees s when both sides are done with it and no hook of it is under way.
static void release(moe_instance *s) {
  if (!s->completed || !s->gone || s->depth > 0)
    return;
  if (s->called) {
    s->next = s->thread->lingering;
    s->thread->lingering = s;
  } else {
    free_stream(s);
  }
}

static void free_lingering(moe_thread *t) {
  while (t->lingering != NULL) {
    moe_instance *s = t->lingering;
    t->lingering = s->next;
    free_stream(s);
  }
}

void moe_cross(moe_event *e) {
  uint8_t stack[STACK_OUT];
  moe_instance *batch[MAX_FINISHED];
  moe_instance *s = e->stream;
  moe_thread *t = s != NULL ? s->thread : &moe_this_thread;
  if (t->number == 0)
    t->number = atomic_fetch_add(&threads, 1) + 1;
  e->out = stack;
  e->out_cap = sizeof stack;
  e->thread = t->number;
  // Envoy may destroy more streams while the verbs run: they belong to the next crossing.
  e->finished = batch;
  e->finished_n = t->finished_n;
  for (size_t i = 0; i < e->finished_n; i++) // few in most cases
    batch[i] = t->finished[i];
  t->finished_n = 0;
  if (s != NULL) {
    s->depth++;
    atomic_store_explicit(&s->attention, 0, memory_order_relaxed);
  }
  moeEvent(e);
  for (size_t i = 0; i < e->finished_n; i++)
    release(batch[i]);
  if (e->out_len > 0)
    moe_apply(e);
  free(e->out_heap);
  if (s != NULL) {
    s->depth--;
    release(s);
  }
}

// wanted reports whether Go must be entered for a phase.
static inline bool wanted(moe_instance *s, uint32_t phase) {
  return (s->wants & phase) != 0 || atomic_load_explicit(&s->attention, memory_order_relaxed) != 0;
}

HOOK const void *ON(http_filter_new)(const void *config, void *filter) {
  moe_thread *t = &moe_this_thread;
  free_lingering(t);
  moe_instance *s = moe_instance_new(t);
  s->thread = t;
  s->start = moe_now();
  s->envoy = filter;
  s->config = (moe_config *)config;
  s->wants = s->config->wants;
  s->constants[0] = s->config->constants[0];
  s->constants[1] = s->config->constants[1];
  return s;
}

// put copies n bytes, few in most cases, and returns the end of the copy.
static inline char *put(char *to, const char *p, size_t n) {
  if (n > 32) {
    memcpy(to, p, n);
  } else if (n > 16) {
    char first[16], last[16];
    memcpy(first, p, 16);
    memcpy(last, p + n - 16, 16);
    memcpy(to, first, 16);
    memcpy(to + n - 16, last, 16);
  } else if (n >= 8) {
    uint64_t first, last;
    memcpy(&first, p, 8);
    memcpy(&last, p + n - 8, 8);
    memcpy(to, &first, 8);
    memcpy(to + n - 8, &last, 8);
  } else if (n >= 4) {
    uint32_t first, last;
    memcpy(&first, p, 4);
    memcpy(&last, p + n - 4, 4);
    memcpy(to, &first, 4);
    memcpy(to + n - 4, &last, 4);
  } else if (n > 0) {
    char first = p[0], middle = p[n / 2], last = p[n - 1];
    to[0] = first;
    to[n / 2] = middle;
    to[n - 1] = last;
  }
  return to + n;
}

// keep has headers last as long as the stream.
static void keep(moe_instance *s, eheader *all, size_t n) {
  size_t size = 0;
  for (size_t i = 0; i < n; i++)
    size += all[i].key_length + all[i].value_length;
  char *to = moe_text(s, size);
  for (size_t i = 0; i < n; i++) {
    char *name = to, *value = put(name, all[i].key_ptr, all[i].key_length);
    to = put(value, all[i].value_ptr, all[i].value_length);
    all[i].key_ptr = name;
    all[i].value_ptr = value;
  }
}

// cross_headers enters Go with the headers or trailers of a block. They are Envoy's own, which Go may see until it returns,
// unless what comes later may have somebody look at them again.
static uint32_t cross_headers(moe_event *e, int block, uint32_t later) {
  moe_instance *s = e->stream;
  size_t n = CB(http_get_headers_size)(s->envoy, block);
  eheader stack[STACK_HEADERS], *all = n > STACK_HEADERS ? malloc(n * sizeof *all) : stack;
  if (all == NULL)
    abort();
  CB(http_get_headers)(s->envoy, block, all);
  if ((s->wants & later) != 0 && n <= STACK_HEADERS) {
    keep(s, all, n);
    e->kept = 1;
  }
  e->headers = all;
  e->headers_n = n;
  moe_cross(e);
  if (all != stack)
    free(all);
  return e->status;
}

static uint32_t headers(moe_instance *s, uint32_t dir, bool end, uint32_t route) {
  moe_event e = {.stream = s, .kind = EVENT_HEADERS, .dir = dir, .end = end, .route = route};
  return cross_headers(&e, 2 * dir, ~(dir == 0 ? WANT_REQUEST_HEADERS : WANT_REQUEST_HEADERS | WANT_RESPONSE_HEADERS));
}

static uint32_t data(moe_instance *s, uint32_t dir, bool end) {
  s->bytes[dir] += CB(http_get_body_size)(s->envoy, 2 * dir);
  s->ended[dir] |= end;
  if (s->replied || !moe_alive(s))
    return STATUS_NO_BUFFER;
  if (s->busy[dir]) {
    // Envoy keeps the chunk and, over its watermark, stops reading from the peer.
    if (!(s->held[dir] & HELD_DATA))
      s->foreign[dir] = CB(http_get_body_size)(s->envoy, 2 * dir + 1);
    s->held[dir] |= HELD_DATA;
    return STATUS_WATERMARK;
  }
  if (!wanted(s, dir == 0 ? WANT_REQUEST_BODY : WANT_RESPONSE_BODY))
    return STATUS_CONTINUE;
  size_t n = CB(http_get_body_chunks_size)(s->envoy, 2 * dir);
  ebuf stack[STACK_CHUNKS], *all = n > STACK_CHUNKS ? malloc(n * sizeof *all) : stack;
  if (all == NULL)
    abort();
  CB(http_get_body_chunks)(s->envoy, 2 * dir, all);
  moe_event e = {.stream = s, .kind = EVENT_DATA, .dir = dir, .end = end, .data = all, .data_n = n};
  moe_cross(&e);
  if (all != stack)
    free(all);
  return e.status;
}

static uint32_t trailers(moe_instance *s, uint32_t dir) {
  s->ended[dir] = true;
  if (s->replied || !moe_alive(s))
    return STATUS_STOP;
  if (s->busy[dir] || s->held[dir]) {
    s->held[dir] |= HELD_TRAILERS;
    return STATUS_STOP;
  }
  if (!wanted(s, dir == 0 ? WANT_REQUEST_TRAILERS : WANT_RESPONSE_TRAILERS))
    return STATUS_CONTINUE;
  moe_event e = {.stream = s, .kind = EVENT_TRAILERS, .dir = dir, .end = true};
  return cross_headers(&e, 2 * dir + 1, dir == 0 ? WANT_RESPONSE_ANY | WANT_COMPLETE : WANT_COMPLETE);
}

HOOK T(on_http_filter_request_headers_status)
    ON(http_filter_request_headers)(void *envoy, const void *stream, bool end) {
  moe_instance *s = (moe_instance *)stream;
  s->ended[0] = end;
  if (!moe_alive(s))
    return STATUS_STOP;
  uint32_t route = 0;
  if (atomic_load_explicit(&moe_route_configs, memory_order_relaxed) != 0)
    route = (uint32_t)(uintptr_t)CB(get_most_specific_route_config)(envoy);
  if (route == 0 && !wanted(s, WANT_REQUEST_HEADERS)) {
    moe_set_constants(s, 0);
    return STATUS_CONTINUE;
  }
  return headers(s, 0, end, route);
}

HOOK T(on_http_filter_request_body_status) ON(http_filter_request_body)(void *envoy, const void *stream, bool end) {
  return data((moe_instance *)stream, 0, end);
}

HOOK T(on_http_filter_request_trailers_status) ON(http_filter_request_trailers)(void *envoy, const void *stream) {
  return trailers((moe_instance *)stream, 0);
}

HOOK T(on_http_filter_response_headers_status)
    ON(http_filter_response_headers)(void *envoy, const void *stream, bool end) {
  moe_instance *s = (moe_instance *)stream;
  if (s->sending)
    return STATUS_CONTINUE;
  s->ended[1] = end;
  if (!moe_alive(s))
    return STATUS_STOP;
  moe_answered(s);
  if (!wanted(s, WANT_RESPONSE_HEADERS)) {
    moe_set_constants(s, 1);
    return STATUS_CONTINUE;
  }
  return headers(s, 1, end, 0);
}

HOOK T(on_http_filter_response_body_status) ON(http_filter_response_body)(void *envoy, const void *stream, bool end) {
  if (((moe_instance *)stream)->sending)
    return STATUS_CONTINUE;
  return data((moe_instance *)stream, 1, end);
}

HOOK T(on_http_filter_response_trailers_status) ON(http_filter_response_trailers)(void *envoy, const void *stream) {
  return trailers((moe_instance *)stream, 1);
}

HOOK void ON(http_filter_stream_complete)(void *envoy, const void *stream) {
  moe_instance *s = (moe_instance *)stream;
  if (moe_alive(s) && wanted(s, WANT_COMPLETE)) {
    moe_event e = {.stream = s, .kind = EVENT_COMPLETE};
    moe_cross(&e);
  }
}

HOOK void ON(http_filter_destroy)(const void *stream) {
  moe_instance *s = (moe_instance *)stream;
  if (s->gone)
    return;
  s->envoy = NULL;
  atomic_store(&s->gone, 1); // before attention is read: Go writes that one and then reads this
  if (s->slot == 0 || s->completed) {
    s->completed = true;
    release(s);
    return;
  }
  if (s->escaped || atomic_load(&s->attention) != 0) {
    moe_event e = {.stream = s, .kind = EVENT_GONE};
    moe_cross(&e);
    return;
  }
  // Nobody waits for the news: Go hears of it at this thread's next crossing, which saves one per stream.
  moe_thread *t = s->thread;
  t->finished[t->finished_n++] = s;
  if (t->finished_n == MAX_FINISHED) {
    moe_event e = {.kind = EVENT_DRAIN};
    moe_cross(&e);
  }
}

HOOK void ON(http_filter_scheduled)(void *envoy, const void *stream, uint64_t id) {
  moe_instance *s = (moe_instance *)stream;
  if (!moe_alive(s))
    return;
  moe_event e = {.stream = s, .kind = EVENT_SCHEDULED};
  moe_cross(&e);
}

static void watermark(const void *stream, bool high) {
  moe_instance *s = (moe_instance *)stream;
  // Only a reply that we stream ourselves can answer to back-pressure; for others Envoy does it.
  if (!moe_alive(s) || !s->replied)
    return;
  moe_event e = {.stream = s, .kind = EVENT_WATERMARK, .end = high};
  moe_cross(&e);
}

HOOK void ON(http_filter_downstream_above_write_buffer_high_watermark)(void *envoy, const void *stream) {
  watermark(stream, true);
}

HOOK void ON(http_filter_downstream_below_write_buffer_low_watermark)(void *envoy, const void *stream) {
  watermark(stream, false);
}

HOOK T(on_http_filter_local_reply_status)
    ON(http_filter_local_reply)(void *envoy, const void *stream, uint32_t code, ebuf details, bool reset) {
  // Kept for the attribute response.code_details, which older Envoys don't offer to modules.
  moe_instance *s = (moe_instance *)stream;
  if (!moe_since_139() && moe_alive(s)) {
    s->details = moe_keep(s, details.ptr, details.length);
    s->details_len = details.length;
  }
  return 0;
}
