// What the C side of this package and its Go side share. No Go pointer crosses over; Go keeps a moe_socket until it says
// that it is done with it.
#pragma once

#include <stdatomic.h>

#include "abi.h"

// One configuration of a listener filter in Envoy.
typedef struct {
  uint32_t id; // Go's, written once
} moe_listener_config;

// One filter of one accepted connection. Each field says who writes it, on the connection's thread.
typedef struct {
  void *envoy;                 // C: NULL once Envoy has destroyed the filter
  moe_listener_config *config; // C, constant
  void *scheduler;             // Go: to the connection's thread, once somebody may need that; C deletes it
  uint32_t slot;               // Go: 1 + its index in Go's table of this thread; 0 before Go has met it
  uint32_t life;               // Go: which of the lives in that slot it is
  uint32_t thread;             // C: number of its thread, once it has entered Go
  uint32_t least;              // Go: the bytes that Go must be entered for; 0: for none
  uint32_t most;               // Go: the bytes that it can take
  uint8_t completed;           // Go: it has let go, and must not be entered again
  uint8_t depth;               // C: crossings under way on the stack
  _Atomic uint32_t gone;       // C, read by Go on any thread: Envoy has destroyed the filter
} moe_socket;

// Kinds of events.
enum { SOCKET_ACCEPT, SOCKET_DATA, SOCKET_CLOSE, SOCKET_SCHEDULED, SOCKET_GONE };

// listener.Verdict
enum { VERDICT_WAIT = 0, VERDICT_PASS = 1, VERDICT_CLOSE = 2 };

// One crossing from C into Go.
typedef struct {
  moe_socket *socket;
  uint32_t kind;
  uint32_t thread;  // number of this thread, from 1 on
  size_t length;    // of the bytes
  uint32_t verdict; // Go's answer
  uint32_t written; // Go's: how much of details is written
  char details[256]; // Go's: why it is closed
} moe_socket_event;

// For Go, which calls them on the connection's thread.
bool moe_socket_on_thread(uint32_t number);
bool moe_socket_on_envoy_thread(void);
bool moe_socket_can_wake(void);
void moe_socket_prepare(moe_socket *s);
void moe_socket_commit(moe_socket *s);
bool moe_socket_address(moe_socket *s, int which, ebuf *ip, uint32_t *port);
bool moe_socket_set_address(moe_socket *s, int which, const char *ip, size_t n, uint32_t port, bool v6);
bool moe_socket_text(moe_socket *s, int which, ebuf *text);
void moe_socket_set_text(moe_socket *s, int which, const char *text, size_t n);
size_t moe_socket_protocols(moe_socket *s, ebuf *names, size_t room); // how many there are
void moe_socket_set_protocols(moe_socket *s, const char *names, const uint32_t *lengths, size_t n);
enum { STATE_SET, STATE_EXISTS, STATE_REFUSED };
bool moe_socket_filter_state(moe_socket *s, const char *key, size_t n, ebuf *value);
int moe_socket_set_filter_state(moe_socket *s, const char *key, size_t key_n, const char *value, size_t n);

// A value of dynamic metadata.
typedef struct {
  enum { VALUE_NONE, VALUE_TEXT, VALUE_NUMBER } kind;
  ebuf text;
  double number;
} moe_socket_value;
moe_socket_value moe_socket_metadata(moe_socket *s, const char *space, size_t space_n, const char *key, size_t n);
void moe_socket_set_metadata(moe_socket *s, const char *space, size_t space_n, const char *key, size_t n, bool number,
                             const char *text, size_t text_n, double value);
