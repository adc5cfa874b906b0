#include "fake.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../exports.h"

struct fake {
  httpRequest request; // first, so that one is the other
  processState state;
  pthread_t thread;
  _Atomic int asked, status, replied, gone;
  int set, brief;
};

static _Atomic uint64_t limits;

void fake_limit(uint64_t l) { atomic_store(&limits, l); }
uint64_t golang_bridge_limits(void) { return atomic_load(&limits); }

static fake *of_state(void *state) { return (fake *)((processState *)state)->req; }

// Configurations that the host has not finalized. Envoy has these, so that a search for leaks does not count them.
typedef struct config {
  httpConfig c; // first, so that one is the other
  struct config *next;
} config;

static config *configs;
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;

static httpConfig *new_config(void) {
  config *c = calloc(1, sizeof *c);
  pthread_mutex_lock(&mu);
  c->next = configs;
  configs = c;
  pthread_mutex_unlock(&mu);
  return &c->c;
}

void envoyGoConfigHttpFinalize(void *f) {
  pthread_mutex_lock(&mu);
  config **at = &configs;
  while (*at != f)
    at = &(*at)->next;
  config *c = *at;
  *at = c->next;
  pthread_mutex_unlock(&mu);
  free((void *)(uintptr_t)c->c.plugin_name_ptr);
  free((void *)(uintptr_t)c->c.config_ptr);
  free(c);
}

uint64_t fake_configure(char *name, size_t n, void *config, size_t config_n, int of_route) {
  httpConfig *c = new_config();
  c->plugin_name_ptr = (uint64_t)(uintptr_t)name;
  c->plugin_name_len = n;
  c->config_ptr = (uint64_t)(uintptr_t)config;
  c->config_len = config_n;
  c->concurrency = 4;
  c->is_route_config = (uint8_t)of_route;
  return envoyGoFilterNewHttpPluginConfig(c);
}

uint64_t fake_merge(char *name, size_t n, uint64_t parent, uint64_t child) {
  uint64_t merged = envoyGoFilterMergeHttpPluginConfig((uint64_t)(uintptr_t)name, n, parent, child);
  free(name);
  return merged;
}

void fake_forget(uint64_t id) { envoyGoFilterDestroyHttpPluginConfig(id, 0); }

fake *fake_stream_new(uint64_t config, int brief) {
  fake *s = calloc(1, sizeof *s);
  s->brief = brief;
  s->request.configId = config;
  s->state.req = &s->request;
  s->thread = pthread_self();
  return s;
}

int fake_headers(fake *s) {
  s->state.state = STATE_HEADERS;
  uint64_t status = envoyGoFilterOnHttpHeader(&s->state, 1, 2, 21);
  if (status != 0)
    atomic_store(&s->status, (int)status);
  return atomic_load(&s->status);
}

int fake_serve(fake *s) {
  if (!atomic_exchange(&s->asked, 0))
    return 0;
  envoyGoRequestSemaDec(&s->request);
  return 1;
}

int fake_status(fake *s) { return atomic_load(&s->status); }
int fake_replied(fake *s) { return atomic_load(&s->replied); }
int fake_set(fake *s) { return s->set; }

void fake_destroy(fake *s) {
  if (atomic_exchange(&s->gone, 1))
    return;
  envoyGoFilterOnHttpDestroy(&s->request, 0);
}

// What the host looks up by name.

int envoyGoFilterHttpCopyHeaders(void *state, void *strings, void *bytes) {
  (void)state;
  static const char *const all[] = {":method", "POST", "x-in", "abcdef"};
  golang_string *to = strings;
  char *at = bytes;
  for (int i = 0; i < 4; i++) {
    to[i].p = at;
    to[i].n = (ptrdiff_t)strlen(all[i]);
    memcpy(at, all[i], strlen(all[i]));
    at += to[i].n;
  }
  return CAPIOK;
}

int envoyGoFilterHttpSetHeaderHelper(void *state, void *key, int key_n, void *value, int value_n, int action) {
  (void)key, (void)key_n, (void)value, (void)value_n, (void)action;
  of_state(state)->set++;
  return CAPIOK;
}

int envoyGoFilterHttpContinue(void *state, int status) {
  atomic_store(&of_state(state)->status, status);
  return CAPIOK;
}

int envoyGoFilterHttpSendLocalReply(void *state, int code, void *body, int body_n, void *headers, int headers_n,
                                    long long grpc, void *details, int details_n) {
  (void)body, (void)body_n, (void)headers, (void)headers_n, (void)grpc, (void)details, (void)details_n;
  atomic_store(&of_state(state)->replied, code);
  atomic_store(&of_state(state)->status, 1);
  if (of_state(state)->brief)
    fake_destroy(of_state(state));
  return CAPIOK;
}

int envoyGoFilterHttpGetStringFilterState(void *r, void *key, int key_n, uint64_t *data, int *n) {
  (void)key, (void)key_n, (void)data, (void)n;
  fake *s = r;
  if (pthread_equal(s->thread, pthread_self()))
    return CAPIOK;
  if (atomic_load(&s->gone))
    return CAPIFilterIsGone;
  atomic_store(&s->asked, 1);
  return CAPIYield;
}

void envoyGoFilterHttpFinalize(void *r, int reason) {
  (void)reason;
  free(r);
}

uint32_t envoyGoFilterLogLevel(void) { return 5; }
