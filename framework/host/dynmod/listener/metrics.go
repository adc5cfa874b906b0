package listener

/*
#include <stdlib.h>
#include "socket.h"

static T(metrics_result) define(int kind, void *config, char *name, size_t n, size_t *id) {
  mbuf b = {name, n};
  switch (kind) {
  case 0:
    return LF(config_define_counter)(config, b, id);
  case 1:
    return LF(config_define_gauge)(config, b, id);
  default:
    return LF(config_define_histogram)(config, b, id);
  }
}

static void record(int kind, moe_socket *s, size_t id, int64_t n) {
  switch (kind) {
  case 0:
    LF(increment_counter)(s->envoy, id, (uint64_t)n);
    break;
  case 1:
    if (n >= 0)
      LF(increment_gauge)(s->envoy, id, (uint64_t)n);
    else
      LF(decrement_gauge)(s->envoy, id, (uint64_t)-n);
    break;
  default:
    LF(record_histogram_value)(s->envoy, id, (uint64_t)n);
  }
}
*/
import "C"

import (
	"unsafe"

	"mosn.io/moe/framework/host/dynmod/internal/series"
	"mosn.io/moe/framework/internal/core"
)

// metrics are those of one configuration.
type metrics struct{ series.Set }

func (m *metrics) define(envoy unsafe.Pointer, all []*core.Metric) {
	m.Define(all, func(kind core.MetricKind, name string) (uint64, int) {
		p := C.CString(name)
		defer C.free(unsafe.Pointer(p))
		var id C.size_t
		result := C.define(C.int(kind), envoy, p, C.size_t(len(name)), &id)
		return uint64(id), int(result)
	})
}

// flush is called on the thread of a connection, over which Envoy counts.
func (m *metrics) flush(s *C.moe_socket) {
	m.Flush(func(kind core.MetricKind, id uint64, n int64) {
		C.record(C.int(kind), s, C.size_t(id), C.int64_t(n))
	})
}
