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
	"log/slog"
	"sync/atomic"
	"unsafe"

	"mosn.io/moe/framework/host/dynmod/internal/dynlog"
	"mosn.io/moe/framework/internal/core"
)

// metrics are those of one configuration. Envoy's metrics of access loggers have no tags: values that are known when the
// configuration is loaded become series of their own, and what has others is counted under the metric's plain name.
type metrics struct {
	envoy   unsafe.Pointer // Envoy's configuration, which lives as long as any thread logs for it
	all     []*core.Metric
	ids     map[string]C.size_t // by series
	flushed atomic.Uint64       // core.MetricsDirtied when they were flushed last
}

// define declares metrics to Envoy, which allows that only while it loads the configuration.
func (m *metrics) define(envoy unsafe.Pointer, all []*core.Metric) {
	m.envoy, m.ids = envoy, map[string]C.size_t{}
	for _, metric := range all {
		names := []string{metric.Name}
		for _, values := range metric.Cells() {
			names = append(names, metric.Series(values))
		}
		for _, name := range names {
			m.declare(metric.Kind, name)
		}
	}
	m.all = all
}

func (m *metrics) declare(kind core.MetricKind, name string) {
	p := C.CString(name)
	defer C.free(unsafe.Pointer(p))
	var id C.size_t
	if result := C.define(C.int(kind), m.envoy, p, C.size_t(len(name)), &id); result != C.envoy_dynamic_module_type_metrics_result_Success {
		slog.New(dynlog.Handler).Warn("Envoy refuses a metric", "metric", name, "result", int(result))
		return
	}
	m.ids[name] = id
}

// flush hands what has been recorded since the last flush to Envoy. It is called on a thread that logs.
func (m *metrics) flush() {
	now := core.MetricsDirtied()
	if m.flushed.Swap(now) == now {
		return
	}
	for _, metric := range m.all {
		if !metric.Dirty() {
			continue
		}
		metric.Flush(func(s core.Sample) {
			id, ok := m.ids[metric.Series(s.Values)]
			if !ok {
				id, ok = m.ids[metric.Name]
			}
			if ok {
				C.record(C.int(metric.Kind), m.envoy, id, C.int64_t(s.N))
			}
		})
	}
}
