// The part of Envoy's dynamic-module ABI v0.1.0 that this package uses: types, event hooks (functions that Envoy calls
// and this package defines) and callbacks (functions that Envoy defines). Names and layouts are Envoy's
// (source/extensions/dynamic_modules/abi/abi.h); abi_test.go compiles this file against that one.
//
// Callbacks are weak, so that the package links without Envoy, in unit tests and in the moe command; where they are
// absent nothing calls them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef MOE_ABI_TYPES_GIVEN // the test gives Envoy's own types instead

typedef struct {
  const char *ptr;
  size_t length;
} envoy_dynamic_module_type_envoy_buffer;

typedef struct {
  const char *ptr;
  size_t length;
} envoy_dynamic_module_type_module_buffer;

typedef struct {
  const char *key_ptr;
  size_t key_length;
  const char *value_ptr;
  size_t value_length;
} envoy_dynamic_module_type_module_http_header;

typedef struct {
  const char *key_ptr;
  size_t key_length;
  const char *value_ptr;
  size_t value_length;
} envoy_dynamic_module_type_envoy_http_header;

typedef enum {
  envoy_dynamic_module_type_http_header_type_RequestHeader = 0,
  envoy_dynamic_module_type_http_header_type_RequestTrailer = 1,
  envoy_dynamic_module_type_http_header_type_ResponseHeader = 2,
  envoy_dynamic_module_type_http_header_type_ResponseTrailer = 3,
} envoy_dynamic_module_type_http_header_type;

typedef enum {
  envoy_dynamic_module_type_http_body_type_ReceivedRequestBody = 0,
  envoy_dynamic_module_type_http_body_type_BufferedRequestBody = 1,
  envoy_dynamic_module_type_http_body_type_ReceivedResponseBody = 2,
  envoy_dynamic_module_type_http_body_type_BufferedResponseBody = 3,
} envoy_dynamic_module_type_http_body_type;

typedef enum {
  envoy_dynamic_module_type_log_level_Trace = 0,
  envoy_dynamic_module_type_log_level_Debug = 1,
  envoy_dynamic_module_type_log_level_Info = 2,
  envoy_dynamic_module_type_log_level_Warn = 3,
  envoy_dynamic_module_type_log_level_Error = 4,
} envoy_dynamic_module_type_log_level;

typedef enum {
  envoy_dynamic_module_type_http_callout_init_result_Success = 0,
  envoy_dynamic_module_type_http_callout_init_result_MissingRequiredHeaders = 1,
  envoy_dynamic_module_type_http_callout_init_result_ClusterNotFound = 2,
  envoy_dynamic_module_type_http_callout_init_result_DuplicateCalloutId = 3,
  envoy_dynamic_module_type_http_callout_init_result_CannotCreateRequest = 4,
} envoy_dynamic_module_type_http_callout_init_result;

typedef enum {
  envoy_dynamic_module_type_http_callout_result_Success = 0,
} envoy_dynamic_module_type_http_callout_result;

typedef enum {
  envoy_dynamic_module_type_http_stream_reset_reason_ConnectionFailure = 0,
  envoy_dynamic_module_type_http_stream_reset_reason_LocalReset = 2,
} envoy_dynamic_module_type_http_stream_reset_reason;

typedef enum {
  envoy_dynamic_module_type_metrics_result_Success = 0,
  envoy_dynamic_module_type_metrics_result_Frozen = 3,
} envoy_dynamic_module_type_metrics_result;

typedef enum {
  envoy_dynamic_module_type_metadata_source_Dynamic = 0,
  envoy_dynamic_module_type_metadata_source_HostLocality = 4,
} envoy_dynamic_module_type_metadata_source;

typedef enum {
  envoy_dynamic_module_type_attribute_id_RequestPath = 0,
  envoy_dynamic_module_type_attribute_id_ResponseCode = 15,
  envoy_dynamic_module_type_attribute_id_XdsClusterName = 57,
  envoy_dynamic_module_type_attribute_id_HealthCheck = 67,
} envoy_dynamic_module_type_attribute_id;

typedef enum {
  envoy_dynamic_module_type_http_filter_stream_reset_reason_LocalReset = 0,
} envoy_dynamic_module_type_http_filter_stream_reset_reason;

typedef enum {
  envoy_dynamic_module_type_on_http_filter_request_headers_status_Continue = 0,
  envoy_dynamic_module_type_on_http_filter_request_headers_status_StopIteration = 1,
} envoy_dynamic_module_type_on_http_filter_request_headers_status;

typedef enum {
  envoy_dynamic_module_type_on_http_filter_request_body_status_Continue = 0,
  envoy_dynamic_module_type_on_http_filter_request_body_status_StopIterationAndBuffer = 1,
  envoy_dynamic_module_type_on_http_filter_request_body_status_StopIterationAndWatermark = 2,
  envoy_dynamic_module_type_on_http_filter_request_body_status_StopIterationNoBuffer = 3,
} envoy_dynamic_module_type_on_http_filter_request_body_status;

typedef enum {
  envoy_dynamic_module_type_on_http_filter_request_trailers_status_Continue = 0,
  envoy_dynamic_module_type_on_http_filter_request_trailers_status_StopIteration = 1,
} envoy_dynamic_module_type_on_http_filter_request_trailers_status;

typedef enum {
  envoy_dynamic_module_type_on_http_filter_response_headers_status_Continue = 0,
  envoy_dynamic_module_type_on_http_filter_response_headers_status_StopIteration = 1,
} envoy_dynamic_module_type_on_http_filter_response_headers_status;

typedef enum {
  envoy_dynamic_module_type_on_http_filter_response_body_status_Continue = 0,
  envoy_dynamic_module_type_on_http_filter_response_body_status_StopIterationAndBuffer = 1,
  envoy_dynamic_module_type_on_http_filter_response_body_status_StopIterationAndWatermark = 2,
  envoy_dynamic_module_type_on_http_filter_response_body_status_StopIterationNoBuffer = 3,
} envoy_dynamic_module_type_on_http_filter_response_body_status;

typedef enum {
  envoy_dynamic_module_type_on_http_filter_response_trailers_status_Continue = 0,
  envoy_dynamic_module_type_on_http_filter_response_trailers_status_StopIteration = 1,
} envoy_dynamic_module_type_on_http_filter_response_trailers_status;

typedef enum {
  envoy_dynamic_module_type_on_http_filter_local_reply_status_Continue = 0,
} envoy_dynamic_module_type_on_http_filter_local_reply_status;

#define ENVOY_DYNAMIC_MODULES_ABI_VERSION "v0.1.0"

#endif // MOE_ABI_TYPES_GIVEN

typedef envoy_dynamic_module_type_envoy_buffer ebuf;
typedef envoy_dynamic_module_type_module_buffer mbuf;
typedef envoy_dynamic_module_type_envoy_http_header eheader;
typedef envoy_dynamic_module_type_module_http_header mheader;

#define HOOK __attribute__((visibility("default")))
#define T(name) envoy_dynamic_module_type_##name
#define ON(name) envoy_dynamic_module_on_##name
#define CB(name) envoy_dynamic_module_callback_##name
#define CALLBACK extern __attribute__((weak))

// Event hooks.
HOOK const char *ON(program_init)(void);
HOOK const void *ON(http_filter_config_new)(void *config, ebuf name, ebuf value);
HOOK void ON(http_filter_config_destroy)(const void *config);
HOOK const void *ON(http_filter_per_route_config_new)(ebuf name, ebuf value);
HOOK void ON(http_filter_per_route_config_destroy)(const void *config);
HOOK const void *ON(http_filter_new)(const void *config, void *filter);
HOOK T(on_http_filter_request_headers_status) ON(http_filter_request_headers)(void *, const void *, bool);
HOOK T(on_http_filter_request_body_status) ON(http_filter_request_body)(void *, const void *, bool);
HOOK T(on_http_filter_request_trailers_status) ON(http_filter_request_trailers)(void *, const void *);
HOOK T(on_http_filter_response_headers_status) ON(http_filter_response_headers)(void *, const void *, bool);
HOOK T(on_http_filter_response_body_status) ON(http_filter_response_body)(void *, const void *, bool);
HOOK T(on_http_filter_response_trailers_status) ON(http_filter_response_trailers)(void *, const void *);
HOOK void ON(http_filter_stream_complete)(void *, const void *);
HOOK void ON(http_filter_destroy)(const void *);
HOOK void ON(http_filter_http_callout_done)(void *, const void *, uint64_t, T(http_callout_result), eheader *, size_t,
                                            ebuf *, size_t);
HOOK void ON(http_filter_http_stream_headers)(void *, const void *, uint64_t, eheader *, size_t, bool);
HOOK void ON(http_filter_http_stream_data)(void *, const void *, uint64_t, const ebuf *, size_t, bool);
HOOK void ON(http_filter_http_stream_trailers)(void *, const void *, uint64_t, eheader *, size_t);
HOOK void ON(http_filter_http_stream_complete)(void *, const void *, uint64_t);
HOOK void ON(http_filter_http_stream_reset)(void *, const void *, uint64_t, T(http_stream_reset_reason));
HOOK void ON(http_filter_scheduled)(void *, const void *, uint64_t);
HOOK void ON(http_filter_config_scheduled)(void *, const void *, uint64_t);
HOOK void ON(http_filter_config_http_callout_done)(void *, const void *, uint64_t, T(http_callout_result), eheader *,
                                                   size_t, ebuf *, size_t);
HOOK void ON(http_filter_config_http_stream_headers)(void *, const void *, uint64_t, eheader *, size_t, bool);
HOOK void ON(http_filter_config_http_stream_data)(void *, const void *, uint64_t, const ebuf *, size_t, bool);
HOOK void ON(http_filter_config_http_stream_trailers)(void *, const void *, uint64_t, eheader *, size_t);
HOOK void ON(http_filter_config_http_stream_complete)(void *, const void *, uint64_t);
HOOK void ON(http_filter_config_http_stream_reset)(void *, const void *, uint64_t, T(http_stream_reset_reason));
HOOK void ON(http_filter_downstream_above_write_buffer_high_watermark)(void *, const void *);
HOOK void ON(http_filter_downstream_below_write_buffer_low_watermark)(void *, const void *);
HOOK T(on_http_filter_local_reply_status) ON(http_filter_local_reply)(void *, const void *, uint32_t, ebuf, bool);

// Callbacks: log and process.
CALLBACK void CB(log)(T(log_level), mbuf);
CALLBACK bool CB(log_enabled)(T(log_level));

// Callbacks: metrics.
#define METRIC_DEFINE(kind)                                                                                           \
  CALLBACK T(metrics_result) CB(http_filter_config_define_##kind)(void *, mbuf, mbuf *, size_t, size_t *)
#define METRIC_RECORD(name) CALLBACK T(metrics_result) CB(http_filter_##name)(void *, size_t, mbuf *, size_t, uint64_t)
METRIC_DEFINE(counter);
METRIC_DEFINE(gauge);
METRIC_DEFINE(histogram);
METRIC_RECORD(increment_counter);
METRIC_RECORD(increment_gauge);
METRIC_RECORD(decrement_gauge);
METRIC_RECORD(record_histogram_value);

// Callbacks: headers, replies, bodies.
CALLBACK size_t CB(http_get_headers_size)(void *, T(http_header_type));
CALLBACK bool CB(http_get_headers)(void *, T(http_header_type), eheader *);
CALLBACK bool CB(http_add_header)(void *, T(http_header_type), mbuf, mbuf);
CALLBACK bool CB(http_set_header)(void *, T(http_header_type), mbuf, mbuf);
CALLBACK void CB(http_send_response)(void *, uint32_t, mheader *, size_t, mbuf, mbuf);
CALLBACK void CB(http_send_response_headers)(void *, mheader *, size_t, bool);
CALLBACK void CB(http_send_response_data)(void *, mbuf, bool);
CALLBACK size_t CB(http_get_body_size)(void *, T(http_body_type));
CALLBACK bool CB(http_get_body_chunks)(void *, T(http_body_type), ebuf *);
CALLBACK size_t CB(http_get_body_chunks_size)(void *, T(http_body_type));
CALLBACK bool CB(http_append_body)(void *, T(http_body_type), mbuf);
CALLBACK bool CB(http_drain_body)(void *, T(http_body_type), size_t);
CALLBACK bool CB(http_received_buffered_request_body)(void *);
CALLBACK bool CB(http_received_buffered_response_body)(void *);

// Callbacks: metadata, filter state, attributes.
CALLBACK void CB(http_set_dynamic_metadata_number)(void *, mbuf, mbuf, double);
CALLBACK void CB(http_set_dynamic_metadata_string)(void *, mbuf, mbuf, mbuf);
CALLBACK void CB(http_set_dynamic_metadata_bool)(void *, mbuf, mbuf, bool);
CALLBACK bool CB(http_get_metadata_number)(void *, T(metadata_source), mbuf, mbuf, double *);
CALLBACK bool CB(http_get_metadata_string)(void *, T(metadata_source), mbuf, mbuf, ebuf *);
CALLBACK bool CB(http_get_metadata_bool)(void *, T(metadata_source), mbuf, mbuf, bool *);
CALLBACK bool CB(http_add_dynamic_metadata_list_number)(void *, mbuf, mbuf, double);
CALLBACK bool CB(http_add_dynamic_metadata_list_string)(void *, mbuf, mbuf, mbuf);
CALLBACK bool CB(http_add_dynamic_metadata_list_bool)(void *, mbuf, mbuf, bool);
CALLBACK bool CB(http_get_metadata_list_size)(void *, T(metadata_source), mbuf, mbuf, size_t *);
CALLBACK bool CB(http_get_metadata_list_number)(void *, T(metadata_source), mbuf, mbuf, size_t, double *);
CALLBACK bool CB(http_get_metadata_list_string)(void *, T(metadata_source), mbuf, mbuf, size_t, ebuf *);
CALLBACK bool CB(http_get_metadata_list_bool)(void *, T(metadata_source), mbuf, mbuf, size_t, bool *);
CALLBACK bool CB(http_set_filter_state_bytes)(void *, mbuf, mbuf);
CALLBACK bool CB(http_get_filter_state_bytes)(void *, mbuf, ebuf *);
CALLBACK bool CB(http_set_filter_state_typed)(void *, mbuf, mbuf);
CALLBACK bool CB(http_get_filter_state_typed)(void *, mbuf, ebuf *);
CALLBACK bool CB(http_filter_get_attribute_string)(void *, T(attribute_id), ebuf *);
CALLBACK bool CB(http_filter_get_attribute_int)(void *, T(attribute_id), uint64_t *);
CALLBACK bool CB(http_filter_get_attribute_bool)(void *, T(attribute_id), bool *);
CALLBACK bool CB(http_get_cluster_name)(void *, ebuf *);

// Callbacks: spans. That of the stream is Envoy's; children are the module's until it finishes them.
CALLBACK void *CB(http_get_active_span)(void *);
CALLBACK void CB(http_span_set_tag)(void *, mbuf, mbuf);
CALLBACK void CB(http_span_set_operation)(void *, mbuf);
CALLBACK void CB(http_span_log)(void *, void *, mbuf);
CALLBACK void CB(http_span_set_sampled)(void *, bool);
CALLBACK bool CB(http_span_get_trace_id)(void *, ebuf *);
CALLBACK bool CB(http_span_get_span_id)(void *, ebuf *);
CALLBACK void *CB(http_span_spawn_child)(void *, void *, mbuf);
CALLBACK void CB(http_child_span_finish)(void *);

// Callbacks: threads.
CALLBACK void *CB(http_filter_scheduler_new)(void *);
CALLBACK void CB(http_filter_scheduler_commit)(void *, uint64_t);
CALLBACK void CB(http_filter_scheduler_delete)(void *);
CALLBACK void *CB(http_filter_config_scheduler_new)(void *);
CALLBACK void CB(http_filter_config_scheduler_commit)(void *, uint64_t);
CALLBACK void CB(http_filter_config_scheduler_delete)(void *);

// Callbacks: generic secrets, of Envoy 1.40 and later; absent before. A number is 1 or more, 0 is a refusal.
CALLBACK size_t CB(http_filter_config_generic_secret_subscribe)(void *, mbuf, mbuf);
CALLBACK bool CB(http_filter_get_generic_secret)(void *, size_t, ebuf *);

// Callbacks: requests over Envoy's clusters, of a stream and of a configuration.
CALLBACK T(http_callout_init_result)
    CB(http_filter_start_http_stream)(void *, uint64_t *, mbuf, mheader *, size_t, mbuf, bool, uint64_t);
CALLBACK void CB(http_filter_reset_http_stream)(void *, uint64_t);
CALLBACK bool CB(http_stream_send_data)(void *, uint64_t, mbuf, bool);
CALLBACK T(http_callout_init_result)
    CB(http_filter_config_start_http_stream)(void *, uint64_t *, mbuf, mheader *, size_t, mbuf, bool, uint64_t);
CALLBACK void CB(http_filter_config_reset_http_stream)(void *, uint64_t);
CALLBACK bool CB(http_filter_config_stream_send_data)(void *, uint64_t, mbuf, bool);

// Callbacks: the stream's way on.
CALLBACK void CB(http_filter_continue_decoding)(void *);
CALLBACK void CB(http_filter_continue_encoding)(void *);
CALLBACK void CB(http_clear_route_cache)(void *);
CALLBACK const void *CB(get_most_specific_route_config)(void *);
CALLBACK uint64_t CB(http_get_buffer_limit)(void *);
CALLBACK bool CB(http_set_upstream_override_host)(void *, mbuf, bool);
CALLBACK void CB(http_filter_reset_stream)(void *, T(http_filter_stream_reset_reason), mbuf);
