#define _GNU_SOURCE
#include "resolve.h"

#include <dlfcn.h>

// Looked up at the first call and not when this library is loaded: it may be loaded as a dynamic module before the bridge
// is there. What is missing is looked up again each time, which only happens where Envoy is older than this library.
void *golang_resolve(_Atomic(void *) *known, const char *name) {
  static _Atomic(void *) program;
  void *f = atomic_load_explicit(known, memory_order_acquire);
  if (f != NULL)
    return f;
  void *handle = atomic_load_explicit(&program, memory_order_acquire);
  if (handle == NULL) {
    handle = dlopen(NULL, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == NULL)
      return NULL;
    atomic_store_explicit(&program, handle, memory_order_release);
  }
  f = dlsym(handle, name);
  if (f != NULL)
    atomic_store_explicit(known, f, memory_order_release);
  return f;
}

uint64_t golang_limits(void) {
  static _Atomic(void *) known;
  uint64_t (*f)(void) = golang_resolve(&known, "golang_bridge_limits");
  return f == NULL ? 0 : f();
}
