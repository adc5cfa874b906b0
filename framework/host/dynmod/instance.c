// Memory of instances, and of the texts that are copied for them: a thread uses again, while it is warm, what its last
// streams have left.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "moe.h"

// With the address sanitizer, what waits to be used again counts as freed.
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum { TEXT_SIZE = 1024, MAX_SPARE = 32 };

typedef struct moe_text {
  struct moe_text *next; // an older one, full
  size_t used, size;
  char bytes[];
} moe_text_piece;

// A moe_instance in a thread's list of spare ones has a piece of TEXT_SIZE, or none.

static void free_texts(moe_text_piece *t) {
  while (t != NULL) {
    moe_text_piece *next = t->next;
    free(t);
    t = next;
  }
}

static moe_instance *take(moe_thread *t) {
  moe_instance *s = t->spare;
  ASAN_UNPOISON_MEMORY_REGION(s, sizeof *s);
  if (s->text != NULL)
    ASAN_UNPOISON_MEMORY_REGION(s->text, sizeof *s->text + TEXT_SIZE);
  t->spare = s->next;
  t->spares--;
  return s;
}

// A thread that ends leaves nothing behind.
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t ends;
static bool has_key;

static void end(void *ending) {
  moe_thread *t = ending;
  while (t->spare != NULL) {
    moe_instance *s = take(t);
    free_texts(s->text);
    free(s);
  }
}

static void make_key(void) { has_key = pthread_key_create(&ends, end) == 0; }

moe_instance *moe_instance_new(moe_thread *thread) {
  if (thread->spare == NULL) {
    moe_instance *s = calloc(1, sizeof *s);
    if (s == NULL)
      abort();
    return s;
  }
  moe_instance *s = take(thread);
  moe_text_piece *t = s->text;
  memset(s, 0, sizeof *s);
  s->text = t;
  return s;
}

void moe_instance_free(moe_instance *s) {
  moe_thread *thread = s->thread;
  moe_text_piece *t = s->text;
  if (t != NULL && t->size == TEXT_SIZE) { // the newest one, which is the only one of most streams
    free_texts(t->next);
    t->next = NULL;
    t->used = 0;
  } else {
    free_texts(t);
    t = NULL;
  }
  if (thread->spares == 0) {
    pthread_once(&once, make_key);
    if (has_key)
      pthread_setspecific(ends, thread);
  }
  if (thread->spares == MAX_SPARE || !has_key) {
    free_texts(t);
    free(s);
    return;
  }
  s->text = t;
  s->next = thread->spare;
  thread->spare = s;
  thread->spares++;
  if (t != NULL)
    ASAN_POISON_MEMORY_REGION(t, sizeof *t + TEXT_SIZE);
  ASAN_POISON_MEMORY_REGION(s, sizeof *s);
}

char *moe_text(moe_instance *s, size_t n) {
  moe_text_piece *t = s->text;
  if (t == NULL || t->size - t->used < n) {
    size_t size = n > TEXT_SIZE ? n : TEXT_SIZE;
    moe_text_piece *new = malloc(sizeof *new + size);
    if (new == NULL)
      abort();
    *new = (moe_text_piece){.next = t, .size = size};
    s->text = t = new;
  }
  char *p = t->bytes + t->used;
  t->used += n;
  return p;
}

char *moe_keep(moe_instance *s, const char *p, size_t n) {
  char *copy = moe_text(s, n);
  if (n > 0)
    memcpy(copy, p, n);
  return copy;
}
