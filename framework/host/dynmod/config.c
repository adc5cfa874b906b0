// Event hooks of the program and of configurations. All run on Envoy's main thread, but for destruction, which happens
// wherever the last reference is dropped.
#include <pthread.h>
#include <stdlib.h>

#include "_cgo_export.h"
#include "moe.h"

static pthread_t main_thread;

bool moe_on_main_thread(void) { return pthread_equal(pthread_self(), main_thread); }

HOOK const char *ON(program_init)(void) {
  main_thread = pthread_self();
  return ENVOY_DYNAMIC_MODULES_ABI_VERSION;
}

HOOK const void *ON(http_filter_config_new)(void *envoy, ebuf name, ebuf value) {
  moe_config *c = calloc(1, sizeof *c);
  if (c == NULL)
    return NULL;
  c->envoy = envoy;
  c->scheduler = CB(http_filter_config_scheduler_new)(envoy);
  c->users = 1;
  if (!moeConfigNew(c, (char *)name.ptr, name.length, (char *)value.ptr, value.length)) {
    moe_config_release(c);
    return NULL;
  }
  return c;
}

HOOK void ON(http_filter_config_destroy)(const void *config) {
  moeConfigDestroy(((moe_config *)config)->id); // which releases it
}

HOOK const void *ON(http_filter_per_route_config_new)(ebuf name, ebuf value) {
  uint32_t id = moeRouteNew((char *)name.ptr, name.length, (char *)value.ptr, value.length);
  if (id != 0)
    atomic_fetch_add(&moe_route_configs, 1);
  return (const void *)(uintptr_t)id; // Envoy only hands it back
}

HOOK void ON(http_filter_per_route_config_destroy)(const void *config) {
  atomic_fetch_sub(&moe_route_configs, 1);
  moeRouteDestroy((uint32_t)(uintptr_t)config);
}

HOOK void ON(http_filter_config_scheduled)(void *envoy, const void *config, uint64_t id) {
  moe_event e = {.config = (moe_config *)config, .kind = EVENT_CONFIG_SCHEDULED};
  moe_cross(&e);
}
