// The part of Envoy's dynamic-module ABI v0.1.0 that access loggers use. Names and layouts are Envoy's
// (source/extensions/dynamic_modules/abi/abi.h); abi_test.go compiles this file against that one. See ../abi.h.
#pragma once

#include "../metrics.h"

#ifndef MOE_ABI_TYPES_GIVEN

typedef enum {
  envoy_dynamic_module_type_access_log_type_NotSet = 0,
  envoy_dynamic_module_type_access_log_type_TcpUpstreamConnected = 1,
  envoy_dynamic_module_type_access_log_type_TcpPeriodic = 2,
  envoy_dynamic_module_type_access_log_type_TcpConnectionEnd = 3,
  envoy_dynamic_module_type_access_log_type_DownstreamStart = 4,
  envoy_dynamic_module_type_access_log_type_DownstreamPeriodic = 5,
  envoy_dynamic_module_type_access_log_type_DownstreamEnd = 6,
  envoy_dynamic_module_type_access_log_type_UpstreamPoolReady = 7,
  envoy_dynamic_module_type_access_log_type_UpstreamPeriodic = 8,
  envoy_dynamic_module_type_access_log_type_UpstreamEnd = 9,
  envoy_dynamic_module_type_access_log_type_DownstreamTunnelSuccessfullyEstablished = 10,
  envoy_dynamic_module_type_access_log_type_UdpTunnelUpstreamConnected = 11,
  envoy_dynamic_module_type_access_log_type_UdpPeriodic = 12,
  envoy_dynamic_module_type_access_log_type_UdpSessionEnd = 13,
} envoy_dynamic_module_type_access_log_type;

typedef struct {
  int64_t start_time_unix_ns;
  int64_t request_complete_duration_ns;
  int64_t first_upstream_tx_byte_sent_ns;
  int64_t last_upstream_tx_byte_sent_ns;
  int64_t first_upstream_rx_byte_received_ns;
  int64_t last_upstream_rx_byte_received_ns;
  int64_t first_downstream_tx_byte_sent_ns;
  int64_t last_downstream_tx_byte_sent_ns;
} envoy_dynamic_module_type_timing_info;

typedef struct {
  uint64_t bytes_received;
  uint64_t bytes_sent;
  uint64_t wire_bytes_received;
  uint64_t wire_bytes_sent;
} envoy_dynamic_module_type_bytes_info;

#endif // MOE_ABI_TYPES_GIVEN

#define GET(name) CB(access_logger_get_##name)

// Event hooks.
HOOK const void *ON(access_logger_config_new)(void *config, ebuf name, ebuf value);
HOOK void ON(access_logger_config_destroy)(const void *config);
HOOK const void *ON(access_logger_new)(const void *config, void *logger);
HOOK void ON(access_logger_log)(void *logger, const void *ours, T(access_log_type) type);
HOOK void ON(access_logger_destroy)(const void *ours);
HOOK void ON(access_logger_flush)(const void *ours);

// Callbacks: headers and metadata.
CALLBACK size_t GET(headers_size)(void *, T(http_header_type));
CALLBACK bool GET(headers)(void *, T(http_header_type), eheader *);
CALLBACK bool GET(header_value)(void *, T(http_header_type), mbuf, ebuf *, size_t, size_t *);
CALLBACK bool GET(dynamic_metadata)(void *, mbuf, mbuf, ebuf *);

// Callbacks: texts.
#define TEXTS(X)                                                                                                      \
  X(response_code_details) X(protocol) X(route_name) X(virtual_cluster_name) X(connection_termination_details)        \
  X(request_id) X(local_reply_body) X(requested_server_name) X(downstream_tls_version) X(downstream_tls_cipher)       \
  X(downstream_tls_session_id) X(downstream_peer_subject) X(downstream_peer_issuer) X(downstream_peer_serial)         \
  X(downstream_peer_cert_digest) X(downstream_peer_fingerprint_1) X(downstream_local_subject)                         \
  X(downstream_transport_failure_reason) X(ja3_hash) X(ja4_hash) X(upstream_cluster) X(upstream_host)                 \
  X(upstream_protocol) X(upstream_transport_failure_reason) X(upstream_tls_version) X(upstream_tls_cipher)            \
  X(upstream_tls_session_id) X(upstream_peer_subject) X(upstream_peer_issuer) X(upstream_peer_cert_digest)            \
  X(upstream_local_subject)
#define DECLARE(name) CALLBACK bool GET(name)(void *, ebuf *);
TEXTS(DECLARE)
#undef DECLARE

// Callbacks: numbers, truths, times of certificates.
CALLBACK uint32_t GET(response_code)(void *);
CALLBACK uint32_t GET(attempt_count)(void *);
CALLBACK uint64_t GET(connection_id)(void *);
CALLBACK uint64_t GET(upstream_connection_id)(void *);
CALLBACK uint64_t GET(request_headers_bytes)(void *);
CALLBACK uint64_t GET(response_headers_bytes)(void *);
CALLBACK uint64_t GET(response_trailers_bytes)(void *);
CALLBACK uint32_t GET(worker_index)(void *);
CALLBACK uint64_t GET(response_flags)(void *);
CALLBACK bool CB(access_logger_is_health_check)(void *);
CALLBACK bool CB(access_logger_is_mtls)(void *);
CALLBACK bool GET(downstream_peer_cert_presented)(void *);
CALLBACK bool GET(downstream_peer_cert_validated)(void *);
CALLBACK bool CB(access_logger_is_trace_sampled)(void *);
CALLBACK int64_t GET(downstream_peer_cert_v_start)(void *);
CALLBACK int64_t GET(downstream_peer_cert_v_end)(void *);
CALLBACK int64_t GET(upstream_peer_cert_v_start)(void *);
CALLBACK int64_t GET(upstream_peer_cert_v_end)(void *);
CALLBACK int64_t GET(upstream_pool_ready_duration_ns)(void *);
CALLBACK void GET(timing_info)(void *, T(timing_info) *);
CALLBACK void GET(bytes_info)(void *, T(bytes_info) *);

// Callbacks: addresses, and lists of names in certificates.
#define ADDRESSES(X)                                                                                                  \
  X(downstream_remote_address) X(downstream_local_address) X(downstream_direct_remote_address)                        \
  X(downstream_direct_local_address) X(upstream_remote_address) X(upstream_local_address)
#define DECLARE(name) CALLBACK bool GET(name)(void *, ebuf *, uint32_t *);
ADDRESSES(DECLARE)
#undef DECLARE
#define LISTS(X)                                                                                                      \
  X(downstream_peer_uri_san) X(downstream_peer_dns_san) X(downstream_local_uri_san) X(downstream_local_dns_san)       \
  X(upstream_peer_uri_san) X(upstream_peer_dns_san) X(upstream_local_uri_san) X(upstream_local_dns_san)
#define DECLARE(name)                                                                                                 \
  CALLBACK size_t GET(name##_size)(void *);                                                                           \
  CALLBACK bool GET(name)(void *, ebuf *);
LISTS(DECLARE)
#undef DECLARE

// Callbacks: numbers and truths in metadata, of Envoy 1.39 and later; absent before, and in the header that the test
// compares with.
CALLBACK bool GET(dynamic_metadata_number)(void *, mbuf, mbuf, double *);
CALLBACK bool GET(dynamic_metadata_bool)(void *, mbuf, mbuf, bool *);

// Callbacks: metrics.
#define AL(name) CB(access_logger_##name)
METRIC_CALLBACKS(AL);
