package accesslog

/*
#include <stdlib.h>
#include "entry.h"

static T(metrics_result) define(int kind, void *config, char *name, size_t n, size_t *id) {
  mbuf b = {name, n};
  switch (kind) {
  case 0:
    return CB(access_logger_config_define_counter)(config, b, id);
  case 1:
    return CB(access_logger_config_define_gauge)(config, b, id);
  default:
    return CB(access_logger_config_define_histogram)(config, b, id);
  }
}

static void record(int kind, void *config, size_t id, int64_t n) {
  switch (kind) {
  case 0:
    CB(access_logger_increment_counter)(config, id, (uint64_t)n);
    break;
  case 1:
    if (n >= 0)
      CB(access_logger_increment_gauge)(config, id, (uint64_t)n);
    else
      CB(access_logger_decrement_gauge)(config, id, (uint64_t)-n);
    break;
  default:
    CB(access_logger_record_histogram_value)(config, id, (uint64_t)n);
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
type metrics struct {
	series.Set
	envoy unsafe.Pointer // Envoy's configuration, which lives as long as any thread logs for it
}

func (m *metrics) define(envoy unsafe.Pointer, all []*core.Metric) {
	m.envoy = envoy
	m.Define(all, func(kind core.MetricKind, name string) (uint64, int) {
		p := C.CString(name)
		defer C.free(unsafe.Pointer(p))
		var id C.size_t
		result := C.define(C.int(kind), envoy, p, C.size_t(len(name)), &id)
		return uint64(id), int(result)
	})
}

// flush is called on a thread that logs.
func (m *metrics) flush() {
	m.Flush(func(kind core.MetricKind, id uint64, n int64) {
		C.record(C.int(kind), m.envoy, C.size_t(id), C.int64_t(n))
	})
}
