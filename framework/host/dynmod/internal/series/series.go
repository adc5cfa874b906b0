// Package series carries the metrics of extensions for which Envoy knows no tags, such as access loggers and network
// filters. Values of tags that are known when the configuration is loaded become series of their own, and what has others
// is counted under the metric's plain name.
package series

import (
	"log/slog"
	"slices"
	"sync/atomic"

	"mosn.io/moe/framework/host/dynmod/internal/dynlog"
	"mosn.io/moe/framework/internal/core"
)

// Set has the metrics of one configuration.
type Set struct {
	all     []*core.Metric
	ids     map[string]uint64 // Envoy's, by series
	flushed atomic.Uint64     // core.MetricsDirtied when they were flushed last
}

// Define declares metrics to Envoy by declare, which returns Envoy's number for one and its result, 0 for success. Envoy
// allows that only while it loads the configuration.
func (s *Set) Define(all []*core.Metric, declare func(kind core.MetricKind, name string) (id uint64, result int)) {
	s.ids = map[string]uint64{}
	for _, metric := range all {
		names := []string{metric.Name}
		for _, values := range metric.Cells() {
			names = append(names, metric.Series(values))
		}
		for _, name := range names {
			id, result := declare(metric.Kind, name)
			if result != 0 {
				slog.New(dynlog.Handler).Warn("Envoy refuses a metric", "metric", name, "result", result)
				continue
			}
			s.ids[name] = id
		}
	}
	s.all = all
}

// Dirty reports whether there is something to flush. Any goroutine may ask.
func (s *Set) Dirty() bool {
	return slices.ContainsFunc(s.all, func(m *core.Metric) bool { return m.Dirty() })
}

// Flush hands what has been recorded since the last flush to Envoy, by record. Any of Envoy's threads may call it.
func (s *Set) Flush(record func(kind core.MetricKind, id uint64, n int64)) {
	now := core.MetricsDirtied()
	if s.flushed.Swap(now) == now {
		return
	}
	for _, metric := range s.all {
		if !metric.Dirty() {
			continue
		}
		metric.Flush(func(sample core.Sample) {
			id, ok := s.ids[metric.Series(sample.Values)]
			if !ok {
				id, ok = s.ids[metric.Name]
			}
			if ok {
				record(metric.Kind, id, sample.N)
			}
		})
	}
}
