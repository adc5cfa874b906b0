// What the C side of this package and its Go side share. Both run in Envoy's threads; no Go pointer crosses over, and
// Go keeps none of C's or Envoy's beyond the call, but for moe_instance, which lives until Go says that it is done.
#pragma once

#include <stdatomic.h>

#include "abi.h"

// What the chain is entered for: phase.Messages, see constants.go.
enum {
  WANT_REQUEST_HEADERS = 1,
  WANT_REQUEST_BODY = 2,
  WANT_REQUEST_TRAILERS = 4,
  WANT_RESPONSE_HEADERS = 8,
  WANT_RESPONSE_BODY = 16,
  WANT_RESPONSE_TRAILERS = 32,
  WANT_COMPLETE = 64,
  WANT_RESPONSE_ANY = WANT_RESPONSE_HEADERS | WANT_RESPONSE_BODY | WANT_RESPONSE_TRAILERS,
};

// Changes of a block of headers that are the same for all streams of a chain. They last as long as Go's chain, and Go has
// none of them for a stream without that.
typedef struct {
  mbuf name, value; // without a value it is removed
  bool add;         // beside the values that there are
} moe_constant;

typedef struct {
  size_t n;
  moe_constant all[];
} moe_constants;

// One filter configuration in Envoy. Envoy destroys it on the thread that drops the last reference to it: where it came by
// ECDS that may be a worker with a last stream, or any thread that commits to its scheduler.
typedef struct {
  void *envoy;           // C's, constant
  void *scheduler;       // C's, constant: to the main thread; used by those who are counted in users
  uint32_t id;           // Go's, written once, before any stream
  uint32_t wants;        // Go's, written once: of the chain without a route's changes
  const moe_constants *constants[2]; // Go's, written once: likewise
  _Atomic uint32_t users; // both sides': Envoy is one, and so is who commits; the last one frees it
} moe_config;

enum { MAX_FINISHED = 64 };

// One filter of one stream in Envoy. Each field says who writes it: C or Go on the stream's thread, unless it is said to
// be for others.
typedef struct moe_instance {
  void *envoy;        // C: NULL once Envoy has destroyed the filter
  moe_config *config; // C, constant
  void *scheduler;    // Go, under its lock: to the stream's thread, once that was asked for; C deletes it
  uint64_t start;     // C, constant: CLOCK_MONOTONIC, ns
  uint64_t bytes[2];  // C; Go adds those of replies: bytes of body seen, by direction
  size_t foreign[2];  // C: bytes of other filters before ours in Envoy's buffer, while it holds some for us
  uint32_t slot;      // Go: 1 + the stream's index in Go's table of this thread; 0 before Go has met it
  uint32_t life;      // Go: which of the lives in that slot is this stream's
  uint32_t wants;     // Go: the phases it wants to be entered for
  const moe_constants *constants[2]; // Go: what to do to the headers of a direction for which it is not entered, or NULL
  _Atomic uint32_t attention; // set by Go on any thread, cleared by C: enter Go at the next hook, wanted or not
  _Atomic uint32_t gone;      // C, read by Go on any thread: Envoy has destroyed the filter
  uint8_t busy[2];    // Go: the chain waits for a plugin in this direction: hold events back
  uint8_t ended[2];   // C: Envoy has shown end_stream
  uint8_t held[2];    // C; Go clears what it has taken: HELD_…, what waits in Envoy until the chain goes on
  uint8_t escaped;    // Go, under its lock: a goroutine may wait for news of this stream: tell its end at once
  uint8_t replied;    // C: we sent a response of our own; what else comes is dropped
  uint8_t sending;    // C: it is on its way: Envoy 1.38 has it pass our own response hooks
  uint8_t completed;  // Go has let go of the stream, and must not be entered for it again; C too where Go never met it
  uint8_t depth;      // C: crossings under way on the stack
  uint8_t called;     // C: it has started callouts, of which Envoy may tell when it has destroyed the filter
  uint8_t answered;   // C: the response's headers have come: Envoy looks for no other route, see moe_cluster
  char *details;      // C: of a local reply of another filter's or of Envoy's, in text; only where Envoy does not tell
  size_t details_len; // C
  char *cluster;      // C: its name as the response came, in text; NULL without one, and where nobody may ask for it
  size_t cluster_len; // C
  struct moe_text *text; // C: copies that last as long as the stream
  struct moe_thread *thread; // C, constant: on which Envoy has made it, and calls all hooks but those of its scheduler
  struct moe_instance *next; // C: in a list of streams to be freed later, or to be used again
} moe_instance;

// What one of Envoy's threads keeps from one hook to the next. Only that thread uses it. It lasts as long as the thread,
// and so longer than the streams that Envoy makes there.
typedef struct moe_thread {
  uint32_t number; // from 1 on; 0: it has not entered Go
  unsigned spares;
  moe_instance *spare;     // memory to be used again, see instance.c
  moe_instance *lingering; // streams that are over, but of whose callouts Envoy may tell while it destroys their filter
  size_t finished_n;
  moe_instance *finished[MAX_FINISHED]; // that Envoy has destroyed, and Go does not know of
} moe_thread;

extern _Thread_local moe_thread moe_this_thread; // to look it up costs more than to follow moe_instance.thread

enum { HELD_DATA = 1, HELD_TRAILERS = 2 };

enum { STACK_HEADERS = 64 }; // of a block, for which the stack has room

// Reports whether Go may be entered for s: Envoy has not destroyed the filter, and Go has not let go of it. Envoy calls
// hooks of callouts, at the least, between the completion of a stream and the destruction of its filter; by then the
// stream's slot in Go may be another's.
static inline bool moe_alive(const moe_instance *s) { return !s->gone && !s->completed; }

// Kinds of events.
enum {
  EVENT_HEADERS,
  EVENT_DATA,
  EVENT_TRAILERS,
  EVENT_SCHEDULED,
  EVENT_WATERMARK, // end: above the high one
  EVENT_COMPLETE,
  EVENT_GONE,      // Envoy destroyed an escaped stream
  EVENT_DRAIN,     // nothing but `finished`
  EVENT_CONFIG_SCHEDULED, // on the main thread, for config
  EVENT_CALLOUT_STARTED,  // callout: Go's token; status: http_callout_init_result
  EVENT_CALLOUT_HEADERS,
  EVENT_CALLOUT_DATA,
  EVENT_CALLOUT_TRAILERS,
  EVENT_CALLOUT_COMPLETE,
  EVENT_CALLOUT_RESET,
};

// One crossing from C into Go.
typedef struct {
  moe_instance *stream;
  uint32_t kind;
  uint32_t dir;
  uint32_t end;
  uint32_t thread;      // number of this thread, from 1 on
  uint32_t route;       // id of the most specific route configuration, 0 without one
  uint32_t kept;        // the headers' strings are C's copies and last as long as the stream
  uint32_t callout;     // Go's token, in EVENT_CALLOUT_STARTED
  uint64_t callout_id;  // Envoy's, in EVENT_CALLOUT_…
  moe_config *config;   // whose event this is where there is no stream
  const eheader *headers;
  size_t headers_n;
  const ebuf *data;
  size_t data_n;
  moe_instance *const *finished; // streams of this thread that Envoy has destroyed since the last crossing
  size_t finished_n;

  // Go's answer: verbs in out, see apply.c, and what the hook returns.
  uint8_t *out;
  size_t out_len, out_cap;
  uint8_t *out_heap; // out, if it had to grow
  uint32_t status;
  uint32_t metrics;  // there are verbs of metrics
} moe_event;

enum { STATUS_CONTINUE = 0, STATUS_STOP = 1, STATUS_WATERMARK = 2, STATUS_NO_BUFFER = 3 };

// Verbs that Go writes; each is a moe_verb, followed by n1 and n2 bytes.
enum {
  VERB_SET_HEADER = 1, // a: block; n1 name, n2 value
  VERB_ADD_HEADER,
  VERB_REPLACE_CHUNK,  // a: direction; n1 bytes instead of those received
  VERB_APPEND,         // a: direction; n1 bytes behind what Envoy has buffered
  VERB_RESUME,         // a: direction; n1 bytes, then continue
  VERB_DETAILS,        // n1: response code details of the VERB_RESPONSE that follows
  VERB_RESPONSE,       // b: status, a: number of headers; n1: their encoding, n2: body
  VERB_RESPONSE_HEADERS, // a: number of headers, b: end_stream; n1: their encoding
  VERB_RESPONSE_DATA,    // b: end_stream; n1 bytes
  VERB_RESET,          // n1: details
  VERB_COUNTER,        // a: number of tags, id and value in n1's first 16 bytes, then the tags
  VERB_GAUGE,
  VERB_HISTOGRAM,
  VERB_CALLOUT_START,  // a: number of headers, b: end_stream; n1: token, timeout in ms, cluster, headers; n2: body
  VERB_CALLOUT_DATA,   // b: end_stream; n1: Envoy's id, then bytes
  VERB_CALLOUT_RESET,  // n1: Envoy's id
};

typedef struct {
  uint8_t verb;
  uint8_t a;
  uint16_t b;
  uint32_t n1;
  uint32_t n2;
} moe_verb;

// Memory of instances and of what is copied for them, see instance.c. Only the stream's thread uses them.
moe_instance *moe_instance_new(moe_thread *t); // zeroed
void moe_instance_free(moe_instance *s);
char *moe_text(moe_instance *s, size_t n); // room for n bytes, which lasts as long as the stream
char *moe_keep(moe_instance *s, const char *p, size_t n); // a copy of p in it

void moe_cross(moe_event *e);  // enters Go and does what it answers; the stream may be freed when it returns
void moe_apply(moe_event *e);
mheader *moe_read_headers(const uint8_t *p, size_t n);
void moe_set_constants(moe_instance *s, int dir);
void moe_answered(moe_instance *s); // to be called before Envoy takes the response's headers
void moe_apply_callout(moe_event *e, const moe_verb *v, const uint8_t *p);

extern _Atomic uint32_t moe_route_configs; // per-route configurations alive in this process

// For Go, which calls them while it is entered.
void moe_grow(moe_event *e, size_t need);
// An attribute as Envoy offers it to modules.
typedef struct {
  enum { VALUE_NONE, VALUE_TEXT, VALUE_NUMBER, VALUE_TRUTH } kind;
  ebuf text;
  uint64_t number;
} moe_value;

bool moe_since_139(void); // Envoy tells modules all attributes
uint64_t moe_now(void); // CLOCK_MONOTONIC, ns
moe_value moe_attribute(moe_instance *s, int id, int kind); // VALUE_NONE: of any kind
bool moe_cluster(moe_instance *s, ebuf *name);
bool moe_route_open(moe_instance *s); // Envoy still chooses a route where it has none
bool moe_has_secrets(void);
bool moe_on_envoy_thread(void);
bool moe_on_thread(uint32_t number);
// moe_set_filter_state sets a string, or an object where Envoy knows a type for the key; false if Envoy refuses.
bool moe_set_filter_state(moe_instance *s, mbuf key, mbuf value);
void *moe_scheduler(moe_instance *s);
void moe_commit(moe_instance *s);
void moe_config_commit(moe_config *c);
void moe_config_use(moe_config *c); // by who keeps it from being freed already
void moe_config_release(moe_config *c);
void moe_config_reset_callout(moe_config *c, uint64_t id);
bool moe_on_main_thread(void);
void moe_drain_ours(moe_instance *s, int dir);
bool moe_foreign(moe_instance *s, int dir);
bool moe_no_buffer(moe_instance *s, int dir);
