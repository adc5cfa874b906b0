// The part of Envoy's dynamic-module ABI v0.1.0 that bootstrap extensions use. Names and layouts are Envoy's
// (source/extensions/dynamic_modules/abi/abi.h); abi_test.go compiles this file against that one. See ../abi.h.
#pragma once

#include "../abi.h"

#ifndef MOE_ABI_TYPES_GIVEN

typedef void (*envoy_dynamic_module_type_event_cb)(void *context);

#endif // MOE_ABI_TYPES_GIVEN

#define BE(name) CB(bootstrap_extension_##name)

// Event hooks. Envoy looks up all of them, and refuses the module if one is not there.
HOOK const void *ON(bootstrap_extension_config_new)(void *config, ebuf name, ebuf value);
HOOK void ON(bootstrap_extension_config_destroy)(const void *config);
HOOK const void *ON(bootstrap_extension_new)(const void *config, void *extension);
HOOK void ON(bootstrap_extension_server_initialized)(void *, const void *);
HOOK void ON(bootstrap_extension_worker_thread_initialized)(void *, const void *);
HOOK void ON(bootstrap_extension_drain_started)(void *, const void *);
HOOK void ON(bootstrap_extension_shutdown)(void *, const void *, T(event_cb), void *);
HOOK void ON(bootstrap_extension_destroy)(const void *);
HOOK void ON(bootstrap_extension_config_scheduled)(void *, const void *, uint64_t);
HOOK void ON(bootstrap_extension_timer_fired)(void *, const void *, void *);
HOOK void ON(bootstrap_extension_file_changed)(void *, const void *, ebuf, uint32_t);
HOOK void ON(bootstrap_extension_cluster_add_or_update)(void *, const void *, ebuf);
HOOK void ON(bootstrap_extension_cluster_removal)(void *, const void *, ebuf);
HOOK void ON(bootstrap_extension_listener_add_or_update)(void *, const void *, ebuf);
HOOK void ON(bootstrap_extension_listener_removal)(void *, const void *, ebuf);
HOOK void ON(bootstrap_extension_http_callout_done)(void *, const void *, uint64_t, T(http_callout_result), eheader *,
                                                    size_t, ebuf *, size_t);
HOOK uint32_t ON(bootstrap_extension_admin_request)(void *, const void *, ebuf, ebuf, ebuf);

// Callbacks: the main thread, and Envoy's start.
CALLBACK void *BE(config_scheduler_new)(void *);
CALLBACK void BE(config_scheduler_commit)(void *, uint64_t);
CALLBACK void BE(config_scheduler_delete)(void *);
CALLBACK void BE(config_signal_init_complete)(void *);

// Callbacks: the admin interface.
CALLBACK bool BE(register_admin_handler)(void *, mbuf, mbuf, bool, bool);
CALLBACK void BE(admin_set_response)(void *, mbuf);

// Callbacks: Envoy's statistics, which are the extension's to ask for.
CALLBACK bool BE(get_counter_value)(void *, mbuf, uint64_t *);
CALLBACK bool BE(get_gauge_value)(void *, mbuf, uint64_t *);
CALLBACK bool BE(get_histogram_summary)(void *, mbuf, uint64_t *, double *);

// Callbacks: metrics.
#define DEFINE(kind) CALLBACK T(metrics_result) BE(config_define_##kind)(void *, mbuf, mbuf *, size_t, size_t *)
#define METRIC(name) CALLBACK T(metrics_result) BE(config_##name)(void *, size_t, mbuf *, size_t, uint64_t)
DEFINE(counter);
DEFINE(gauge);
DEFINE(histogram);
METRIC(increment_counter);
METRIC(increment_gauge);
METRIC(decrement_gauge);
METRIC(record_histogram_value);
#undef DEFINE
#undef METRIC
