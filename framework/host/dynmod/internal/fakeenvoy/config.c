// Configurations. The last reference ends one, on whichever thread gives it up, as in Envoy.
#include <stdlib.h>
#include <string.h>

#include "internal.h"

fake_config *fake_config_new(fake_thread *main, char *name, size_t name_n, char *value, size_t n) {
  fake_config *c = kept(sizeof *c);
  c->main = main;
  c->refs = 1;
  c->module = ON(http_filter_config_new)(c, (ebuf){name, name_n}, (ebuf){value, n});
  if (c->module != NULL)
    return c;
  c->dead = true;
  return NULL;
}

// config_acquire takes a reference, unless the last one is gone.
bool config_acquire(fake_config *c) {
  pthread_mutex_lock(&fake_mu);
  bool ok = c->refs > 0;
  c->refs += ok;
  pthread_mutex_unlock(&fake_mu);
  return ok;
}

void fake_config_release(fake_config *c) {
  pthread_mutex_lock(&fake_mu);
  bool last = --c->refs == 0;
  pthread_mutex_unlock(&fake_mu);
  if (!last)
    return;
  ON(http_filter_config_destroy)(c->module);
  c->module = NULL;
  if (c->callouts != NULL && !on(c->main))
    fault("a configuration ends on a worker with callouts of the main thread under way");
  for (callout *o = c->callouts, *next; o != NULL; o = next) {
    next = o->next;
    free(o);
  }
  c->callouts = NULL;
  __atomic_store_n(&c->dead, true, __ATOMIC_RELEASE);
}

bool fake_config_dead(fake_config *c) { return __atomic_load_n(&c->dead, __ATOMIC_ACQUIRE); }

bool config_alive(fake_config *c, const char *callback) {
  if (fake_config_dead(c))
    fault("%s of a configuration that is destroyed", callback);
  else if (!on(c->main))
    fault("%s of a configuration on a thread that is not the main one", callback);
  else
    return true;
  return false;
}

#define DEFINE(kind)                                                                                                  \
  T(metrics_result) CB(http_filter_config_define_##kind)(void *c, mbuf name, mbuf *tags, size_t n, size_t *id) {       \
    config_alive(c, "http_filter_config_define_" #kind);                                                              \
    *id = 1;                                                                                                          \
    return T(metrics_result_Success);                                                                                 \
  }
DEFINE(counter)
DEFINE(gauge)
DEFINE(histogram)

size_t CB(http_filter_config_generic_secret_subscribe)(void *c, mbuf name, mbuf source) {
  return config_alive(c, "http_filter_config_generic_secret_subscribe") ? 1 : 0;
}
