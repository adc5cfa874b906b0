// The part of Envoy's dynamic-module ABI v0.1.0 that network filters use. Names and layouts are Envoy's
// (source/extensions/dynamic_modules/abi/abi.h); abi_test.go compiles this file against that one. See ../abi.h.
#pragma once

#include "../metrics.h"

#ifndef MOE_ABI_TYPES_GIVEN

typedef enum {
  envoy_dynamic_module_type_on_network_filter_data_status_Continue = 0,
  envoy_dynamic_module_type_on_network_filter_data_status_StopIteration = 1,
} envoy_dynamic_module_type_on_network_filter_data_status;

typedef enum {
  envoy_dynamic_module_type_network_connection_close_type_FlushWrite = 0,
  envoy_dynamic_module_type_network_connection_close_type_AbortReset = 4,
} envoy_dynamic_module_type_network_connection_close_type;

typedef enum {
  envoy_dynamic_module_type_network_connection_event_RemoteClose = 0,
  envoy_dynamic_module_type_network_connection_event_LocalClose = 1,
} envoy_dynamic_module_type_network_connection_event;

typedef enum {
  envoy_dynamic_module_type_network_read_disable_status_NoTransition = 0,
} envoy_dynamic_module_type_network_read_disable_status;

#endif // MOE_ABI_TYPES_GIVEN

#define NF(name) CB(network_filter_##name)
#define STATUS T(on_network_filter_data_status)

// Event hooks.
HOOK const void *ON(network_filter_config_new)(void *config, ebuf name, ebuf value);
HOOK void ON(network_filter_config_destroy)(const void *config);
HOOK const void *ON(network_filter_new)(const void *config, void *filter);
HOOK STATUS ON(network_filter_new_connection)(void *, const void *);
HOOK STATUS ON(network_filter_read)(void *, const void *, size_t, bool);
HOOK STATUS ON(network_filter_write)(void *, const void *, size_t, bool);
HOOK void ON(network_filter_event)(void *, const void *, T(network_connection_event));
HOOK void ON(network_filter_destroy)(const void *);
HOOK void ON(network_filter_scheduled)(void *, const void *, uint64_t);
HOOK void ON(network_filter_above_write_buffer_high_watermark)(void *, const void *);
HOOK void ON(network_filter_below_write_buffer_low_watermark)(void *, const void *);

// Callbacks: bytes.
CALLBACK size_t NF(get_read_buffer_chunks_size)(void *);
CALLBACK size_t NF(get_write_buffer_chunks_size)(void *);
CALLBACK bool NF(get_read_buffer_chunks)(void *, ebuf *);
CALLBACK bool NF(get_write_buffer_chunks)(void *, ebuf *);
CALLBACK size_t NF(get_read_buffer_size)(void *);
CALLBACK size_t NF(get_write_buffer_size)(void *);
CALLBACK bool NF(drain_read_buffer)(void *, size_t);
CALLBACK bool NF(drain_write_buffer)(void *, size_t);
CALLBACK bool NF(append_read_buffer)(void *, mbuf);
CALLBACK bool NF(append_write_buffer)(void *, mbuf);
CALLBACK void NF(inject_read_data)(void *, mbuf, bool);
CALLBACK void NF(inject_write_data)(void *, mbuf, bool);

// Callbacks: the connection's way on.
CALLBACK void NF(continue_reading)(void *);
CALLBACK void NF(close_with_details)(void *, T(network_connection_close_type), mbuf);
CALLBACK void NF(disable_close)(void *, bool);
CALLBACK T(network_read_disable_status) NF(read_disable)(void *, bool);
CALLBACK bool NF(read_enabled)(void *);
CALLBACK uint32_t NF(get_buffer_limit)(void *);
CALLBACK void *NF(scheduler_new)(void *);
CALLBACK void NF(scheduler_commit)(void *, uint64_t);
CALLBACK void NF(scheduler_delete)(void *);

// Callbacks: what Envoy knows.
CALLBACK uint64_t NF(get_connection_id)(void *);
CALLBACK bool NF(get_remote_address)(void *, ebuf *, uint32_t *);
CALLBACK bool NF(get_local_address)(void *, ebuf *, uint32_t *);
CALLBACK bool NF(get_direct_remote_address)(void *, ebuf *, uint32_t *);
CALLBACK bool NF(is_ssl)(void *);
CALLBACK bool NF(get_requested_server_name)(void *, ebuf *);
CALLBACK size_t NF(get_ssl_uri_sans_size)(void *);
CALLBACK bool NF(get_ssl_uri_sans)(void *, ebuf *);
CALLBACK size_t NF(get_ssl_dns_sans_size)(void *);
CALLBACK bool NF(get_ssl_dns_sans)(void *, ebuf *);
CALLBACK bool NF(get_ssl_subject)(void *, ebuf *);
CALLBACK bool NF(has_upstream_host)(void *);
CALLBACK bool NF(get_upstream_host_address)(void *, ebuf *, uint32_t *);
CALLBACK bool NF(get_upstream_host_hostname)(void *, ebuf *);
CALLBACK bool NF(get_upstream_host_cluster)(void *, ebuf *);

// Callbacks: filter state and metadata.
CALLBACK bool CB(network_set_filter_state_bytes)(void *, mbuf, mbuf);
CALLBACK bool CB(network_get_filter_state_bytes)(void *, mbuf, ebuf *);
CALLBACK bool CB(network_set_filter_state_typed)(void *, mbuf, mbuf);
CALLBACK bool CB(network_get_filter_state_typed)(void *, mbuf, ebuf *);
CALLBACK void CB(network_set_dynamic_metadata_string)(void *, mbuf, mbuf, mbuf);
CALLBACK bool CB(network_get_dynamic_metadata_string)(void *, mbuf, mbuf, ebuf *);
CALLBACK void CB(network_set_dynamic_metadata_number)(void *, mbuf, mbuf, double);
CALLBACK bool CB(network_get_dynamic_metadata_number)(void *, mbuf, mbuf, double *);
CALLBACK void CB(network_set_dynamic_metadata_bool)(void *, mbuf, mbuf, bool);
CALLBACK bool CB(network_get_dynamic_metadata_bool)(void *, mbuf, mbuf, bool *);

// Callbacks: metrics.
METRIC_CALLBACKS(NF);
