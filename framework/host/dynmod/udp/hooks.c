// Event hooks of UDP listener filters, and what Go does with the datagram at hand.
#include <stdlib.h>

#include "_cgo_export.h"
#include "datagram.h"

// Envoy does not look whether a configuration was made, and lets all datagrams pass a filter that was not. So there is always
// one: what has no id drops them all.
static moe_udp_config none;

HOOK const void *ON(udp_listener_filter_config_new)(void *envoy, ebuf name, ebuf value) {
  moe_udp_config *c = calloc(1, sizeof *c);
  if (c == NULL)
    return &none;
  c->id = moeUDPNew(envoy, (char *)name.ptr, name.length, (char *)value.ptr, value.length);
  return c;
}

HOOK void ON(udp_listener_filter_config_destroy)(const void *config) {
  moe_udp_config *c = (moe_udp_config *)config;
  if (c == &none)
    return;
  moeUDPDestroy(c->id);
  free(c); // no filter uses it any more
}

HOOK const void *ON(udp_listener_filter_new)(const void *config, void *filter) { return config; }

HOOK void ON(udp_listener_filter_destroy)(const void *ours) {}

// Most datagrams are in one piece.
enum { FEW = 4 };

HOOK STATUS ON(udp_listener_filter_on_data)(void *envoy, const void *ours) {
  ebuf few[FEW], *many = NULL;
  moe_udp_datagram d = {.envoy = envoy, .id = ((const moe_udp_config *)ours)->id, .chunks = few};
  if (d.id == 0)
    return T(on_udp_listener_filter_status_StopIteration);
  d.n = UF(get_datagram_data_chunks_size)(envoy);
  if (d.n > FEW) {
    d.chunks = many = calloc(d.n, sizeof *many);
    if (many == NULL)
      return T(on_udp_listener_filter_status_StopIteration);
  }
  if (d.n > 0 && !UF(get_datagram_data_chunks)(envoy, many != NULL ? many : few))
    d.n = 0;
  if (!UF(get_peer_address)(envoy, &d.remote, &d.remote_port))
    d.remote.length = 0;
  if (!UF(get_local_address)(envoy, &d.local, &d.local_port))
    d.local.length = 0;
  bool pass = moeUDPDatagram(&d);
  free(many);
  return pass ? T(on_udp_listener_filter_status_Continue) : T(on_udp_listener_filter_status_StopIteration);
}

void moe_udp_replace(moe_udp_datagram *d, const char *data, size_t n) {
  UF(set_datagram_data)(d->envoy, (mbuf){data, n});
}

// An address without text is the client's.
void moe_udp_send(moe_udp_datagram *d, const char *data, size_t n, const char *ip, size_t ip_n, uint32_t port) {
  UF(send_datagram)(d->envoy, (mbuf){data, n}, (mbuf){ip, ip_n}, port);
}
