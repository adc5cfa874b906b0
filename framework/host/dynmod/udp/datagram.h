// What the C side of this package and its Go side share. No Go pointer crosses over.
#pragma once

#include "abi.h"

// One configuration of a UDP filter in Envoy. Envoy has a filter of it for each of its threads; they know nothing of their own,
// so that this is all of them, too.
typedef struct {
  uint32_t id; // Go's, written once; 0: there is none
} moe_udp_config;

// A datagram that has come. All of it is Envoy's, until the hook returns.
typedef struct {
  void *envoy; // the filter
  uint32_t id; // of its configuration
  const ebuf *chunks;
  size_t n; // of chunks
  ebuf remote, local;
  uint32_t remote_port, local_port;
} moe_udp_datagram;

// For Go, which calls them within the hook.
void moe_udp_replace(moe_udp_datagram *d, const char *data, size_t n);
void moe_udp_send(moe_udp_datagram *d, const char *data, size_t n, const char *ip, size_t ip_n, uint32_t port);
