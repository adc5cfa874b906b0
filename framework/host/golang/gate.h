// What the C side of this package and its Go side share. The C side stands between Envoy and Go: it answers what no
// plugin wants to see, and carries out many changes in one crossing. No Go pointer is kept by C, and Go keeps none of
// Envoy's beyond the call, but for golang_instance, which lives until Go says that it is done.
#pragma once

#include "host.h"

// What the chain is entered for: phase.Messages, see constants.go.
enum {
  WANT_REQUEST_HEADERS = 1,
  WANT_REQUEST_BODY = 2,
  WANT_REQUEST_TRAILERS = 4,
  WANT_REQUEST = 7, // anything of that direction; the response's are shifted by 3
  WANT_COMPLETE = 64,
};

// The answers to Envoy.
enum {
  STATUS_RUNNING = 0,
  STATUS_LOCAL_REPLY = 1,
  STATUS_CONTINUE = 2,
  STATUS_BUFFER = 3,
  STATUS_WATERMARK = 4,
  STATUS_NO_BUFFER = 5,
};

// A configuration, as long as Envoy has its number or a stream uses it.
typedef struct {
  uint64_t id;          // Go, constant
  _Atomic int64_t uses; // both sides'
} golang_config;

// One stream: a filter instance of Envoy's. Each field says who writes it: C or Go on the stream's thread, unless it is
// said to be for others.
typedef struct {
  httpRequest *request;   // C, constant
  processState *state[2]; // C: by direction, once Envoy has shown it
  uint64_t fields[4];     // C: of a block: how many headers, and how many bytes they are
  uint64_t bytes[4];      // C
  uint64_t start;         // C, constant: CLOCK_MONOTONIC, ns
  uint64_t body[2];       // C: bytes seen, by direction
  golang_config *config;  // Go, once: which it uses
  uint32_t slot;          // Go: 1 + the stream's index in Go's table of this thread; 0 before Go has met it
  uint32_t life;          // Go: which of the lives in that slot is this stream's
  uint32_t wants;         // Go: the phases it wants to be entered for
  _Atomic uint32_t attention; // set by Go on any thread, cleared by C: enter Go at the next event, wanted or not
  _Atomic uint32_t escaped;   // Go on any thread: a goroutine may wait for news of this stream: tell its end at once
  _Atomic uint32_t gone;      // C, read by Go on any thread: Envoy has destroyed the stream
  uint8_t replied;        // Go: with a response of our own; what else comes is let through
  uint8_t completed;      // C: Go has been entered for OnComplete
  uint8_t answered;       // C: the response's headers have come
  uint8_t depth;          // C: crossings under way on the stack: while there is one, the memory stays
  uint8_t freed;          // C: it is to be freed when there is none any more
} golang_instance;

// Kinds of events.
enum {
  EVENT_HEADERS,
  EVENT_DATA,
  EVENT_TRAILERS,
  EVENT_CALLED_BACK, // because of golang_call_back
  EVENT_COMPLETE, // all has been sent, or the stream was reset
  EVENT_GONE,     // Envoy has destroyed the stream
  EVENT_UNUSED,   // nothing uses the configuration any more
};

// One crossing from C into Go.
typedef struct {
  golang_instance *stream;
  golang_config *config; // of EVENT_UNUSED
  uint32_t kind;
  uint32_t dir;
  uint32_t end;
  uint32_t thread;    // number of this thread, from 1 on
  uint32_t status;    // Go's answer
  uint64_t buffer;    // Envoy's name of the chunk
  uint64_t length;    // and how long it is
  golang_instance *const *finished; // streams of this thread that Envoy has destroyed since the last crossing
  size_t finished_n;
} golang_event;

// table.c: the streams of this thread.
golang_instance *golang_find(const httpRequest *r);
golang_instance *golang_add(httpRequest *r);
void golang_remove(const httpRequest *r);

// release.c: gives requests back to Envoy.
void golang_end_request(httpRequest *r);
size_t golang_sweep(void);
extern _Atomic int64_t golang_live; // how many there are in Envoy now

// calls.c, for Go, which calls them while it is entered.
size_t golang_copy(golang_instance *s, int block, golang_string **fields);
int golang_change(golang_instance *s, int block, const uint8_t *changes, size_t n);
int golang_reply(golang_instance *s, int dir, int status, const char *body, int body_n, const uint8_t *fields,
                 int fields_n, long long grpc, const char *details, int details_n);
int golang_call_back(golang_instance *s);
bool golang_here(const golang_instance *s); // whether this thread is in an event of s
bool golang_in_event(void);                 // whether it is in an event of any stream
uint64_t golang_now(void);
bool golang_on_main_thread(void);

// Kinds of changes: each is a byte, the lengths of name and value in four bytes each, the name and the value.
enum { CHANGE_SET, CHANGE_ADD, CHANGE_REMOVE };
