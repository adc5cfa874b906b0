package bootstrap

/*
#include <stdlib.h>
#include "extension.h"

static T(metrics_result) define(int kind, moe_extension *x, char *name, size_t n, size_t *id) {
  mbuf b = {name, n};
  switch (kind) {
  case 0:
    return BE(config_define_counter)(x->config, b, NULL, 0, id);
  case 1:
    return BE(config_define_gauge)(x->config, b, NULL, 0, id);
  default:
    return BE(config_define_histogram)(x->config, b, NULL, 0, id);
  }
}

static void record(int kind, moe_extension *x, size_t id, int64_t n) {
  switch (kind) {
  case 0:
    BE(config_increment_counter)(x->config, id, NULL, 0, (uint64_t)n);
    break;
  case 1:
    if (n >= 0)
      BE(config_increment_gauge)(x->config, id, NULL, 0, (uint64_t)n);
    else
      BE(config_decrement_gauge)(x->config, id, NULL, 0, (uint64_t)-n);
    break;
  default:
    BE(config_record_histogram_value)(x->config, id, NULL, 0, (uint64_t)n);
  }
}
*/
import "C"

import (
	"unsafe"

	"mosn.io/moe/framework/host/dynmod/internal/series"
	"mosn.io/moe/framework/internal/core"
)

// metrics are those of one extension. Envoy would take tags here; a series has a name of its own, as with other kinds.
type metrics struct{ series.Set }

func (m *metrics) define(x *C.moe_extension, all []*core.Metric) {
	m.Define(all, func(kind core.MetricKind, name string) (uint64, int) {
		p := C.CString(name)
		defer C.free(unsafe.Pointer(p))
		var id C.size_t
		result := C.define(C.int(kind), x, p, C.size_t(len(name)), &id)
		return uint64(id), int(result)
	})
}

// flush is called on the main thread.
func (m *metrics) flush(x *C.moe_extension) {
	m.Flush(func(kind core.MetricKind, id uint64, n int64) {
		C.record(C.int(kind), x, C.size_t(id), C.int64_t(n))
	})
}
