// The part of Envoy's dynamic-module ABI v0.1.0 that UDP listener filters use. Names and layouts are Envoy's
// (source/extensions/dynamic_modules/abi/abi.h); abi_test.go compiles this file against that one. See ../abi.h.
#pragma once

#include "../metrics.h"

#ifndef MOE_ABI_TYPES_GIVEN

typedef enum {
  envoy_dynamic_module_type_on_udp_listener_filter_status_Continue = 0,
  envoy_dynamic_module_type_on_udp_listener_filter_status_StopIteration = 1,
} envoy_dynamic_module_type_on_udp_listener_filter_status;

#endif // MOE_ABI_TYPES_GIVEN

#define UF(name) CB(udp_listener_filter_##name)
#define STATUS T(on_udp_listener_filter_status)

// Event hooks.
HOOK const void *ON(udp_listener_filter_config_new)(void *config, ebuf name, ebuf value);
HOOK void ON(udp_listener_filter_config_destroy)(const void *config);
HOOK const void *ON(udp_listener_filter_new)(const void *config, void *filter);
HOOK STATUS ON(udp_listener_filter_on_data)(void *, const void *);
HOOK void ON(udp_listener_filter_destroy)(const void *);

// Callbacks: the datagram at hand.
CALLBACK size_t UF(get_datagram_data_chunks_size)(void *);
CALLBACK bool UF(get_datagram_data_chunks)(void *, ebuf *);
CALLBACK bool UF(set_datagram_data)(void *, mbuf);
CALLBACK bool UF(get_peer_address)(void *, ebuf *, uint32_t *);
CALLBACK bool UF(get_local_address)(void *, ebuf *, uint32_t *);
CALLBACK bool UF(send_datagram)(void *, mbuf, mbuf, uint32_t);

// Callbacks: metrics.
METRIC_CALLBACKS(UF);
