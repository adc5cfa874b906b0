// What the C side of this package and its Go side share. No Go pointer crosses over.
#pragma once

#include "abi.h"

// One bootstrap extension in Envoy, which Envoy knows as a configuration and as the extension of it. Go uses it on Envoy's
// main thread alone, save the scheduler, and not at all after moeBootstrapGone.
typedef struct {
  void *config;    // C, constant
  void *extension; // C, from its beginning on
  void *scheduler; // C: to the main thread; deleted when the extension is gone
  uint32_t id;     // Go's, written once
} moe_extension;

// What Go says of a configuration.
enum { EXTENSION_REFUSED, EXTENSION_INITIALIZES, EXTENSION_READY };

// For Go.
bool moe_extension_on_envoy_thread(void);
void moe_extension_commit(moe_extension *x);                         // any thread
void moe_extension_done(T(event_cb) done, void *context);            // the main thread, as those below
void moe_extension_ready(moe_extension *x);
bool moe_extension_page(moe_extension *x, const char *path, size_t path_n, const char *help, size_t n, bool changes);
void moe_extension_respond(moe_extension *x, const char *text, size_t n);
bool moe_extension_counter(moe_extension *x, const char *name, size_t n, uint64_t *value);
bool moe_extension_gauge(moe_extension *x, const char *name, size_t n, uint64_t *value);
bool moe_extension_histogram(moe_extension *x, const char *name, size_t n, uint64_t *count, double *sum);
