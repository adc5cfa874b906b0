package filter

import (
	"slices"

	"mosn.io/moe/framework/internal/core"
)

// Counter declares the counter moe.NAME.name, where NAME is [Env.ID]; tags are the names of its tags. Metrics are
// declared in Provision: afterwards, Counter, Gauge and Histogram panic. To declare one twice gives the same.
func (e *Env) Counter(name string, tags ...string) *Counter {
	return &Counter{e.metric(core.Counter, name, tags)}
}

// Gauge declares a gauge, as [Env.Counter] does a counter.
func (e *Env) Gauge(name string, tags ...string) *Gauge {
	return &Gauge{e.metric(core.Gauge, name, tags)}
}

// Histogram declares a histogram, as [Env.Counter] does a counter. Hosts without [CanRecordHistogram] drop what is
// recorded.
func (e *Env) Histogram(name string, tags ...string) *Histogram {
	return &Histogram{e.metric(core.Histogram, name, tags)}
}

func (e *Env) metric(kind core.MetricKind, name string, tags []string) *core.Metric {
	e.mu.Lock()
	defer e.mu.Unlock()
	full := "moe." + e.ID + "." + name
	for _, m := range e.metrics {
		if m.Name == full && m.Kind == kind && slices.Equal(m.Tags, tags) {
			return m
		}
		if m.Name == full {
			panic("filter: the metric " + full + " is declared twice, differently")
		}
	}
	if e.sealed {
		panic("filter: the metric " + full + " must be declared in Provision")
	}
	m := &core.Metric{Kind: kind, Name: full, Tags: slices.Clone(tags)}
	e.metrics = append(e.metrics, m)
	return m
}

// Metrics is for the framework's own packages: what the plugin has declared. Nothing can be declared after the call.
func (e *Env) Metrics() []*core.Metric {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sealed = true
	return slices.Clone(e.metrics)
}

// Counter counts up. Like the other metrics, it may be used from any goroutine and costs no call into the host, which
// collects the values with the streams it serves. A nil one does nothing, so that a plugin needs no Provision in a unit
// test.
type Counter struct{ m *core.Metric }

// Inc adds one; values are those of the declared tags, in order. Missing ones are "".
func (c *Counter) Inc(values ...string) { c.Add(1, values...) }

// Add adds n.
func (c *Counter) Add(n uint64, values ...string) {
	if c != nil {
		c.m.Add(int64(n), values)
	}
}

// Value returns the sum of all additions in this process, whatever the tags.
func (c *Counter) Value() uint64 {
	if c == nil {
		return 0
	}
	return uint64(c.m.Sum())
}

// Gauge goes up and down.
type Gauge struct{ m *core.Metric }

// Add adds n, which may be negative; values are as for [Counter.Inc].
func (g *Gauge) Add(n int64, values ...string) {
	if g != nil {
		g.m.Add(n, values)
	}
}

// Histogram records a distribution.
type Histogram struct{ m *core.Metric }

// Record records v, for durations in milliseconds, as Envoy's own; values are as for [Counter.Inc].
func (h *Histogram) Record(v uint64, values ...string) {
	if h != nil {
		h.m.Add(int64(v), values)
	}
}
