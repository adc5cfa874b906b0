// Threads, what is posted to them, and what the module logs or does wrong.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

pthread_mutex_t fake_mu = PTHREAD_MUTEX_INITIALIZER;

static text faults, lines;

void *kept(size_t n) {
  static struct block {
    struct block *next;
    max_align_t memory[];
  } *all;
  struct block *b = calloc(1, sizeof *b + n);
  pthread_mutex_lock(&fake_mu);
  b->next = all;
  all = b;
  pthread_mutex_unlock(&fake_mu);
  return b->memory;
}

text copy(const char *p, size_t n) {
  text t = {malloc(n + 1), n};
  memcpy(t.p, p, n);
  t.p[n] = 0;
  return t;
}

void append(text *t, const char *p, size_t n) {
  t->p = realloc(t->p, t->n + n + 1);
  memcpy(t->p + t->n, p, n);
  t->n += n;
  t->p[t->n] = 0;
}

static void line(text *to, const char *p, size_t n) {
  pthread_mutex_lock(&fake_mu);
  append(to, p, n);
  append(to, "\n", 1);
  pthread_mutex_unlock(&fake_mu);
}

static char *take(text *from) {
  pthread_mutex_lock(&fake_mu);
  char *p = from->p;
  *from = (text){NULL, 0};
  pthread_mutex_unlock(&fake_mu);
  return p;
}

char *fake_faults(void) { return take(&faults); }
char *fake_log(void) { return take(&lines); }

void fault(const char *format, ...) {
  char s[256];
  va_list args;
  va_start(args, format);
  vsnprintf(s, sizeof s, format, args);
  va_end(args);
  line(&faults, s, strlen(s));
}

void CB(log)(T(log_level) level, mbuf text) { line(&lines, text.ptr, text.length); }
bool CB(log_enabled)(T(log_level) level) { return level >= T(log_level_Warn); }

fake_thread *fake_thread_new(void) {
  fake_thread *t = kept(sizeof *t);
  t->self = pthread_self();
  t->last = &t->first;
  return t;
}

fake_thread *fake_main_new(void) {
  const char *version = ON(program_init)();
  if (version == NULL || strcmp(version, ENVOY_DYNAMIC_MODULES_ABI_VERSION) != 0)
    fault("program_init returns %s", version);
  return fake_thread_new();
}

bool on(fake_thread *t) { return pthread_equal(t->self, pthread_self()); }

void post(fake_thread *t, fake_stream *s, fake_config *c, uint64_t id) {
  event *e = malloc(sizeof *e);
  *e = (event){s, c, id, NULL};
  pthread_mutex_lock(&fake_mu);
  *t->last = e;
  t->last = &e->next;
  pthread_mutex_unlock(&fake_mu);
}

int fake_thread_run(fake_thread *t) {
  pthread_mutex_lock(&fake_mu);
  event *e = t->first;
  t->first = NULL;
  t->last = &t->first;
  pthread_mutex_unlock(&fake_mu);
  int n = 0;
  for (event *next; e != NULL; e = next, n++) {
    next = e->next;
    if (e->stream != NULL) {
      if (e->stream->module != NULL)
        ON(http_filter_scheduled)(e->stream, e->stream->module, e->id);
    } else if (config_acquire(e->config)) {
      ON(http_filter_config_scheduled)(e->config, e->config->module, e->id);
      fake_config_release(e->config);
    }
    free(e);
  }
  return n;
}

// Schedulers. They hold no reference: what they wake may be gone by then.

typedef struct {
  fake_stream *stream;
  fake_config *config;
  bool deleted;
} scheduler;

static void *scheduler_new(fake_stream *s, fake_config *c) {
  scheduler *x = kept(sizeof *x);
  x->stream = s;
  x->config = c;
  return x;
}

static void commit(scheduler *x, uint64_t id) {
  if (__atomic_load_n(&x->deleted, __ATOMIC_ACQUIRE)) {
    fault("a deleted scheduler is used");
    return;
  }
  post(x->stream != NULL ? x->stream->thread : x->config->main, x->stream, x->config, id);
}

static void delete(scheduler *x) {
  if (__atomic_exchange_n(&x->deleted, true, __ATOMIC_ACQ_REL))
    fault("a scheduler is deleted twice");
}

void *CB(http_filter_scheduler_new)(void *s) {
  alive(s, "http_filter_scheduler_new");
  return scheduler_new(s, NULL);
}
void CB(http_filter_scheduler_commit)(void *x, uint64_t id) { commit(x, id); }
void CB(http_filter_scheduler_delete)(void *x) { delete(x); }
void *CB(http_filter_config_scheduler_new)(void *c) { return scheduler_new(NULL, c); }
void CB(http_filter_config_scheduler_commit)(void *x, uint64_t id) { commit(x, id); }
void CB(http_filter_config_scheduler_delete)(void *x) { delete(x); }
