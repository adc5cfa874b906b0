// What Go calls while it is entered, beside the trampolines.
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "gate.h"

// Memory of this thread for headers on their way to Go.
static _Thread_local struct {
  golang_string *fields;
  char *bytes;
  size_t fields_n, bytes_n;
} scratch;

// Copies a block of headers or trailers into memory of this thread, which holds until the next call. Returns how many
// strings there are, name and value in turn; 0 where Envoy does not show the block now.
size_t golang_copy(golang_instance *s, int block, golang_string **fields) {
  size_t n = s->fields[block], bytes = s->bytes[block];
  processState *state = s->state[block / 2];
  if (state == NULL || n == 0)
    return 0;
  if (2 * n > scratch.fields_n) {
    free(scratch.fields);
    scratch.fields_n = 4 * n;
    scratch.fields = calloc(scratch.fields_n, sizeof *scratch.fields); // Envoy leaves the pointers of empty strings as they are
  }
  if (bytes > scratch.bytes_n) {
    free(scratch.bytes);
    scratch.bytes_n = 2 * bytes;
    scratch.bytes = malloc(scratch.bytes_n);
  }
  if (scratch.fields == NULL || (scratch.bytes == NULL && bytes > 0)) {
    scratch.fields_n = scratch.bytes_n = 0;
    return 0;
  }
  CAPIStatus status = block % 2 == 0 ? golang_host_FilterHttpCopyHeaders(state, scratch.fields, scratch.bytes)
                                     : golang_host_FilterHttpCopyTrailers(state, scratch.fields, scratch.bytes);
  if (status != CAPIOK)
    return 0;
  *fields = scratch.fields;
  return 2 * n;
}

static uint32_t read32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

int golang_change(golang_instance *s, int block, const uint8_t *p, size_t n) {
  processState *state = s->state[block / 2];
  int first = CAPIOK, trailers = block % 2;
  if (state == NULL)
    return CAPIInvalidPhase;
  for (const uint8_t *end = p + n; p < end;) {
    int kind = p[0], name_n = (int)read32(p + 1), value_n = (int)read32(p + 5);
    void *name = (void *)(p + 9), *value = (void *)(p + 9 + name_n);
    p += 9 + name_n + value_n;
    headerAction action = kind == CHANGE_ADD ? HeaderAdd : HeaderSet;
    CAPIStatus status;
    if (kind == CHANGE_REMOVE)
      status = trailers ? golang_host_FilterHttpRemoveTrailer(state, name, name_n)
                        : golang_host_FilterHttpRemoveHeader(state, name, name_n);
    else
      status = trailers ? golang_host_FilterHttpSetTrailer(state, name, name_n, value, value_n, action)
                        : golang_host_FilterHttpSetHeaderHelper(state, name, name_n, value, value_n, action);
    if (first == CAPIOK)
      first = status;
  }
  return first;
}

// fields are as those of golang_change, without the first byte.
int golang_reply(golang_instance *s, int dir, int status, const char *body, int body_n, const uint8_t *p, int fields_n,
              long long grpc, const char *details, int details_n) {
  golang_string *fields = calloc((size_t)(2 * fields_n + 1), sizeof *fields);
  if (fields == NULL)
    return CAPIInternalFailure;
  for (int i = 0; i < fields_n; i++) {
    fields[2 * i].n = read32(p);
    fields[2 * i + 1].n = read32(p + 4);
    fields[2 * i].p = (const char *)p + 8;
    fields[2 * i + 1].p = fields[2 * i].p + fields[2 * i].n;
    p += 8 + fields[2 * i].n + fields[2 * i + 1].n;
  }
  int result = golang_host_FilterHttpSendLocalReply(s->state[dir], status, (void *)body, body_n, fields, 2 * fields_n,
                                                 grpc, (void *)details, details_n);
  free(fields);
  return result;
}

// Has Envoy call envoyGoRequestSemaDec on the stream's thread. The ABI has no function for that, but a question that
// is asked on another thread is answered so. What this relies on is in
// contrib/golang/filters/http/source/golang_filter.cc of Envoy, in Filter::getStringFilterState, and the same in
// v1.36.2 and v1.39.0: off the stream's thread it posts to the dispatcher and returns CAPIYield; what it has posted
// writes the answer, if there is such a state, and in any case calls envoyGoRequestSemaDec, unless the filter has been
// destroyed. On the stream's own thread it answers, with CAPIOK, and does nothing more. envoyGoFilterHandlerWrapper in
// cgo.cc returns CAPINotInGo where Envoy waits for Go in neither direction, and CAPIFilterIsGone where there is no
// filter any more. What Envoy would write is never read.
int golang_call_back(golang_instance *s) {
  static uint64_t data;
  static int n;
  static char key[] = "moe.call_back";
  return atomic_load(&s->gone) ? CAPIFilterIsGone
                               : golang_host_FilterHttpGetStringFilterState(s->request, key, sizeof key - 1, &data, &n);
}

uint64_t golang_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool golang_on_main_thread(void) {
#ifdef SYS_gettid
  return syscall(SYS_gettid) == getpid();
#else
  return true;
#endif
}
