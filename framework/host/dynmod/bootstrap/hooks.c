// Event hooks of bootstrap extensions. All run on Envoy's main thread.
#include <stdlib.h>

#include "_cgo_export.h"
#include "extension.h"

// Those of the packages that serve streams and connections.
extern __attribute__((weak)) bool moe_on_envoy_thread(void);
extern __attribute__((weak)) bool moe_conn_on_envoy_thread(void);
extern __attribute__((weak)) bool moe_socket_on_envoy_thread(void);

bool moe_extension_on_envoy_thread(void) {
  return (moe_on_envoy_thread != NULL && moe_on_envoy_thread()) ||
         (moe_conn_on_envoy_thread != NULL && moe_conn_on_envoy_thread()) ||
         (moe_socket_on_envoy_thread != NULL && moe_socket_on_envoy_thread());
}

static uint32_t id_of(const void *ours) { return ((const moe_extension *)ours)->id; }

static void end_scheduler(moe_extension *x) {
  if (x->scheduler != NULL)
    BE(config_scheduler_delete)(x->scheduler);
  x->scheduler = NULL;
}

HOOK const void *ON(bootstrap_extension_config_new)(void *envoy, ebuf name, ebuf value) {
  moe_extension *x = calloc(1, sizeof *x);
  if (x == NULL)
    return NULL;
  x->config = envoy;
  x->scheduler = BE(config_scheduler_new)(envoy);
  switch (moeBootstrapNew(x, (char *)name.ptr, name.length, (char *)value.ptr, value.length)) {
  case EXTENSION_REFUSED:
    end_scheduler(x);
    free(x);
    return NULL;
  case EXTENSION_READY:
    moe_extension_ready(x);
  }
  return x;
}

HOOK void ON(bootstrap_extension_config_destroy)(const void *config) {
  moe_extension *x = (moe_extension *)config;
  moeBootstrapDestroy(x->id);
  end_scheduler(x);
  free(x);
}

HOOK const void *ON(bootstrap_extension_new)(const void *config, void *extension) {
  ((moe_extension *)config)->extension = extension;
  return config;
}

HOOK void ON(bootstrap_extension_server_initialized)(void *envoy, const void *ours) {
  moeBootstrapInitialized(id_of(ours));
}

// Envoy calls this one once, on the main thread, before it has clusters; its header says otherwise.
HOOK void ON(bootstrap_extension_worker_thread_initialized)(void *envoy, const void *ours) {}

HOOK void ON(bootstrap_extension_drain_started)(void *envoy, const void *ours) { moeBootstrapDrain(id_of(ours)); }

HOOK void ON(bootstrap_extension_shutdown)(void *envoy, const void *ours, T(event_cb) done, void *context) {
  if (!moeBootstrapShutdown(id_of(ours), done, context))
    done(context);
}

HOOK void ON(bootstrap_extension_destroy)(const void *ours) {
  moeBootstrapGone(id_of(ours));
  end_scheduler((moe_extension *)ours);
}

HOOK void ON(bootstrap_extension_config_scheduled)(void *envoy, const void *ours, uint64_t event) {
  moeBootstrapRun(id_of(ours));
}

HOOK uint32_t ON(bootstrap_extension_admin_request)(void *envoy, const void *ours, ebuf method, ebuf target, ebuf body) {
  return moeBootstrapPage(id_of(ours), method, target, body);
}

// Hooks of what Go does not ask for.
HOOK void ON(bootstrap_extension_timer_fired)(void *envoy, const void *ours, void *timer) {}
HOOK void ON(bootstrap_extension_file_changed)(void *envoy, const void *ours, ebuf path, uint32_t events) {}
HOOK void ON(bootstrap_extension_cluster_add_or_update)(void *envoy, const void *ours, ebuf name) {}
HOOK void ON(bootstrap_extension_cluster_removal)(void *envoy, const void *ours, ebuf name) {}
HOOK void ON(bootstrap_extension_listener_add_or_update)(void *envoy, const void *ours, ebuf name) {}
HOOK void ON(bootstrap_extension_listener_removal)(void *envoy, const void *ours, ebuf name) {}
HOOK void ON(bootstrap_extension_http_callout_done)(void *envoy, const void *ours, uint64_t id,
                                                    T(http_callout_result) result, eheader *headers, size_t headers_n,
                                                    ebuf *body, size_t body_n) {}

void moe_extension_commit(moe_extension *x) { BE(config_scheduler_commit)(x->scheduler, 0); }

void moe_extension_done(T(event_cb) done, void *context) { done(context); }

void moe_extension_ready(moe_extension *x) { BE(config_signal_init_complete)(x->config); }

bool moe_extension_page(moe_extension *x, const char *path, size_t path_n, const char *help, size_t n, bool changes) {
  return BE(register_admin_handler)(x->config, (mbuf){path, path_n}, (mbuf){help, n}, false, changes);
}

void moe_extension_respond(moe_extension *x, const char *text, size_t n) {
  BE(admin_set_response)(x->config, (mbuf){text, n});
}

bool moe_extension_counter(moe_extension *x, const char *name, size_t n, uint64_t *value) {
  return BE(get_counter_value)(x->extension, (mbuf){name, n}, value);
}

bool moe_extension_gauge(moe_extension *x, const char *name, size_t n, uint64_t *value) {
  return BE(get_gauge_value)(x->extension, (mbuf){name, n}, value);
}

bool moe_extension_histogram(moe_extension *x, const char *name, size_t n, uint64_t *count, double *sum) {
  return BE(get_histogram_summary)(x->extension, (mbuf){name, n}, count, sum);
}
