// What the C side of this package and its Go side share. No Go pointer crosses over; Go keeps a moe_conn until it says
// that it is done with it.
#pragma once

#include <stdatomic.h>

#include "abi.h"

// network.Wants
enum { WANT_CONNECTION = 1, WANT_READ = 2, WANT_WRITE = 4, WANT_CLOSE = 8, WANT_WATERMARK = 16 };

// One configuration of a network filter in Envoy.
typedef struct {
  uint32_t id;    // Go's, written once
  uint32_t wants; // Go's, written once: the events that Go must be entered for first
} moe_network_config;

// One filter of one connection. Each field says who writes it, on the connection's thread.
typedef struct {
  void *envoy;                // C: NULL once Envoy has destroyed the filter
  moe_network_config *config; // C, constant
  void *scheduler;            // Go: to the connection's thread, once somebody may need that; C deletes it
  uint32_t slot;              // Go: 1 + its index in Go's table of this thread; 0 before Go has met it
  uint32_t life;              // Go: which of the lives in that slot it is
  uint32_t thread;            // C: number of its thread, once it has entered Go
  uint8_t wants;              // Go: the events that Go must be entered for
  uint8_t completed;          // Go: it has let go, and must not be entered again
  uint8_t closed;             // C: Envoy has told that the connection is closed
  uint8_t depth;              // C: crossings under way on the stack
  _Atomic uint32_t gone;      // C, read by Go on any thread: Envoy has destroyed the filter
} moe_conn;

// Kinds of events.
enum { CONN_NEW, CONN_READ, CONN_WRITE, CONN_CLOSE, CONN_WATERMARK, CONN_SCHEDULED, CONN_GONE };

// One crossing from C into Go.
typedef struct {
  moe_conn *conn;
  uint32_t kind;
  uint32_t thread; // number of this thread, from 1 on
  uint32_t flag;   // end of stream; closed by Envoy; above the watermark
  uint32_t stop;   // Go's answer: the filters behind must wait
  size_t length;   // of the bytes
} moe_conn_event;

// For Go, which calls them on the connection's thread.
bool moe_conn_on_thread(uint32_t number);
bool moe_conn_on_envoy_thread(void);
void moe_conn_prepare(moe_conn *c);
void moe_conn_commit(moe_conn *c);
size_t moe_conn_size(moe_conn *c, int dir);
void moe_conn_copy(moe_conn *c, int dir, uint8_t *to, size_t n);
void moe_conn_replace(moe_conn *c, int dir, const uint8_t *p, size_t n);
void moe_conn_inject(moe_conn *c, int dir, const uint8_t *p, size_t n, bool end);
void moe_conn_close(moe_conn *c, bool reset, const uint8_t *details, size_t n);
bool moe_conn_address(moe_conn *c, int which, ebuf *ip, uint32_t *port);
size_t moe_conn_names(moe_conn *c, int which, ebuf *names, size_t room); // how many there are
bool moe_conn_filter_state(moe_conn *c, const char *key, size_t n, ebuf *value);
enum { STATE_SET, STATE_EXISTS, STATE_REFUSED };
int moe_conn_set_filter_state(moe_conn *c, const char *key, size_t key_n, const char *value, size_t n);

// A value of dynamic metadata.
typedef struct {
  enum { VALUE_NONE, VALUE_TEXT, VALUE_NUMBER, VALUE_TRUTH } kind;
  ebuf text;
  double number;
} moe_conn_value;
moe_conn_value moe_conn_metadata(moe_conn *c, const char *space, size_t space_n, const char *key, size_t n);
void moe_conn_set_metadata(moe_conn *c, const char *space, size_t space_n, const char *key, size_t n, int kind,
                           const char *text, size_t text_n, double number);
