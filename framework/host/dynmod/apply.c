// Carries out, after Go has returned, what it wrote into a moe_event: changes of headers and bodies, replies, metrics,
// the stream's way on. Envoy may call hooks of this or other streams meanwhile, and end the stream.
#include <stdlib.h>
#include <string.h>

#include "moe.h"

// moe_grow makes room for need more bytes in e->out.
void moe_grow(moe_event *e, size_t need) {
  size_t cap = e->out_cap * 2;
  if (cap < e->out_len + need)
    cap = e->out_len + need;
  uint8_t *p = realloc(e->out_heap, cap);
  if (p == NULL)
    abort();
  if (e->out_heap == NULL)
    memcpy(p, e->out, e->out_len);
  e->out = e->out_heap = p;
  e->out_cap = cap;
}

static mbuf buf(const uint8_t *p, size_t n) { return (mbuf){(const char *)p, n}; }

// moe_read_headers reads n headers, each two lengths and their bytes, into memory to be freed.
mheader *moe_read_headers(const uint8_t *p, size_t n) {
  mheader *all = malloc(n * sizeof *all + 1);
  if (all == NULL)
    abort();
  for (size_t i = 0; i < n; i++) {
    uint32_t len[2];
    memcpy(len, p, sizeof len);
    p += sizeof len;
    all[i] = (mheader){(const char *)p, len[0], (const char *)p + len[0], len[1]};
    p += len[0] + len[1];
  }
  return all;
}

static void metric(moe_instance *s, const moe_verb *v, const uint8_t *p) {
  uint64_t id;
  int64_t n;
  memcpy(&id, p, 8);
  memcpy(&n, p + 8, 8);
  p += 16;
  mbuf tags[255];
  for (size_t i = 0; i < v->a; i++) {
    uint32_t len;
    memcpy(&len, p, 4);
    tags[i] = buf(p + 4, len);
    p += 4 + len;
  }
  switch (v->verb) {
  case VERB_COUNTER:
    CB(http_filter_increment_counter)(s->envoy, id, tags, v->a, (uint64_t)n);
    break;
  case VERB_GAUGE:
    if (n >= 0)
      CB(http_filter_increment_gauge)(s->envoy, id, tags, v->a, (uint64_t)n);
    else
      CB(http_filter_decrement_gauge)(s->envoy, id, tags, v->a, (uint64_t)-n);
    break;
  case VERB_HISTOGRAM:
    CB(http_filter_record_histogram_value)(s->envoy, id, tags, v->a, (uint64_t)n);
    break;
  }
}

static void proceed(moe_instance *s, int dir) {
  if (dir == 0)
    CB(http_filter_continue_decoding)(s->envoy);
  else
    CB(http_filter_continue_encoding)(s->envoy);
}

// copy_buffered copies what Envoy has buffered; NULL if that is nothing.
static char *copy_buffered(moe_instance *s, int type, size_t *size) {
  *size = CB(http_get_body_size)(s->envoy, type);
  if (*size == 0)
    return NULL;
  size_t n = CB(http_get_body_chunks_size)(s->envoy, type);
  ebuf *chunks = malloc(n * sizeof *chunks);
  char *copy = malloc(*size), *to = copy;
  if (chunks == NULL || copy == NULL)
    abort();
  CB(http_get_body_chunks)(s->envoy, type, chunks);
  for (size_t i = 0; i < n; to += chunks[i++].length)
    memcpy(to, chunks[i].ptr, chunks[i].length);
  free(chunks);
  return copy;
}

// resume sends p on and continues. All filters of a stream share one buffer a direction: bytes in it that are not ours
// (the router keeps the request there for retries) have gone on already, and continuing would send them again. They
// are taken out before and put back after, in front of what came in meanwhile.
static void resume(moe_instance *s, int dir, const uint8_t *p, size_t n) {
  int type = 2 * dir + 1;
  size_t size, size_now;
  char *others = copy_buffered(s, type, &size);
  if (others != NULL)
    CB(http_drain_body)(s->envoy, type, size);
  if (n > 0)
    CB(http_append_body)(s->envoy, type, buf(p, n));
  proceed(s, dir);
  if (others == NULL)
    return;
  if (!s->gone) {
    char *now = copy_buffered(s, type, &size_now);
    if (now != NULL)
      CB(http_drain_body)(s->envoy, type, size_now);
    CB(http_append_body)(s->envoy, type, (mbuf){others, size});
    if (now != NULL)
      CB(http_append_body)(s->envoy, type, (mbuf){now, size_now});
    free(now);
  }
  free(others);
}

// moe_drain_ours takes what Envoy holds for us out of its buffer and leaves what other filters keep there.
void moe_drain_ours(moe_instance *s, int dir) {
  int type = 2 * dir + 1;
  size_t size;
  char *all = copy_buffered(s, type, &size);
  if (all == NULL)
    return;
  CB(http_drain_body)(s->envoy, type, size);
  if (s->foreign[dir] > 0)
    CB(http_append_body)(s->envoy, type, (mbuf){all, s->foreign[dir]});
  free(all);
}

// moe_foreign reports whether Envoy's buffer holds bytes that are not the chunk of the hook under way.
bool moe_foreign(moe_instance *s, int dir) {
  if (CB(http_get_body_size)(s->envoy, 2 * dir + 1) == 0)
    return false;
  return !(dir == 0 ? CB(http_received_buffered_request_body) : CB(http_received_buffered_response_body))(s->envoy);
}

// moe_no_buffer reports whether Envoy has no buffer, not even an empty one. Bytes appended in the trailers hook of a
// direction that has not stopped reach the next filter only then.
bool moe_no_buffer(moe_instance *s, int dir) {
  ebuf none[1];
  return CB(http_get_body_chunks_size)(s->envoy, 2 * dir + 1) == 0 &&
         !CB(http_get_body_chunks)(s->envoy, 2 * dir + 1, none);
}

static void apply_one(moe_event *e, const moe_verb *v, const uint8_t *p, mbuf *details) {
  moe_instance *s = e->stream;
  const uint8_t *p2 = p + v->n1;
  switch (v->verb) {
  case VERB_SET_HEADER:
    CB(http_set_header)(s->envoy, v->a, buf(p, v->n1), buf(p2, v->n2));
    break;
  case VERB_ADD_HEADER:
    CB(http_add_header)(s->envoy, v->a, buf(p, v->n1), buf(p2, v->n2));
    break;
  case VERB_REPLACE_CHUNK:
    CB(http_drain_body)(s->envoy, 2 * v->a, SIZE_MAX);
    if (v->n1 > 0)
      CB(http_append_body)(s->envoy, 2 * v->a, buf(p, v->n1));
    break;
  case VERB_APPEND:
    CB(http_append_body)(s->envoy, 2 * v->a + 1, buf(p, v->n1));
    break;
  case VERB_RESUME:
    resume(s, v->a, p, v->n1);
    break;
  case VERB_DETAILS:
    *details = buf(p, v->n1);
    break;
  case VERB_RESPONSE: {
    mheader *headers = moe_read_headers(p, v->a);
    moe_answered(s);
    s->replied = true;
    CB(http_send_response)(s->envoy, v->b, headers, v->a, buf(p2, v->n2), *details);
    free(headers);
    break;
  }
  case VERB_RESPONSE_HEADERS: {
    mheader *headers = moe_read_headers(p, v->a);
    moe_answered(s);
    s->replied = true;
    s->sending++;
    CB(http_send_response_headers)(s->envoy, headers, v->a, v->b);
    s->sending--;
    free(headers);
    break;
  }
  case VERB_RESPONSE_DATA:
    s->sending++;
    CB(http_send_response_data)(s->envoy, buf(p, v->n1), v->b);
    s->sending--;
    break;
  case VERB_RESET:
    CB(http_filter_reset_stream)(s->envoy, T(http_filter_stream_reset_reason_LocalReset), buf(p, v->n1));
    break;
  case VERB_COUNTER:
  case VERB_GAUGE:
  case VERB_HISTOGRAM:
    metric(s, v, p);
    break;
  default:
    moe_apply_callout(e, v, p);
  }
}

static bool is_metric(const moe_verb *v) { return v->verb >= VERB_COUNTER && v->verb <= VERB_HISTOGRAM; }

// apply carries out the metrics' verbs, or all others, in order, until the stream is gone.
static void apply(moe_event *e, bool metrics) {
  mbuf details = {NULL, 0};
  for (size_t at = 0; at < e->out_len && !(e->stream != NULL && e->stream->gone);) {
    moe_verb v;
    memcpy(&v, e->out + at, sizeof v);
    at += sizeof v;
    if (is_metric(&v) == metrics)
      apply_one(e, &v, e->out + at, &details);
    at += v.n1 + v.n2;
  }
}

// moe_apply carries out the verbs of e. Metrics come first: a reply or a reset may end the stream, and with it the way
// to Envoy's stats.
void moe_apply(moe_event *e) {
  if (e->metrics)
    apply(e, true);
  apply(e, false);
}
