package network

/*
#include <stdlib.h>
#include "conn.h"

static T(metrics_result) define(int kind, void *config, char *name, size_t n, size_t *id) {
  mbuf b = {name, n};
  switch (kind) {
  case 0:
    return NF(config_define_counter)(config, b, id);
  case 1:
    return NF(config_define_gauge)(config, b, id);
  default:
    return NF(config_define_histogram)(config, b, id);
  }
}

static void record(int kind, moe_conn *c, size_t id, int64_t n) {
  switch (kind) {
  case 0:
    NF(increment_counter)(c->envoy, id, (uint64_t)n);
    break;
  case 1:
    if (n >= 0)
      NF(increment_gauge)(c->envoy, id, (uint64_t)n);
    else
      NF(decrement_gauge)(c->envoy, id, (uint64_t)-n);
    break;
  default:
    NF(record_histogram_value)(c->envoy, id, (uint64_t)n);
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
func (m *metrics) flush(c *C.moe_conn) {
	m.Flush(func(kind core.MetricKind, id uint64, n int64) {
		C.record(C.int(kind), c, C.size_t(id), C.int64_t(n))
	})
}
