// What Go asks of Envoy for a connection, on its thread.
#include <stdlib.h>
#include <string.h>

#include "conn.h"

enum { STACK_CHUNKS = 32 };

void moe_conn_prepare(moe_conn *c) {
  if (c->scheduler == NULL && c->envoy != NULL)
    c->scheduler = NF(scheduler_new)(c->envoy);
}

void moe_conn_commit(moe_conn *c) { NF(scheduler_commit)(c->scheduler, 0); }

size_t moe_conn_size(moe_conn *c, int dir) {
  return dir == 0 ? NF(get_read_buffer_size)(c->envoy) : NF(get_write_buffer_size)(c->envoy);
}

void moe_conn_copy(moe_conn *c, int dir, uint8_t *to, size_t n) {
  size_t count = dir == 0 ? NF(get_read_buffer_chunks_size)(c->envoy) : NF(get_write_buffer_chunks_size)(c->envoy);
  ebuf stack[STACK_CHUNKS], *all = count > STACK_CHUNKS ? malloc(count * sizeof *all) : stack;
  if (all == NULL)
    abort();
  if (dir == 0)
    NF(get_read_buffer_chunks)(c->envoy, all);
  else
    NF(get_write_buffer_chunks)(c->envoy, all);
  for (size_t i = 0; i < count && n > 0; i++) {
    size_t part = all[i].length < n ? all[i].length : n;
    memcpy(to, all[i].ptr, part);
    to += part;
    n -= part;
  }
  if (all != stack)
    free(all);
}

void moe_conn_replace(moe_conn *c, int dir, const uint8_t *p, size_t n) {
  mbuf b = {(const char *)p, n};
  if (dir == 0) {
    NF(drain_read_buffer)(c->envoy, NF(get_read_buffer_size)(c->envoy));
    NF(append_read_buffer)(c->envoy, b);
  } else {
    NF(drain_write_buffer)(c->envoy, NF(get_write_buffer_size)(c->envoy));
    NF(append_write_buffer)(c->envoy, b);
  }
}

void moe_conn_inject(moe_conn *c, int dir, const uint8_t *p, size_t n, bool end) {
  mbuf b = {(const char *)p, n};
  if (dir == 0)
    NF(inject_read_data)(c->envoy, b, end);
  else
    NF(inject_write_data)(c->envoy, b, end);
}

void moe_conn_close(moe_conn *c, bool reset, const uint8_t *details, size_t n) {
  NF(close_with_details)(c->envoy, reset ? T(network_connection_close_type_AbortReset)
                                         : T(network_connection_close_type_FlushWrite), (mbuf){(const char *)details, n});
}

bool moe_conn_address(moe_conn *c, int which, ebuf *ip, uint32_t *port) {
  switch (which) {
  case 0:
    return NF(get_remote_address)(c->envoy, ip, port);
  case 1:
    return NF(get_local_address)(c->envoy, ip, port);
  case 2:
    return NF(get_direct_remote_address)(c->envoy, ip, port);
  }
  return NF(get_upstream_host_address)(c->envoy, ip, port);
}

size_t moe_conn_names(moe_conn *c, int which, ebuf *names, size_t room) {
  size_t n = which == 0 ? NF(get_ssl_dns_sans_size)(c->envoy) : NF(get_ssl_uri_sans_size)(c->envoy);
  if (n > 0 && n <= room && !(which == 0 ? NF(get_ssl_dns_sans)(c->envoy, names) : NF(get_ssl_uri_sans)(c->envoy, names)))
    return 0;
  return n;
}

bool moe_conn_filter_state(moe_conn *c, const char *key, size_t n, ebuf *value) {
  mbuf k = {key, n};
  return CB(network_get_filter_state_bytes)(c->envoy, k, value) || CB(network_get_filter_state_typed)(c->envoy, k, value);
}

int moe_conn_set_filter_state(moe_conn *c, const char *key, size_t key_n, const char *value, size_t n) {
  mbuf k = {key, key_n}, v = {value, n};
  ebuf there;
  if (moe_conn_filter_state(c, key, key_n, &there))
    return STATE_EXISTS; // Envoy's versions differ in what they do then
  if (CB(network_set_filter_state_typed)(c->envoy, k, v))
    return STATE_SET;
  // Envoy says no both of a value that is wrong for the key's type and of a key without a type. Its own keys have types, and
  // whoever reads one would take bytes under it for no value.
  static const char own[] = "envoy.";
  if (key_n >= sizeof own - 1 && memcmp(key, own, sizeof own - 1) == 0)
    return STATE_REFUSED;
  return CB(network_set_filter_state_bytes)(c->envoy, k, v) ? STATE_SET : STATE_REFUSED;
}

moe_conn_value moe_conn_metadata(moe_conn *c, const char *space, size_t space_n, const char *key, size_t n) {
  moe_conn_value v = {.kind = VALUE_NONE};
  mbuf s = {space, space_n}, k = {key, n};
  bool truth;
  if (CB(network_get_dynamic_metadata_string)(c->envoy, s, k, &v.text)) {
    v.kind = VALUE_TEXT;
  } else if (CB(network_get_dynamic_metadata_number)(c->envoy, s, k, &v.number)) {
    v.kind = VALUE_NUMBER;
  } else if (CB(network_get_dynamic_metadata_bool)(c->envoy, s, k, &truth)) {
    v.kind = VALUE_TRUTH;
    v.number = truth;
  }
  return v;
}

void moe_conn_set_metadata(moe_conn *c, const char *space, size_t space_n, const char *key, size_t n, int kind,
                           const char *text, size_t text_n, double number) {
  mbuf s = {space, space_n}, k = {key, n};
  switch (kind) {
  case VALUE_TEXT:
    CB(network_set_dynamic_metadata_string)(c->envoy, s, k, (mbuf){text, text_n});
    break;
  case VALUE_NUMBER:
    CB(network_set_dynamic_metadata_number)(c->envoy, s, k, number);
    break;
  default:
    CB(network_set_dynamic_metadata_bool)(c->envoy, s, k, number != 0);
  }
}
