// Envoy's part of the dynamic-module ABI, played in a test's own process. It keeps Envoy's rules of who owns what, and
// notes as a fault whatever a module may not do: a callback on a thread that is not the stream's, a use of what is
// destroyed, a configuration that ends with callouts on a thread that is not theirs.
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../abi.h"

typedef struct fake_thread fake_thread; // a thread of Envoy's, with the events that were posted to it
typedef struct fake_config fake_config;
typedef struct fake_stream fake_stream;

// Objects are poisoned and kept where Envoy frees them, so that a late use is seen for what it is.
fake_thread *fake_thread_new(void); // of the calling thread
fake_thread *fake_main_new(void);   // of the main thread, which loads the module
int fake_thread_run(fake_thread *t); // runs what was posted to it, and returns how many events that were
char *fake_faults(void);             // all since the last call, a line each, to be freed; NULL without one
char *fake_log(void);                // the module's log since the last call, to be freed

fake_config *fake_config_new(fake_thread *main, char *name, size_t name_n, char *value, size_t n); // NULL: refused
void fake_config_release(fake_config *c); // gives Envoy's own reference up; streams have theirs
bool fake_config_dead(fake_config *c);

fake_stream *fake_stream_new(fake_config *c, fake_thread *t, int tag);

// What Envoy does with a stream; all on its thread.
enum { FAKE_HEADERS, FAKE_DATA, FAKE_TRAILERS };
int fake_event(fake_stream *s, int kind, int dir, bool end, char *data, size_t n); // the hook's status
void fake_local_reply(fake_stream *s);
void fake_clear_route(fake_stream *s); // by another filter
void fake_watermark(fake_stream *s, bool high);
void fake_complete(fake_stream *s);
void fake_destroy(fake_stream *s);
void fake_scheduled(fake_stream *s); // an event that nobody has posted

// What happens, from within, in callbacks that send a response or reset the stream, and in those that continue.
void fake_stream_manners(fake_stream *s, bool ends_in_reply, bool answers_in_continue);

typedef struct {
  int reply, resets;
  unsigned continued[2];
  bool completed, destroyed;
  size_t out[2];
} fake_outcome;
fake_outcome fake_stream_outcome(fake_stream *s);
char *fake_header(fake_stream *s, int block, const char *name, size_t n); // its values, a line each, to be freed

// Callouts of a stream, or of a configuration where s is NULL; on the stream's thread or the main one.
enum { CALLOUT_HEADERS, CALLOUT_DATA, CALLOUT_TRAILERS, CALLOUT_COMPLETE, CALLOUT_RESET, CALLOUT_DONE };
int fake_callouts(fake_stream *s, fake_config *c, uint64_t *ids, int max); // those that run
int fake_callout_tag(fake_stream *s, fake_config *c, uint64_t id);         // of its request's path
void fake_callout(fake_stream *s, fake_config *c, uint64_t id, int kind, bool end, int tag);
