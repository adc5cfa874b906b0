// What Go asks of Envoy for an accepted connection, on its thread.
#include <stdlib.h>
#include <string.h>

#include "socket.h"

// Envoys before 1.39 drop what a scheduler commits to a listener filter
// (https://github.com/envoyproxy/envoy/blob/v1.38.3/source/extensions/filters/listener/dynamic_modules/factory.cc: nobody
// owns the filter by a shared_ptr, so that its weak_from_this is empty). Those from 1.39 on have this callback.
extern __attribute__((weak)) void CB(listener_filter_set_dynamic_metadata_string_batch)(void);

bool moe_socket_can_wake(void) { return CB(listener_filter_set_dynamic_metadata_string_batch) != NULL; }

void moe_socket_prepare(moe_socket *s) {
  if (s->scheduler == NULL && s->envoy != NULL)
    s->scheduler = LF(scheduler_new)(s->envoy);
}

void moe_socket_commit(moe_socket *s) { LF(scheduler_commit)(s->scheduler, 0); }

bool moe_socket_address(moe_socket *s, int which, ebuf *ip, uint32_t *port) {
  switch (which) {
  case 0:
    return LF(get_remote_address)(s->envoy, ip, port);
  case 1:
    return LF(get_local_address)(s->envoy, ip, port);
  case 2:
    return LF(get_direct_remote_address)(s->envoy, ip, port);
  case 3:
    return LF(get_direct_local_address)(s->envoy, ip, port);
  }
  return LF(get_original_dst)(s->envoy, ip, port);
}

bool moe_socket_set_address(moe_socket *s, int which, const char *ip, size_t n, uint32_t port, bool v6) {
  mbuf a = {ip, n};
  return which == 0 ? LF(set_remote_address)(s->envoy, a, port, v6) : LF(restore_local_address)(s->envoy, a, port, v6);
}

bool moe_socket_text(moe_socket *s, int which, ebuf *text) {
  switch (which) {
  case 0:
    return LF(get_requested_server_name)(s->envoy, text);
  case 1:
    return LF(get_detected_transport_protocol)(s->envoy, text);
  }
  return false;
}

void moe_socket_set_text(moe_socket *s, int which, const char *text, size_t n) {
  mbuf b = {text, n};
  switch (which) {
  case 0:
    LF(set_requested_server_name)(s->envoy, b);
    break;
  case 1:
    LF(set_detected_transport_protocol)(s->envoy, b);
    break;
  case 2:
    LF(set_ja3_hash)(s->envoy, b);
    break;
  default:
    LF(set_ja4_hash)(s->envoy, b);
  }
}

size_t moe_socket_protocols(moe_socket *s, ebuf *names, size_t room) {
  size_t n = LF(get_requested_application_protocols_size)(s->envoy);
  if (n > 0 && n <= room && !LF(get_requested_application_protocols)(s->envoy, names))
    return 0;
  return n;
}

void moe_socket_set_protocols(moe_socket *s, const char *names, const uint32_t *lengths, size_t n) {
  mbuf *all = malloc(n * sizeof *all);
  if (all == NULL)
    abort();
  for (size_t i = 0; i < n; i++) {
    all[i] = (mbuf){names, lengths[i]};
    names += lengths[i];
  }
  LF(set_requested_application_protocols)(s->envoy, all, n);
  free(all);
}

bool moe_socket_filter_state(moe_socket *s, const char *key, size_t n, ebuf *value) {
  return LF(get_filter_state)(s->envoy, (mbuf){key, n}, value);
}

int moe_socket_set_filter_state(moe_socket *s, const char *key, size_t key_n, const char *value, size_t n) {
  mbuf k = {key, key_n};
  ebuf there;
  if (LF(get_filter_state)(s->envoy, k, &there))
    return STATE_EXISTS;
  // Envoy's own keys have types, and whoever reads one would take text under it for no value.
  static const char own[] = "envoy.";
  if (key_n >= sizeof own - 1 && memcmp(key, own, sizeof own - 1) == 0)
    return STATE_REFUSED;
  // Envoy reports success whatever it does.
  if (LF(set_filter_state)(s->envoy, k, (mbuf){n > 0 ? value : "", n}) && LF(get_filter_state)(s->envoy, k, &there) &&
      there.length == n && memcmp(there.ptr, value, n) == 0)
    return STATE_SET;
  return STATE_REFUSED;
}

moe_socket_value moe_socket_metadata(moe_socket *s, const char *space, size_t space_n, const char *key, size_t n) {
  moe_socket_value v = {.kind = VALUE_NONE};
  mbuf in = {space, space_n}, k = {key, n};
  if (LF(get_dynamic_metadata_string)(s->envoy, in, k, &v.text))
    v.kind = VALUE_TEXT;
  else if (LF(get_dynamic_metadata_number)(s->envoy, in, k, &v.number))
    v.kind = VALUE_NUMBER;
  return v;
}

void moe_socket_set_metadata(moe_socket *s, const char *space, size_t space_n, const char *key, size_t n, bool number,
                             const char *text, size_t text_n, double value) {
  mbuf in = {space, space_n}, k = {key, n};
  if (number)
    LF(set_dynamic_metadata_number)(s->envoy, in, k, value);
  else
    LF(set_dynamic_metadata_string)(s->envoy, in, k, (mbuf){text_n > 0 ? text : "", text_n});
}
