package udp

/*
#include <stdlib.h>
#include "datagram.h"

METRIC_FUNCTIONS(UF)
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

// flush is called on the thread of a filter, over which Envoy counts.
func (m *metrics) flush(filter unsafe.Pointer) {
	m.Flush(func(kind core.MetricKind, id uint64, n int64) {
		C.record(C.int(kind), filter, C.size_t(id), C.int64_t(n))
	})
}
