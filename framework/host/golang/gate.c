// What Envoy calls for streams. Go is entered for the phases that some plugin wants, and when it has work of its own.
#include <stdlib.h>

#include "_cgo_export.h"
#include "exports.h"
#include "gate.h"

enum { BATCH = 32 };

// Streams of this thread that Go has met and Envoy has destroyed; the next crossing tells Go.
static _Thread_local struct {
  golang_instance *streams[BATCH];
  size_t n;
} finished;

static uint32_t thread_number(void) {
  static _Atomic uint32_t count;
  static _Thread_local uint32_t number;
  if (number == 0)
    number = atomic_fetch_add(&count, 1) + 1;
  return number;
}

// The event under way on this thread.
static _Thread_local golang_event *current;

bool golang_here(const golang_instance *s) { return current != NULL && current->stream == s; }

bool golang_in_event(void) { return current != NULL; }

static void cross(golang_event *e) {
  golang_event *outer = current;
  golang_instance *done[BATCH];
  size_t n = finished.n;
  for (size_t i = 0; i < n; i++)
    done[i] = finished.streams[i];
  finished.n = 0;
  e->thread = thread_number();
  golang_instance *s = e->stream;
  if (s != NULL) {
    s->depth++;
    atomic_store(&s->attention, 0);
  }
  e->finished = done;
  e->finished_n = n;
  current = e;
  moeGolangEvent(e);
  current = outer;
  for (size_t i = 0; i < n; i++)
    free(done[i]);
  if (s != NULL && --s->depth == 0 && s->freed)
    free(s);
}

// Reports whether Go must see an event of which it wants these phases.
static bool wanted(golang_instance *s, uint32_t phases) {
  return s->slot == 0 || (s->wants & phases) != 0 || atomic_load(&s->attention) != 0;
}

static uint64_t let_through(const golang_instance *s, int dir) {
  return s->replied && dir == 0 ? STATUS_LOCAL_REPLY : STATUS_CONTINUE;
}

uint64_t envoyGoFilterOnHttpHeader(processState *state, uint64_t end, uint64_t n, uint64_t bytes) {
  int dir = state->is_encoding != 0, trailers = state->state == STATE_TRAILERS;
  golang_instance *s = golang_find(state->req);
  if (s == NULL && (s = golang_add(state->req)) == NULL)
    return STATUS_RUNNING; // out of memory: no request passes unchecked
  s->state[dir] = state;
  s->fields[2 * dir + trailers] = n;
  s->bytes[2 * dir + trailers] = bytes;
  if (dir == 1)
    s->answered = 1;
  // The headers of a direction come in for whatever is wanted of it later: Envoy does not show them again.
  uint32_t phases = (trailers ? WANT_REQUEST_TRAILERS : WANT_REQUEST) << (3 * dir);
  if (s->replied || !wanted(s, phases))
    return let_through(s, dir);
  golang_event e = {.stream = s, .kind = trailers ? EVENT_TRAILERS : EVENT_HEADERS, .dir = dir, .end = end != 0,
                 .status = STATUS_RUNNING};
  cross(&e);
  return e.status;
}

uint64_t envoyGoFilterOnHttpData(processState *state, uint64_t end, uint64_t buffer, uint64_t length) {
  int dir = state->is_encoding != 0;
  golang_instance *s = golang_find(state->req);
  if (s == NULL)
    return STATUS_CONTINUE;
  s->body[dir] += length;
  if (s->replied || !wanted(s, WANT_REQUEST_BODY << (3 * dir)))
    return let_through(s, dir);
  golang_event e = {.stream = s, .kind = EVENT_DATA, .dir = dir, .end = end != 0, .buffer = buffer, .length = length,
                 .status = STATUS_RUNNING};
  cross(&e);
  return e.status;
}

void envoyGoRequestSemaDec(httpRequest *r) {
  golang_instance *s = golang_find(r);
  if (s == NULL || s->slot == 0)
    return;
  golang_event e = {.stream = s, .kind = EVENT_CALLED_BACK};
  cross(&e);
}

// Plugins' OnComplete runs when Envoy logs the stream's end, as that is the last time at which it can be asked
// anything.
void envoyGoFilterOnHttpStreamComplete(httpRequest *r) { (void)r; }

void envoyGoFilterOnHttpLog(httpRequest *r, uint64_t type, processState *decoding, processState *encoding,
                            uint64_t request_n, uint64_t request_bytes, uint64_t request_trailers_n,
                            uint64_t request_trailers_bytes, uint64_t response_n, uint64_t response_bytes,
                            uint64_t response_trailers_n, uint64_t response_trailers_bytes) {
  golang_instance *s = golang_find(r);
  if (type != LOG_DOWNSTREAM_END || s == NULL || s->slot == 0 || s->completed)
    return;
  if ((s->wants & WANT_COMPLETE) == 0 && !atomic_load(&s->escaped))
    return;
  s->state[0] = decoding;
  s->state[1] = encoding;
  const uint64_t n[4] = {request_n, request_trailers_n, response_n, response_trailers_n};
  const uint64_t bytes[4] = {request_bytes, request_trailers_bytes, response_bytes, response_trailers_bytes};
  for (int i = 0; i < 4; i++) {
    s->fields[i] = n[i];
    s->bytes[i] = bytes[i];
  }
  s->completed = 1;
  golang_event e = {.stream = s, .kind = EVENT_COMPLETE};
  cross(&e);
}

static void stop_using(golang_config *c) {
  if (c == NULL || atomic_fetch_sub(&c->uses, 1) != 1)
    return;
  golang_event e = {.kind = EVENT_UNUSED, .config = c};
  cross(&e);
}

void envoyGoFilterOnHttpDestroy(httpRequest *r, uint64_t reason) {
  (void)reason; // that an event is with Go is known here
  golang_instance *s = golang_find(r);
  if (s != NULL) {
    golang_config *config = s->config;
    golang_remove(r);
    atomic_store(&s->gone, 1);
    if (s->slot == 0) {
      free(s);
    } else if (s->depth > 0 || atomic_load(&s->escaped) || ((s->wants & WANT_COMPLETE) != 0 && !s->completed)) {
      s->freed = 1;
      golang_event e = {.stream = s, .kind = EVENT_GONE};
      cross(&e);
    } else {
      finished.streams[finished.n++] = s;
      if (finished.n == BATCH) {
        golang_event e = {.kind = EVENT_UNUSED};
        cross(&e);
      }
    }
    stop_using(config);
  }
  golang_end_request(r);
}

// For Envoy's own tests with a leak checker.
void envoyGoFilterCleanUp(void) { moeGolangCleanUp(); }
