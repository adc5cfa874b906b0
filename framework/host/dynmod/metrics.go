package dynmod

/*
#include <stdlib.h>
#include "moe.h"
*/
import "C"

import (
	"log/slog"
	"slices"
	"sync"

	"mosn.io/moe/framework/internal/core"
)

// metricID is a metric as one of Envoy's configurations knows it.
type metricID struct {
	id   uint64
	kind core.MetricKind
	tags []string
}

type boundMetric struct {
	m          *core.Metric
	id         uint64
	undeclared bool // id is that of undeclaredMetrics
}

// undeclaredMetrics have what plugins record that only a route or a consumer has: when Envoy allowed to declare metrics, theirs
// were not known. The tag tells which one it is. The next configuration declares them.
var undeclaredMetrics = []*core.Metric{
	core.Counter:   {Kind: core.Counter, Name: "moe.late_counter", Tags: []string{"metric"}},
	core.Gauge:     {Kind: core.Gauge, Name: "moe.late_gauge", Tags: []string{"metric"}},
	core.Histogram: {Kind: core.Histogram, Name: "moe.late_histogram", Tags: []string{"metric"}},
}

// define declares metrics to Envoy, which allows that only while it loads the configuration.
func (conf *filterConfig) define(c *C.moe_config, metrics []*core.Metric) {
	for _, m := range metrics {
		if _, ok := conf.metrics[m.Name]; ok {
			continue
		}
		mem := &scratch{}
		tags, n := mem.bufs(m.Tags)
		var id C.size_t
		var result C.envoy_dynamic_module_type_metrics_result
		switch name := mem.buf(m.Name); m.Kind {
		case core.Counter:
			result = C.envoy_dynamic_module_callback_http_filter_config_define_counter(c.envoy, name, tags, n, &id)
		case core.Gauge:
			result = C.envoy_dynamic_module_callback_http_filter_config_define_gauge(c.envoy, name, tags, n, &id)
		case core.Histogram:
			result = C.envoy_dynamic_module_callback_http_filter_config_define_histogram(c.envoy, name, tags, n, &id)
		}
		mem.free()
		if result != C.envoy_dynamic_module_type_metrics_result_Success {
			slog.New(logger).Warn("Envoy refuses a metric", "metric", m.Name, "result", int(result))
			continue
		}
		conf.metrics[m.Name] = metricID{uint64(id), m.Kind, m.Tags}
	}
}

// bindMetrics pairs a chain's metrics with Envoy's.
func (conf *filterConfig) bindMetrics(metrics []*core.Metric) (bound []boundMetric) {
	for _, m := range metrics {
		id, ok := conf.metrics[m.Name]
		if ok && id.kind == m.Kind && slices.Equal(id.tags, m.Tags) {
			bound = append(bound, boundMetric{m: m, id: id.id})
		} else if id, ok := conf.metrics[undeclaredMetrics[m.Kind].Name]; ok {
			bound = append(bound, boundMetric{m: m, id: id.id, undeclared: true})
			see(m)
		}
	}
	return bound
}

// flush writes what has been recorded since the last flush into the answer to the event under way. Lazy metrics go at their
// pace.
func (b *bound) flush(w writer) {
	now := core.MetricsDirtied()
	lazy := b.chain.Measured() && b.pace.Due(b.chain.Idle())
	if b.flushed.Swap(now) == now && !lazy {
		return
	}
	if grown := b.conf.filter.MetricsVersion(b.route); grown != b.grown.Load() {
		b.pair(grown)
	}
	for _, e := range *b.metrics.Load() {
		if e.m.Dirty() && (lazy || !e.m.Lazy) {
			e.m.Flush(func(sample core.Sample) {
				if e.undeclared {
					sample.Values = []string{e.m.Series(sample.Values)}
				}
				if len(sample.Values) <= maxHeaders {
					w.sample(e.m.Kind, e.id, sample)
				}
			})
		}
	}
}

// seen are metrics that came too late for a configuration, for those to come.
var seen struct {
	sync.Mutex
	metrics []*core.Metric
}

// maxSeen bounds them, as documents that streams bring may have any number of plugins.
const maxSeen = 1000

// see has later configurations declare a metric of m's name.
func see(m *core.Metric) {
	seen.Lock()
	defer seen.Unlock()
	if len(seen.metrics) < maxSeen && !slices.ContainsFunc(seen.metrics, func(s *core.Metric) bool { return s.Name == m.Name }) {
		seen.metrics = append(seen.metrics, &core.Metric{Kind: m.Kind, Name: m.Name, Tags: m.Tags})
	}
}

// seenBefore returns them.
func seenBefore() []*core.Metric {
	seen.Lock()
	defer seen.Unlock()
	return slices.Clone(seen.metrics)
}
