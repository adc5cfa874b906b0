// Envoy's request objects are freed when Go says so. Envoy may still look at one after it has destroyed the stream, for
// an access log that is written late, so that they are given back a while after that.
#include <stdlib.h>

#include "gate.h"

typedef struct grave {
  struct grave *next;
  httpRequest *request;
} grave;

_Atomic int64_t golang_live;
static _Atomic(grave *) fresh;
static grave *old; // golang_sweep's, which one goroutine calls

void golang_bury(httpRequest *r) {
  grave *g = malloc(sizeof *g);
  if (g == NULL)
    return;
  g->request = r;
  g->next = atomic_load(&fresh);
  while (!atomic_compare_exchange_weak(&fresh, &g->next, g)) {
  }
}

// Gives back what was buried before the last call, and returns how many wait for the next.
size_t golang_sweep(void) {
  while (old != NULL) {
    grave *g = old;
    old = g->next;
    golang_host_FilterHttpFinalize(g->request, 0);
    free(g);
  }
  old = atomic_exchange(&fresh, NULL);
  size_t n = 0;
  for (grave *g = old; g != NULL; g = g->next)
    n++;
  return n;
}
