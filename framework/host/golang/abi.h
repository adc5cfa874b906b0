// The types of Envoy's C ABI for Golang HTTP filters, as far as this package needs them. abi_test.go holds them against
// Envoy's own header. What Envoy calls is in gate.c and config.go; what it can be asked for, in the generated host.c.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef MOE_ABI_TYPES_GIVEN

typedef struct {
  const char *data;
  uint64_t len;
} Cstring;

// A stream. It is Envoy's, which frees it in envoyGoFilterHttpFinalize.
typedef struct httpRequest {
  Cstring plugin_name;
  uint64_t configId;
  uint32_t worker_id;
  _Atomic(int) is_golang_processing_log;
} httpRequest;

// One direction of a stream. It is gone when envoyGoFilterOnHttpDestroy has returned.
typedef struct {
  struct httpRequest *req;
  int is_encoding;
  int state;
} processState;

typedef struct {
  uint64_t plugin_name_ptr;
  uint64_t plugin_name_len;
  uint64_t config_ptr;
  uint64_t config_len;
  int is_route_config;
  uint32_t concurrency;
} httpConfig;

typedef enum {
  Set = 0,
  Append = 1,
  Prepend = 2,
} bufferAction;

typedef enum {
  HeaderSet = 0,
  HeaderAdd = 1,
} headerAction;

typedef enum {
  CAPIOK = 0,
  CAPIFilterIsGone = -1,
  CAPIFilterIsDestroy = -2,
  CAPINotInGo = -3,
  CAPIInvalidPhase = -4,
  CAPIValueNotFound = -5,
  CAPIYield = -6,
  CAPIInternalFailure = -7,
  CAPISerializationFailure = -8,
  CAPIInvalidScene = -9,
  CAPIInvalidIPAddress = -10,
} CAPIStatus;

#endif // MOE_ABI_TYPES_GIVEN

// Values of processState.state while Go has the event.
enum { STATE_HEADERS = 1, STATE_DATA = 4, STATE_TRAILERS = 6 };

// The type of access log that ends a stream.
enum { LOG_DOWNSTREAM_END = 6 };

// A string as Go lays it out, which is how headers come and go.
typedef struct {
  const char *p;
  ptrdiff_t n;
} golang_string;
