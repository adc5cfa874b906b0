package golang

/*
#include "gate.h"
*/
import "C"

import (
	"log/slog"
	"slices"
	"sync"
	"unsafe"

	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/internal/core"
)

// metrics are what Envoy counts for one filter's configuration. Envoy's metrics have no tags here: those of the plugins
// become part of the name, as in "moe.panics;plugin=keyauth", of which stats_config can make tags again.
type metrics struct {
	c *C.httpConfig

	mu     sync.Mutex
	ids    map[string]C.uint32_t
	frozen bool // Envoy makes no more
}

// maxSeries bounds how many names one configuration has Envoy make, as a tag's value may come from requests. What comes
// beyond is counted without its tags.
const maxSeries = 10_000

func newMetrics(c *C.httpConfig) *metrics {
	return &metrics{c: c, ids: map[string]C.uint32_t{}}
}

var kinds = [...]api.MetricType{core.Counter: api.Counter, core.Gauge: api.Gauge, core.Histogram: api.Histogram}

// declare has Envoy show metrics before anything is recorded. Those whose tags have values that are not known yet are
// there without tags too: an Envoy that makes no metrics later counts all values in that one.
func (ms *metrics) declare(all []*core.Metric) {
	for _, m := range all {
		cells := m.Cells() // a flush has m's lock as it takes ms.mu, so this must not have ms.mu as it takes m's
		if len(cells) == 0 {
			cells = [][]string{nil}
		}
		ms.mu.Lock()
		for _, values := range cells {
			ms.id(m, values)
		}
		ms.mu.Unlock()
	}
}

// id returns Envoy's number of a metric, which it has Envoy make at the first call. ms.mu is held.
func (ms *metrics) id(m *core.Metric, values []string) (C.uint32_t, bool) {
	name := m.Series(values)
	if id, ok := ms.ids[name]; ok {
		return id, true
	}
	if ms.frozen || len(ms.ids) >= maxSeries {
		return 0, false
	}
	var id C.uint32_t
	p, n := text(name)
	status := C.golang_host_FilterHttpDefineMetric(unsafe.Pointer(ms.c), C.uint32_t(kinds[m.Kind]), p, n, &id)
	if status != C.CAPIOK {
		ms.frozen = true
		slog.New(logger).Warn("Envoy makes no more metrics: what tags tell apart is counted together", "metric", name,
			"status", int(status))
		return 0, false
	}
	ms.ids[name] = id
	return id, true
}

func (ms *metrics) record(m *core.Metric, sample core.Sample) {
	ms.mu.Lock()
	id, ok := ms.id(m, sample.Values)
	if !ok {
		id, ok = ms.id(m, nil)
	}
	ms.mu.Unlock()
	switch {
	case !ok:
	case m.Kind == core.Histogram:
		C.golang_host_FilterHttpRecordMetric(unsafe.Pointer(ms.c), id, C.uint64_t(max(sample.N, 0)))
	default:
		C.golang_host_FilterHttpIncrementMetric(unsafe.Pointer(ms.c), id, C.int64_t(sample.N))
	}
}

// bind pairs a chain with the metrics that its streams, and those of its consumers' chains, may record.
func bind(ch *chain.Chain, ms *metrics, own []*core.Metric) *bound {
	ms.declare(own)
	return &bound{chain: ch, metrics: ms, own: slices.Clone(own)}
}

// flush tells Envoy what has been recorded since the last flush. Lazy metrics go at their pace.
func (b *bound) flush() {
	now := core.MetricsDirtied()
	lazy := b.chain.Measured() && b.pace.Due(b.chain.Idle())
	if b.flushed.Swap(now) == now && !lazy {
		return
	}
	for _, m := range b.own {
		if m.Dirty() && (lazy || !m.Lazy) {
			m.Flush(func(sample core.Sample) { b.metrics.record(m, sample) })
		}
	}
}
