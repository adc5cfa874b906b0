// Streams: the hooks that Envoy calls, and what the module may do with one.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

// alive notes a fault unless the module may use s here and now.
bool alive(fake_stream *s, const char *callback) {
  if (s == NULL || __atomic_load_n(&s->dead, __ATOMIC_ACQUIRE))
    fault("%s of a stream that is destroyed", callback);
  else if (!on(s->thread))
    fault("%s of a stream on a thread that is not its own", callback);
  else
    return true;
  return false;
}

static void set(field **block, const char *key, size_t key_n, const char *value, size_t n) {
  field *f = calloc(1, sizeof *f);
  f->key = copy(key, key_n);
  f->value = copy(value, n);
  while (*block != NULL)
    block = &(*block)->next;
  *block = f;
}

static void put(fake_stream *s, int block, const char *key, const char *value) {
  set(&s->blocks[block], key, strlen(key), value, strlen(value));
}

static void spoil(text *t) {
  char *old = t->p;
  *t = copy(old, t->n);
  memset(old, '#', t->n);
  free(old);
}

// move puts headers elsewhere, as Envoy may do with them when the module does not look.
static void move(field *block) {
  for (field *f = block; f != NULL; f = f->next) {
    spoil(&f->key);
    spoil(&f->value);
  }
}

static void clear(field **block) {
  for (field *f = *block, *next; f != NULL; f = next) {
    next = f->next;
    free(f->key.p);
    free(f->value.p);
    free(f);
  }
  *block = NULL;
}

static void del(field **block, mbuf key) {
  while (*block != NULL) {
    field *f = *block;
    if (f->key.n != key.length || memcmp(f->key.p, key.ptr, key.length) != 0) {
      block = &f->next;
      continue;
    }
    *block = f->next;
    f->next = NULL;
    clear(&f);
  }
}

fake_stream *fake_stream_new(fake_config *c, fake_thread *t, int tag) {
  if (!config_acquire(c))
    return NULL;
  fake_stream *s = kept(sizeof *s);
  s->config = c;
  s->thread = t;
  s->tag = tag;
  s->routed = tag % 3 != 0; // as for all requests that Envoy doesn't refuse before
  snprintf(s->name, sizeof s->name, "%d", tag);
  s->module = ON(http_filter_new)(c->module, s);
  return s;
}

void fake_stream_manners(fake_stream *s, bool ends_in_reply, bool answers_in_continue) {
  s->ends_in_reply = ends_in_reply;
  s->answers_in_continue = answers_in_continue;
}

fake_outcome fake_stream_outcome(fake_stream *s) { return s->outcome; }

char *fake_header(fake_stream *s, int block, const char *name, size_t n) {
  size_t size = 1;
  for (field *f = s->blocks[block]; f != NULL; f = f->next)
    size += f->value.n + 1;
  char *all = malloc(size), *to = all;
  for (field *f = s->blocks[block]; f != NULL; f = f->next)
    if (f->key.n == n && memcmp(f->key.p, name, n) == 0) {
      memcpy(to, f->value.p, f->value.n);
      to += f->value.n;
      *to++ = '\n';
    }
  *to = 0;
  return all;
}
// Hooks.

static int headers(fake_stream *s, int dir, bool end) {
  if (s->blocks[2 * dir] == NULL) {
    if (dir == 0) {
      put(s, 0, ":method", "POST");
      put(s, 0, ":path", "/");
      put(s, 0, ":authority", "fake.test");
    } else {
      put(s, 2, ":status", "200");
    }
    put(s, 2 * dir, "x-tag", s->name);
  }
  if (dir == 0)
    return (int)ON(http_filter_request_headers)(s, s->module, end);
  s->has_code = true;
  int status = (int)ON(http_filter_response_headers)(s, s->module, end);
  s->route_fixed |= status == 0;
  return status;
}

static int data(fake_stream *s, int dir, bool end, const char *p, size_t n) {
  append(&s->received[dir], p, n);
  int status = dir == 0 ? (int)ON(http_filter_request_body)(s, s->module, end)
                        : (int)ON(http_filter_response_body)(s, s->module, end);
  if (s->dead)
    return status;
  if (status == 0)
    s->outcome.out[dir] += s->received[dir].n;
  else if (status != 3)
    append(&s->buffered[dir], s->received[dir].p, s->received[dir].n);
  free(s->received[dir].p);
  s->received[dir] = (text){NULL, 0};
  return status;
}

static int message(fake_stream *s, int kind, int dir, bool end, char *p, size_t n) {
  switch (kind) {
  case FAKE_HEADERS:
    return headers(s, dir, end);
  case FAKE_DATA:
    return data(s, dir, end, p, n);
  }
  put(s, 2 * dir + 1, "x-tag", s->name);
  return dir == 0 ? (int)ON(http_filter_request_trailers)(s, s->module)
                  : (int)ON(http_filter_response_trailers)(s, s->module);
}

int fake_event(fake_stream *s, int kind, int dir, bool end, char *p, size_t n) {
  int status = message(s, kind, dir, end, p, n);
  for (int block = 0; block < 4 && !s->dead; block++)
    move(s->blocks[block]);
  return status;
}

void fake_local_reply(fake_stream *s) {
  ON(http_filter_local_reply)(s, s->module, 503, (ebuf){"fake", 4}, false);
}

void fake_clear_route(fake_stream *s) {
  if (!s->route_fixed)
    s->routed = false;
}

void fake_watermark(fake_stream *s, bool high) {
  if (high)
    ON(http_filter_downstream_above_write_buffer_high_watermark)(s, s->module);
  else
    ON(http_filter_downstream_below_write_buffer_low_watermark)(s, s->module);
}

void fake_scheduled(fake_stream *s) { ON(http_filter_scheduled)(s, s->module, 0); }

void fake_complete(fake_stream *s) {
  s->outcome.completed = true;
  span_complete(s);
  ON(http_filter_stream_complete)(s, s->module);
}

void fake_destroy(fake_stream *s) {
  ON(http_filter_destroy)(s->module);
  if (s->open_spans > 0)
    fault("a stream is destroyed with %d spans that are not finished", s->open_spans);
  s->module = NULL; // which is why the module hears nothing of the resets that follow
  for (callout *o = s->callouts, *next; o != NULL; o = next) {
    next = o->next;
    free(o);
  }
  s->callouts = NULL;
  for (int i = 0; i < 4; i++)
    clear(&s->blocks[i]);
  for (int dir = 0; dir < 2; dir++) {
    free(s->buffered[dir].p);
    free(s->received[dir].p);
    s->buffered[dir] = s->received[dir] = (text){NULL, 0};
  }
  memset(s->name, '#', sizeof s->name - 1);
  s->outcome.destroyed = true;
  __atomic_store_n(&s->dead, true, __ATOMIC_RELEASE);
  fake_config_release(s->config);
}

// Callbacks: headers and bodies.

size_t CB(http_get_headers_size)(void *of, T(http_header_type) block) {
  fake_stream *s = of;
  size_t n = 0;
  if (alive(s, "http_get_headers_size"))
    for (field *f = s->blocks[block]; f != NULL; f = f->next)
      n++;
  return n;
}

bool CB(http_get_headers)(void *of, T(http_header_type) block, eheader *to) {
  fake_stream *s = of;
  if (!alive(s, "http_get_headers"))
    return false;
  for (field *f = s->blocks[block]; f != NULL; f = f->next)
    *to++ = (eheader){f->key.p, f->key.n, f->value.p, f->value.n};
  return true;
}

bool CB(http_add_header)(void *of, T(http_header_type) block, mbuf key, mbuf value) {
  fake_stream *s = of;
  if (!alive(s, "http_add_header"))
    return false;
  move(s->blocks[block]);
  set(&s->blocks[block], key.ptr, key.length, value.ptr, value.length);
  return true;
}

bool CB(http_set_header)(void *of, T(http_header_type) block, mbuf key, mbuf value) {
  fake_stream *s = of;
  if (!alive(s, "http_set_header"))
    return false;
  move(s->blocks[block]);
  del(&s->blocks[block], key);
  if (value.ptr != NULL)
    set(&s->blocks[block], key.ptr, key.length, value.ptr, value.length);
  return true;
}

static text *body(fake_stream *s, T(http_body_type) type) {
  return type % 2 == 0 ? &s->received[type / 2] : &s->buffered[type / 2];
}

size_t CB(http_get_body_size)(void *of, T(http_body_type) type) {
  return alive(of, "http_get_body_size") ? body(of, type)->n : 0;
}

size_t CB(http_get_body_chunks_size)(void *of, T(http_body_type) type) {
  return alive(of, "http_get_body_chunks_size") && body(of, type)->p != NULL;
}

bool CB(http_get_body_chunks)(void *of, T(http_body_type) type, ebuf *to) {
  if (!alive(of, "http_get_body_chunks") || body(of, type)->p == NULL)
    return false;
  *to = (ebuf){body(of, type)->p, body(of, type)->n};
  return true;
}

bool CB(http_append_body)(void *of, T(http_body_type) type, mbuf p) {
  if (!alive(of, "http_append_body"))
    return false;
  append(body(of, type), p.ptr, p.length);
  return true;
}

bool CB(http_drain_body)(void *of, T(http_body_type) type, size_t n) {
  if (!alive(of, "http_drain_body"))
    return false;
  text *t = body(of, type);
  n = n < t->n ? n : t->n;
  if (n > 0)
    memmove(t->p, t->p + n, t->n - n);
  t->n -= n;
  return true;
}

bool CB(http_received_buffered_request_body)(void *of) {
  return alive(of, "http_received_buffered_request_body") && false;
}

bool CB(http_received_buffered_response_body)(void *of) {
  return alive(of, "http_received_buffered_response_body") && false;
}

// Callbacks: the stream's way on. They may come back with other hooks, and end the stream.

static void end(fake_stream *s) {
  if (!s->ends_in_reply || s->outcome.completed)
    return;
  fake_complete(s);
  fake_destroy(s);
}

static void proceed(fake_stream *s, int dir) {
  s->route_fixed |= dir == 1;
  s->outcome.continued[dir]++;
  s->outcome.out[dir] += s->buffered[dir].n;
  s->buffered[dir].n = 0;
  if (dir == 0 && s->answers_in_continue && !s->answered && !s->outcome.completed) {
    s->answered = true;
    headers(s, 1, true);
  }
}

void CB(http_filter_continue_decoding)(void *s) {
  if (alive(s, "http_filter_continue_decoding"))
    proceed(s, 0);
}

void CB(http_filter_continue_encoding)(void *s) {
  if (alive(s, "http_filter_continue_encoding"))
    proceed(s, 1);
}

void CB(http_send_response)(void *of, uint32_t status, mheader *headers, size_t n, mbuf body, mbuf details) {
  fake_stream *s = of;
  if (!alive(s, "http_send_response"))
    return;
  s->outcome.reply = (int)status;
  s->route_fixed = s->has_code = true;
  fake_local_reply(s);
  end(s);
}

void CB(http_send_response_headers)(void *of, mheader *headers, size_t n, bool last) {
  fake_stream *s = of;
  if (!alive(s, "http_send_response_headers"))
    return;
  s->outcome.reply = 200;
  s->route_fixed = s->has_code = true;
  if (last)
    end(s);
}

void CB(http_send_response_data)(void *of, mbuf data, bool last) {
  fake_stream *s = of;
  if (!alive(s, "http_send_response_data"))
    return;
  s->outcome.out[1] += data.length;
  if (last)
    end(s);
}

void CB(http_filter_reset_stream)(void *of, T(http_filter_stream_reset_reason) reason, mbuf details) {
  fake_stream *s = of;
  if (!alive(s, "http_filter_reset_stream"))
    return;
  s->outcome.resets++;
  end(s);
}

void CB(http_clear_route_cache)(void *of) {
  fake_stream *s = of;
  if (!alive(s, "http_clear_route_cache"))
    return;
  if (s->route_fixed)
    fault("http_clear_route_cache after the response's headers");
  s->routed = false;
}
const void *CB(get_most_specific_route_config)(void *s) {
  alive(s, "get_most_specific_route_config");
  return NULL;
}
uint64_t CB(http_get_buffer_limit)(void *s) { return alive(s, "http_get_buffer_limit") ? 1 << 20 : 0; }
bool CB(http_set_upstream_override_host)(void *s, mbuf host, bool strict) {
  return alive(s, "http_set_upstream_override_host");
}
