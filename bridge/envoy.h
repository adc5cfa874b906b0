// Envoy's dynamic-module ABI v0.1.0, as far as the bridge uses it: what framework/host/dynmod uses, and more.
//
// Callbacks are weak. One that an older Envoy lacks is NULL, and whoever calls it looks first.
#pragma once

#include <cstdbool>
#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" {
#include "../framework/host/dynmod/abi.h"

// Process.
CALLBACK uint32_t CB(get_concurrency)(void);

// Streams.
CALLBACK uint32_t CB(http_filter_get_worker_index)(void *);
CALLBACK bool CB(http_get_header)(void *, T(http_header_type), mbuf, ebuf *, size_t, size_t *);
CALLBACK size_t CB(http_get_metadata_keys_count)(void *, T(metadata_source), mbuf);
CALLBACK bool CB(http_get_metadata_keys)(void *, T(metadata_source), mbuf, ebuf *);
CALLBACK size_t CB(http_get_metadata_namespaces_count)(void *, T(metadata_source));
CALLBACK bool CB(http_get_metadata_namespaces)(void *, T(metadata_source), ebuf *);
CALLBACK void CB(http_filter_send_go_away_and_close)(void *, bool);

// Generic secrets, from Envoy 1.40 on. An id is positive; 0: there is no such secret.
CALLBACK size_t CB(http_filter_config_generic_secret_subscribe)(void *, mbuf name, mbuf sds_config);
CALLBACK bool CB(http_filter_get_generic_secret)(void *, size_t id, ebuf *);

// Access loggers. The type is upstream's AccessLogType.
HOOK const void *ON(access_logger_config_new)(void *, ebuf, ebuf);
HOOK void ON(access_logger_config_destroy)(const void *);
HOOK const void *ON(access_logger_new)(const void *, void *);
HOOK void ON(access_logger_log)(void *, const void *, int type);
HOOK void ON(access_logger_destroy)(const void *);
HOOK void ON(access_logger_flush)(const void *);
CALLBACK bool CB(access_logger_get_dynamic_metadata)(void *, mbuf, mbuf, ebuf *);

// Metrics that any thread may record, from Envoy 1.39 on.
#define CONFIG_METRIC(name)                                                                                           \
  CALLBACK T(metrics_result) CB(http_filter_config_##name)(void *, size_t, mbuf *, size_t, uint64_t)
CONFIG_METRIC(increment_counter);
CONFIG_METRIC(increment_gauge);
CONFIG_METRIC(decrement_gauge);
CONFIG_METRIC(set_gauge);
CONFIG_METRIC(record_histogram_value);
METRIC_RECORD(set_gauge);

// Callbacks that tell Envoys apart; nothing here calls them. 1.39 brought the first, with most attributes, and 1.40 the
// second, with some more.
__attribute__((weak)) void envoy_dynamic_module_callback_http_get_header_values(void);
__attribute__((weak)) void envoy_dynamic_module_callback_log_v2(void);
}

namespace bridge {

using View = std::string_view;

inline bool since_139() { return envoy_dynamic_module_callback_http_get_header_values != nullptr; }
inline bool since_140() { return envoy_dynamic_module_callback_log_v2 != nullptr; }

inline mbuf out(View v) { return {v.data(), v.size()}; }
inline View in(ebuf b) { return {b.ptr, b.length}; }

} // namespace bridge
