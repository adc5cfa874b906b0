// Envoy's request objects are freed when Go says so. Envoy may still look at one after it has destroyed the stream, for
// an access log that is written late, so that they are given back a while after that.
#include <stdlib.h>

#include "gate.h"

typedef struct ended {
  struct ended *next;
  httpRequest *request;
} ended;

_Atomic int64_t golang_live;
static _Atomic(ended *) latest;
static ended *old; // golang_sweep's, which one goroutine calls

void golang_end_request(httpRequest *r) {
  ended *e = malloc(sizeof *e);
  if (e == NULL)
    return;
  e->request = r;
  e->next = atomic_load(&latest);
  while (!atomic_compare_exchange_weak(&latest, &e->next, e)) {
  }
}

// Gives back what ended before the last call, and returns how many wait for the next.
size_t golang_sweep(void) {
  while (old != NULL) {
    ended *e = old;
    old = e->next;
    golang_host_FilterHttpFinalize(e->request, 0);
    free(e);
  }
  old = atomic_exchange(&latest, NULL);
  size_t n = 0;
  for (ended *e = old; e != NULL; e = e->next)
    n++;
  return n;
}
