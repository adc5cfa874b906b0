// Event hooks of access loggers. A configuration's number is all that Envoy keeps of ours, as the configuration and as
// each thread's logger: Go shares one logger between the threads.
#include <stdatomic.h>
#include <stdlib.h>

#include "_cgo_export.h"
#include "entry.h"

// The entry that this thread logs. Its number is never used again.
static _Thread_local struct {
  void *envoy;
  uint64_t number;
} now;

// Entries are numbered without a word between threads: a thread has as many numbers as it ever needs.
static _Atomic uint64_t threads;
static _Thread_local uint64_t last;

static uint64_t next(void) {
  if (last == 0)
    last = (atomic_fetch_add(&threads, 1) + 1) << 44;
  return ++last;
}

static void *entry(uint64_t number) { return number == now.number ? now.envoy : NULL; }

HOOK const void *ON(access_logger_config_new)(void *envoy, ebuf name, ebuf value) {
  return (const void *)(uintptr_t)moeAccessLoggerNew(envoy, (char *)name.ptr, name.length, (char *)value.ptr, value.length);
}

HOOK void ON(access_logger_config_destroy)(const void *config) { moeAccessLoggerDestroy((uint32_t)(uintptr_t)config); }

HOOK const void *ON(access_logger_new)(const void *config, void *logger) { return config; }

HOOK void ON(access_logger_log)(void *envoy, const void *ours, T(access_log_type) type) {
  typeof(now) before = now; // a logger that makes Envoy log something else comes back here
  now.envoy = envoy;
  now.number = next();
  moeAccessLoggerLog((uint32_t)(uintptr_t)ours, now.number, (uint32_t)type);
  now = before;
}

HOOK void ON(access_logger_flush)(const void *ours) { moeAccessLoggerFlush((uint32_t)(uintptr_t)ours); }

HOOK void ON(access_logger_destroy)(const void *ours) {}

#define LENGTH(table) (sizeof(table) / sizeof(table)[0])

// The tables are in the order of Go's constants, which a test compares.

void moe_entry_texts(uint64_t number, const uint8_t *fields, size_t n, ebuf *values) {
#define ADDRESS(name) GET(name),
  static bool (*const getters[])(void *, ebuf *) = {TEXTS(ADDRESS)};
  void *e = entry(number);
  for (size_t i = 0; i < n; i++)
    if (e == NULL || fields[i] >= LENGTH(getters) || !getters[fields[i]](e, &values[i]))
      values[i] = (ebuf){NULL, 0};
}

uint64_t moe_entry_number(uint64_t number, unsigned field) {
  void *e = entry(number);
  if (e == NULL)
    return 0;
  switch (field) {
  case 0:
    return GET(response_code)(e);
  case 1:
    return GET(attempt_count)(e);
  case 2:
    return GET(connection_id)(e);
  case 3:
    return GET(upstream_connection_id)(e);
  case 4:
    return GET(request_headers_bytes)(e);
  case 5:
    return GET(response_headers_bytes)(e);
  case 6:
    return GET(response_trailers_bytes)(e);
  case 7:
    return GET(worker_index)(e);
  }
  return 0;
}

bool moe_entry_truth(uint64_t number, unsigned field) {
  static bool (*const getters[])(void *) = {
      CB(access_logger_is_health_check), CB(access_logger_is_mtls), GET(downstream_peer_cert_presented),
      GET(downstream_peer_cert_validated), CB(access_logger_is_trace_sampled)};
  void *e = entry(number);
  return e != NULL && field < LENGTH(getters) && getters[field](e);
}

int64_t moe_entry_time(uint64_t number, unsigned field) {
  static int64_t (*const getters[])(void *) = {GET(downstream_peer_cert_v_start), GET(downstream_peer_cert_v_end),
                                               GET(upstream_peer_cert_v_start), GET(upstream_peer_cert_v_end)};
  void *e = entry(number);
  return e != NULL && field < LENGTH(getters) ? getters[field](e) : 0;
}

bool moe_entry_address(uint64_t number, unsigned field, ebuf *ip, uint32_t *port) {
  static bool (*const getters[])(void *, ebuf *, uint32_t *) = {ADDRESSES(ADDRESS)};
  void *e = entry(number);
  return e != NULL && field < LENGTH(getters) && getters[field](e, ip, port);
}

size_t moe_entry_list_size(uint64_t number, unsigned field) {
#define SIZE(name) GET(name##_size),
  static size_t (*const getters[])(void *) = {LISTS(SIZE)};
  void *e = entry(number);
  return e != NULL && field < LENGTH(getters) ? getters[field](e) : 0;
}

bool moe_entry_list(uint64_t number, unsigned field, ebuf *names) {
  static bool (*const getters[])(void *, ebuf *) = {LISTS(ADDRESS)};
  void *e = entry(number);
  return e != NULL && field < LENGTH(getters) && getters[field](e, names);
}

uint64_t moe_entry_flags(uint64_t number) {
  void *e = entry(number);
  return e != NULL ? GET(response_flags)(e) : 0;
}

bool moe_entry_times(uint64_t number, T(timing_info) *times, int64_t *pool_ready) {
  void *e = entry(number);
  if (e == NULL)
    return false;
  GET(timing_info)(e, times);
  *pool_ready = GET(upstream_pool_ready_duration_ns)(e);
  return true;
}

bool moe_entry_bytes(uint64_t number, T(bytes_info) *bytes) {
  void *e = entry(number);
  if (e == NULL)
    return false;
  GET(bytes_info)(e, bytes);
  return true;
}

const eheader *moe_entry_headers(uint64_t number, int block, size_t *n) {
  static _Thread_local eheader *headers; // never freed: Envoy's threads live as long as it does
  static _Thread_local size_t room;
  void *e = entry(number);
  *n = e != NULL ? GET(headers_size)(e, (T(http_header_type))block) : 0;
  if (*n > room) {
    eheader *more = realloc(headers, *n * sizeof *more);
    if (more == NULL)
      *n = 0;
    else
      headers = more, room = *n;
  }
  if (*n > 0 && !GET(headers)(e, (T(http_header_type))block, headers))
    *n = 0;
  return headers;
}

bool moe_entry_header(uint64_t number, int block, mbuf name, ebuf *value) {
  void *e = entry(number);
  size_t count;
  return e != NULL && GET(header_value)(e, (T(http_header_type))block, name, value, 0, &count);
}

moe_entry_value moe_entry_metadata(uint64_t number, mbuf space, mbuf path) {
  moe_entry_value v = {.kind = VALUE_NONE};
  void *e = entry(number);
  bool truth;
  if (e == NULL)
    return v;
  if (GET(dynamic_metadata)(e, space, path, &v.text)) {
    v.kind = VALUE_TEXT;
  } else if (GET(dynamic_metadata_number) != NULL && GET(dynamic_metadata_number)(e, space, path, &v.number)) {
    v.kind = VALUE_NUMBER;
  } else if (GET(dynamic_metadata_bool) != NULL && GET(dynamic_metadata_bool)(e, space, path, &truth)) {
    v.kind = VALUE_TRUTH;
    v.number = truth;
  }
  return v;
}
