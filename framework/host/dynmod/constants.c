// Carries out what is the same for the headers of all streams, without Go.
#include <string.h>

#include "moe.h"

static bool has(const eheader *all, size_t n, mbuf name) {
  for (size_t i = 0; i < n; i++)
    if (all[i].key_length == name.length && memcmp(all[i].key_ptr, name.ptr, name.length) == 0)
      return true;
  return false;
}

// moe_set_constants does to the headers of a direction what Go has said, unless they are those of a reply of ours. To set
// a header, Envoy looks for its old values, which costs more than all else here: one that it does not have is added.
void moe_set_constants(moe_instance *s, int dir) {
  const moe_constants *c = s->constants[dir];
  if (c == NULL || s->replied)
    return;
  int block = 2 * dir;
  size_t n = CB(http_get_headers_size)(s->envoy, block);
  eheader headers[STACK_HEADERS];
  bool seen = n <= STACK_HEADERS && CB(http_get_headers)(s->envoy, block, headers);
  uint64_t absent = 0; // found out before Envoy moves any
  for (size_t i = 0; seen && i < c->n && i < 64; i++)
    if (c->all[i].add || !has(headers, n, c->all[i].name))
      absent |= (uint64_t)1 << i;
  for (size_t i = 0; i < c->n; i++) {
    const moe_constant *k = &c->all[i];
    if (!k->add && (i >= 64 || !(absent >> i & 1)))
      CB(http_set_header)(s->envoy, block, k->name, k->value);
    else if (k->value.length > 0)
      CB(http_add_header)(s->envoy, block, k->name, k->value);
  }
}
