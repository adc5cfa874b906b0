// Metrics of the kinds of extensions for which Envoy knows no tags. All kinds have the same callbacks under names of their
// own: API(name), a macro of the kind's, makes them.
#pragma once

#include "abi.h"

// METRIC_CALLBACKS declares the callbacks of a kind.
#define METRIC_CALLBACKS(API)                                                                                         \
  CALLBACK T(metrics_result) API(config_define_counter)(void *, mbuf, size_t *);                                      \
  CALLBACK T(metrics_result) API(config_define_gauge)(void *, mbuf, size_t *);                                        \
  CALLBACK T(metrics_result) API(config_define_histogram)(void *, mbuf, size_t *);                                    \
  CALLBACK T(metrics_result) API(increment_counter)(void *, size_t, uint64_t);                                        \
  CALLBACK T(metrics_result) API(increment_gauge)(void *, size_t, uint64_t);                                          \
  CALLBACK T(metrics_result) API(decrement_gauge)(void *, size_t, uint64_t);                                          \
  CALLBACK T(metrics_result) API(record_histogram_value)(void *, size_t, uint64_t)

// METRIC_FUNCTIONS defines what Go declares and records metrics by: define, for a configuration of Envoy's, and record, for
// the object over which Envoy counts. Kinds are numbered as core.MetricKind is.
#define METRIC_FUNCTIONS(API)                                                                                         \
  static T(metrics_result) define(int kind, void *config, char *name, size_t n, size_t *id) {                         \
    mbuf b = {name, n};                                                                                               \
    switch (kind) {                                                                                                   \
    case 0:                                                                                                           \
      return API(config_define_counter)(config, b, id);                                                               \
    case 1:                                                                                                           \
      return API(config_define_gauge)(config, b, id);                                                                 \
    default:                                                                                                          \
      return API(config_define_histogram)(config, b, id);                                                             \
    }                                                                                                                 \
  }                                                                                                                   \
  static void record(int kind, void *over, size_t id, int64_t n) {                                                    \
    switch (kind) {                                                                                                   \
    case 0:                                                                                                           \
      API(increment_counter)(over, id, (uint64_t)n);                                                                  \
      break;                                                                                                          \
    case 1:                                                                                                           \
      if (n >= 0)                                                                                                     \
        API(increment_gauge)(over, id, (uint64_t)n);                                                                  \
      else                                                                                                            \
        API(decrement_gauge)(over, id, -(uint64_t)n);                                                                 \
      break;                                                                                                          \
    default:                                                                                                          \
      API(record_histogram_value)(over, id, (uint64_t)n);                                                             \
    }                                                                                                                 \
  }
