// The C ABI of Envoy's contrib Golang filter for HTTP: what both sides read in each other's memory, and the functions
// that a library built with upstream's SDK exports. Layouts are upstream's (contrib/golang/common/go/api/api.h);
// e2e/bridge compiles this file against that one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "../framework/host/golang/limits.h"

namespace bridge {

// GoRequest is upstream's httpRequest.
struct GoRequest {
  const char *plugin_name;
  uint64_t plugin_name_length;
  uint64_t config_id;
  uint32_t worker_id;
  std::atomic<int> logging; // Go may call although no phase is in its hands
};

// GoState is upstream's processState; Go reads state to learn its phase.
struct GoState {
  GoRequest *request;
  int encoding;
  int state;
};

// GoConfig is upstream's httpConfig.
struct GoConfig {
  uint64_t plugin_name;
  uint64_t plugin_name_length;
  uint64_t config;
  uint64_t config_length;
  int route;
  uint32_t concurrency;
};

// GoString is cgo's string.
struct GoString {
  const char *data;
  ptrdiff_t length;
};

static_assert(sizeof(GoRequest) == 32 && offsetof(GoRequest, worker_id) == 24);
static_assert(sizeof(GoState) == 16 && offsetof(GoState, state) == 12);
static_assert(sizeof(GoConfig) == 40 && offsetof(GoConfig, concurrency) == 36);

// Result is upstream's CAPIStatus, the answer to a call from Go. Upstream's SDK panics on Gone to BadPhase and on
// BadScene, returns an error for some of the others and ignores the rest.
enum class Result : int {
  Ok = 0,
  Gone = -1,
  Destroyed = -2,
  NotInGo = -3,
  BadPhase = -4,
  NotFound = -5,
  Yield = -6, // the answer comes later, announced by request_sema_dec
  Failed = -7,
  CannotSerialize = -8,
  BadScene = -9,
  BadAddress = -10,
};

// Verdict is what a phase answers, upstream's StatusType.
enum class Verdict : uint64_t {
  Running = 0,
  LocalReply = 1,
  Continue = 2,
  StopAndBuffer = 3,
  StopAndBufferWatermark = 4,
  StopNoBuffer = 5,
};

// Exports are the functions of a library.
struct Exports {
  uint64_t (*new_config)(GoConfig *);
  void (*destroy_config)(uint64_t id, int64_t delay);
  uint64_t (*merge_config)(uint64_t name, uint64_t length, uint64_t parent, uint64_t child);
  uint64_t (*on_header)(GoState *, uint64_t end, uint64_t count, uint64_t bytes);
  uint64_t (*on_data)(GoState *, uint64_t end, uint64_t buffer, uint64_t length);
  void (*on_log)(GoRequest *, uint64_t type, GoState *, GoState *, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                 uint64_t, uint64_t, uint64_t);
  void (*on_complete)(GoRequest *);
  void (*on_destroy)(GoRequest *, uint64_t reason);
  void (*request_sema_dec)(GoRequest *);
  void (*clean_up)();
};

} // namespace bridge

// GOAPI marks a function that libraries call.
#define GOAPI extern "C" __attribute__((visibility("default")))
