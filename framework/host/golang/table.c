// The streams of a thread, by Envoy's request. Envoy calls on the thread of the stream's worker only, so that each
// thread has a table of its own and none needs a lock.
#include <stdlib.h>

#include "gate.h"

static _Thread_local struct {
  golang_instance **slots;
  size_t size; // a power of two, or 0
  size_t used;
} table;

static size_t place(const httpRequest *r) {
  return (size_t)(((uint64_t)(uintptr_t)r >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (table.size - 1);
}

static size_t next(size_t at) { return (at + 1) & (table.size - 1); }

golang_instance *golang_find(const httpRequest *r) {
  if (table.size == 0)
    return NULL;
  for (size_t at = place(r); table.slots[at] != NULL; at = next(at)) {
    if (table.slots[at]->request == r)
      return table.slots[at];
  }
  return NULL;
}

static void put(golang_instance *s) {
  size_t at = place(s->request);
  while (table.slots[at] != NULL)
    at = next(at);
  table.slots[at] = s;
}

static bool grow(void) {
  size_t size = table.size;
  golang_instance **old = table.slots, **slots = calloc(size > 0 ? 2 * size : 64, sizeof *slots);
  if (slots == NULL)
    return false;
  table.slots = slots;
  table.size = size > 0 ? 2 * size : 64;
  for (size_t i = 0; i < size; i++) {
    if (old[i] != NULL)
      put(old[i]);
  }
  free(old);
  return true;
}

golang_instance *golang_add(httpRequest *r) {
  if (2 * (table.used + 1) > table.size && !grow())
    return NULL;
  golang_instance *s = calloc(1, sizeof *s);
  if (s == NULL)
    return NULL;
  s->request = r;
  s->start = golang_now();
  put(s);
  table.used++;
  atomic_fetch_add(&golang_live, 1);
  return s;
}

// Takes the entry out, and moves those after it that only stood there because of it.
void golang_remove(const httpRequest *r) {
  if (table.size == 0)
    return;
  size_t at = place(r);
  while (table.slots[at] != NULL && table.slots[at]->request != r)
    at = next(at);
  if (table.slots[at] == NULL)
    return;
  table.slots[at] = NULL;
  table.used--;
  atomic_fetch_sub(&golang_live, 1);
  for (at = next(at); table.slots[at] != NULL; at = next(at)) {
    golang_instance *s = table.slots[at];
    table.slots[at] = NULL;
    put(s);
  }
}
