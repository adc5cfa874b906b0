// What the C side of this package and its Go side share. The C side stands between Envoy and Go: it answers what no
// plugin wants to see, and carries out many changes in one crossing. No Go pointer is kept by C, and Go keeps none of
// Envoy's beyond the call, but for golang_stream, which lives until Go says that it is done.
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

// What Envoy is told.
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
  uint64_t id;
  _Atomic int64_t uses;
} golang_config;

// One stream.
typedef struct {
  httpRequest *request;
  processState *state[2]; // by direction, once Envoy has shown it
  uint64_t fields[4];     // of a block: how many headers, and how many bytes they are
  uint64_t bytes[4];
  uint64_t start;         // CLOCK_MONOTONIC, ns
  uint64_t body[2];       // bytes seen, by direction
  golang_config *config;     // which it uses
  uint32_t slot;          // 1 + the stream's index in Go's table of this thread; 0 before Go has met it
  uint32_t wants;         // as Go said last
  _Atomic uint32_t attention; // Go has work for this thread: enter it at the next event, wanted or not
  _Atomic uint32_t escaped;   // a goroutine may wait for news of this stream: tell its end at once
  _Atomic uint32_t gone;      // Envoy has destroyed it
  uint8_t replied;        // with a response of our own; what else comes is let through
  uint8_t completed;      // Go has run OnComplete
} golang_stream;

// Kinds of events.
enum {
  EVENT_HEADERS,
  EVENT_DATA,
  EVENT_TRAILERS,
  EVENT_RUNG,     // the doorbell has been answered
  EVENT_COMPLETE, // all has been sent, or the stream was reset
  EVENT_GONE,     // Envoy has destroyed the stream
  EVENT_UNUSED,   // nothing uses the configuration any more
};

// One crossing from C into Go.
typedef struct {
  golang_stream *stream;
  golang_config *config; // of EVENT_UNUSED
  uint32_t kind;
  uint32_t dir;
  uint32_t end;
  uint32_t thread;    // index of this thread, counted from 0
  uint32_t status;    // Go's answer
  uint64_t buffer;    // Envoy's name of the chunk
  uint64_t length;    // and how long it is
  golang_stream *const *finished; // streams of this thread that Envoy has destroyed since the last crossing
  size_t finished_n;
} golang_event;

// table.c: the streams of this thread.
golang_stream *golang_find(const httpRequest *r);
golang_stream *golang_add(httpRequest *r);
void golang_remove(const httpRequest *r);

// release.c: gives requests back to Envoy.
void golang_bury(httpRequest *r);
size_t golang_sweep(void);
extern _Atomic int64_t golang_streams; // how many there are in Envoy now

// calls.c, for Go, which calls them while it is entered.
size_t golang_copy(golang_stream *s, int block, golang_string **fields);
int golang_change(golang_stream *s, int block, const uint8_t *changes, size_t n);
int golang_reply(golang_stream *s, int dir, int status, const char *body, int body_n, const uint8_t *fields,
                 int fields_n, long long grpc, const char *details, int details_n);
int golang_ring(golang_stream *s);
bool golang_here(const golang_stream *s); // whether this thread is in an event of s
uint64_t golang_now(void);
bool golang_on_main_thread(void);

// Kinds of changes: each is a byte, the lengths of name and value in four bytes each, the name and the value.
enum { CHANGE_SET, CHANGE_ADD, CHANGE_REMOVE };
