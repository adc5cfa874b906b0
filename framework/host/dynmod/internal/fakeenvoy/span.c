// Spans: Envoy's own of a stream, and those that the module owns until it finishes them.
#include <stdio.h>
#include <string.h>

#include "internal.h"

typedef struct {
  fake_stream *stream;
  bool own; // the module's
  bool finished;
  bool over; // Envoy's own, of a stream that is complete: children can be made, and what is set is lost
  int events;
} fake_span;

enum { MAX_EVENTS = 128 }; // that dynmod may log

static _Thread_local char ids[33]; // as Envoy, one for each thread

// traced reports whether Envoy traces s, as it does most streams.
static bool traced(fake_stream *s) { return s->tag % 4 != 0; }

static fake_span *span_new(fake_stream *s, bool own) {
  fake_span *span = kept(sizeof *span);
  *span = (fake_span){.stream = s, .own = own, .over = !own && s->outcome.completed};
  return span;
}

static fake_span *usable(void *of, const char *callback) {
  fake_span *span = of;
  if (span == NULL)
    fault("%s without a span", callback);
  else if (span->finished)
    fault("%s of a span that is finished", callback);
  else if (alive(span->stream, callback))
    return span;
  return NULL;
}

static fake_span *changeable(void *of, const char *callback) {
  fake_span *span = usable(of, callback);
  if (span != NULL && span->over)
    fault("%s of Envoy's span after it has finished it", callback);
  return span;
}

// span_complete finishes Envoy's own span, before filters hear of the stream's end.
void span_complete(fake_stream *s) {
  if (s->span != NULL)
    ((fake_span *)s->span)->over = true;
}

void *CB(http_get_active_span)(void *of) {
  fake_stream *s = of;
  if (!alive(s, "http_get_active_span") || !traced(s))
    return NULL;
  if (s->span == NULL)
    s->span = span_new(s, false);
  return s->span;
}
void *CB(http_span_spawn_child)(void *of, void *parent, mbuf name) {
  fake_stream *s = of;
  if (!alive(s, "http_span_spawn_child") || usable(parent, "http_span_spawn_child") == NULL)
    return NULL;
  s->open_spans++;
  return span_new(s, true);
}
void CB(http_child_span_finish)(void *of) {
  fake_span *span = usable(of, "http_child_span_finish");
  if (span == NULL)
    return;
  if (!span->own)
    fault("http_child_span_finish of Envoy's own span");
  span->finished = true;
  span->stream->open_spans--;
}
void CB(http_span_set_tag)(void *of, mbuf key, mbuf value) {
  if (changeable(of, "http_span_set_tag") != NULL && key.length == 0)
    fault("http_span_set_tag without a key");
}
void CB(http_span_set_operation)(void *of, mbuf name) { changeable(of, "http_span_set_operation"); }
void CB(http_span_log)(void *s, void *of, mbuf event) {
  if (!alive(s, "http_span_log"))
    return;
  fake_span *span = changeable(of, "http_span_log");
  if (span != NULL && ++span->events > MAX_EVENTS)
    fault("http_span_log of more than %d events", MAX_EVENTS);
}
void CB(http_span_set_sampled)(void *of, bool sampled) { changeable(of, "http_span_set_sampled"); }

static bool id(void *of, const char *callback, int digits, ebuf *to) {
  fake_span *span = usable(of, callback);
  if (span == NULL)
    return false;
  snprintf(ids, sizeof ids, "%0*d", digits, span->stream->tag);
  *to = (ebuf){ids, strlen(ids)};
  return true;
}
bool CB(http_span_get_trace_id)(void *of, ebuf *to) { return id(of, "http_span_get_trace_id", 32, to); }
bool CB(http_span_get_span_id)(void *of, ebuf *to) { return id(of, "http_span_get_span_id", 16, to); }
