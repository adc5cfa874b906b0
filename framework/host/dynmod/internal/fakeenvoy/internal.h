// What the files of the fake Envoy share.
#pragma once

#include "fake.h"

typedef struct {
  char *p;
  size_t n;
} text;

typedef struct field {
  text key, value;
  struct field *next;
} field;

typedef struct callout {
  uint64_t id;
  int tag;
  struct callout *next;
} callout;

typedef struct event {
  fake_stream *stream;
  fake_config *config;
  uint64_t id;
  struct event *next;
} event;

struct fake_thread {
  pthread_t self;
  event *first, **last;
};

struct fake_config {
  fake_thread *main;
  const void *module;
  int refs;  // Envoy's own, and one for each stream
  bool dead; // its destructor has returned
  callout *callouts;
  uint64_t next_callout;
};

struct fake_stream {
  fake_config *config;
  fake_thread *thread;
  const void *module;
  int tag;
  char name[32]; // what every attribute of it says
  field *blocks[4];
  text received[2], buffered[2];
  callout *callouts;
  uint64_t next_callout;
  bool routed;      // its route, and with it its cluster, has been looked for
  bool route_fixed; // and is not looked for any more: the response's headers have gone
  bool has_code;    // of a response
  bool ends_in_reply, answers_in_continue, answered;
  void *span;     // Envoy's own, once it was asked for
  int open_spans; // that the module has not finished
  bool dead;      // its destruction has returned
  fake_outcome outcome;
};

extern pthread_mutex_t fake_mu; // guards references, queues and texts

void fault(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool on(fake_thread *t);
bool alive(fake_stream *s, const char *callback);        // on its thread, and not destroyed
void span_complete(fake_stream *s);
bool config_alive(fake_config *c, const char *callback); // on the main thread, and not destroyed
void post(fake_thread *t, fake_stream *s, fake_config *c, uint64_t id);
bool config_acquire(fake_config *c);
void *kept(size_t n); // zeroed memory that is never freed; a search for leaks does not count it
text copy(const char *p, size_t n);
void append(text *t, const char *p, size_t n);
