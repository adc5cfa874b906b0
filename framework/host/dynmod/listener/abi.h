// The part of Envoy's dynamic-module ABI v0.1.0 that listener filters use. Names and layouts are Envoy's
// (source/extensions/dynamic_modules/abi/abi.h); abi_test.go compiles this file against that one. See ../abi.h.
#pragma once

#include "../metrics.h"

#ifndef MOE_ABI_TYPES_GIVEN

typedef enum {
  envoy_dynamic_module_type_on_listener_filter_status_Continue = 0,
  envoy_dynamic_module_type_on_listener_filter_status_StopIteration = 1,
} envoy_dynamic_module_type_on_listener_filter_status;

#endif // MOE_ABI_TYPES_GIVEN

#define LF(name) CB(listener_filter_##name)
#define STATUS T(on_listener_filter_status)

// Event hooks.
HOOK const void *ON(listener_filter_config_new)(void *config, ebuf name, ebuf value);
HOOK void ON(listener_filter_config_destroy)(const void *config);
HOOK const void *ON(listener_filter_new)(const void *config, void *filter);
HOOK STATUS ON(listener_filter_on_accept)(void *, const void *);
HOOK STATUS ON(listener_filter_on_data)(void *, const void *, size_t);
HOOK void ON(listener_filter_on_close)(void *, const void *);
HOOK size_t ON(listener_filter_get_max_read_bytes)(void *, const void *);
HOOK void ON(listener_filter_destroy)(const void *);
HOOK void ON(listener_filter_scheduled)(void *, const void *, uint64_t);

// Callbacks: bytes, and the connection's way on.
CALLBACK bool LF(get_buffer_chunk)(void *, ebuf *);
CALLBACK bool LF(drain_buffer)(void *, size_t);
CALLBACK void LF(continue_filter_chain)(void *, bool);
CALLBACK void LF(close_socket)(void *, mbuf);
CALLBACK void *LF(scheduler_new)(void *);
CALLBACK void LF(scheduler_commit)(void *, uint64_t);
CALLBACK void LF(scheduler_delete)(void *);

// Callbacks: addresses.
CALLBACK bool LF(get_remote_address)(void *, ebuf *, uint32_t *);
CALLBACK bool LF(get_local_address)(void *, ebuf *, uint32_t *);
CALLBACK bool LF(get_direct_remote_address)(void *, ebuf *, uint32_t *);
CALLBACK bool LF(get_direct_local_address)(void *, ebuf *, uint32_t *);
CALLBACK bool LF(get_original_dst)(void *, ebuf *, uint32_t *);
CALLBACK bool LF(set_remote_address)(void *, mbuf, uint32_t, bool);
CALLBACK bool LF(restore_local_address)(void *, mbuf, uint32_t, bool);
CALLBACK void LF(use_original_dst)(void *, bool);

// Callbacks: protocols.
CALLBACK bool LF(get_requested_server_name)(void *, ebuf *);
CALLBACK void LF(set_requested_server_name)(void *, mbuf);
CALLBACK bool LF(get_detected_transport_protocol)(void *, ebuf *);
CALLBACK void LF(set_detected_transport_protocol)(void *, mbuf);
CALLBACK size_t LF(get_requested_application_protocols_size)(void *);
CALLBACK bool LF(get_requested_application_protocols)(void *, ebuf *);
CALLBACK void LF(set_requested_application_protocols)(void *, mbuf *, size_t);
CALLBACK void LF(set_ja3_hash)(void *, mbuf);
CALLBACK void LF(set_ja4_hash)(void *, mbuf);

// Callbacks: filter state and metadata.
CALLBACK bool LF(set_filter_state)(void *, mbuf, mbuf);
CALLBACK bool LF(get_filter_state)(void *, mbuf, ebuf *);
CALLBACK bool LF(get_dynamic_metadata_string)(void *, mbuf, mbuf, ebuf *);
CALLBACK void LF(set_dynamic_metadata_string)(void *, mbuf, mbuf, mbuf);
CALLBACK bool LF(get_dynamic_metadata_number)(void *, mbuf, mbuf, double *);
CALLBACK void LF(set_dynamic_metadata_number)(void *, mbuf, mbuf, double);

// Callbacks: metrics.
METRIC_CALLBACKS(LF);
