package extension

import (
	"slices"

	"mosn.io/moe/framework/internal/core"
)

// Counter declares the counter moe.ID.name, where ID is [Env.ID]; [Env.Tag] declares one with tags. Metrics are declared
// in Provision: afterwards, Counter, Gauge and Histogram panic, there and in tags. To declare one twice gives the same.
func (e *Env) Counter(name string) *Counter {
	return newCounter(plain(e.metric(core.Counter, name)))
}

// Gauge declares a gauge, as [Env.Counter] does a counter.
func (e *Env) Gauge(name string) *Gauge { return newGauge(plain(e.metric(core.Gauge, name))) }

// Histogram declares a histogram, as [Env.Counter] does a counter. Hosts without [CanRecordHistogram] drop what is
// recorded.
func (e *Env) Histogram(name string) *Histogram {
	return newHistogram(plain(e.metric(core.Histogram, name)))
}

func (e *Env) metric(kind core.MetricKind, name string, tags ...string) *core.Metric {
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
	m := &core.Metric{Kind: kind, Name: full, Tags: tags}
	e.metrics = append(e.metrics, m)
	return m
}

// Counter counts up. Like the other metrics, it may be used from any goroutine and costs no call into the host, which
// collects the values with the streams it serves. A nil one does nothing, so that a plugin needs no Provision in a unit
// test.
type Counter struct{ series }

// Inc adds one.
func (c *Counter) Inc() { c.Add(1) }

// Add adds n.
func (c *Counter) Add(n uint64) {
	if c != nil {
		c.add(int64(n))
	}
}

// Gauge goes up and down. A nil one does nothing.
type Gauge struct{ series }

// Add adds n, which may be negative.
func (g *Gauge) Add(n int64) {
	if g != nil {
		g.add(n)
	}
}

// Histogram records a distribution. A nil one does nothing.
type Histogram struct{ series }

// Record records v, for durations in milliseconds, as Envoy's own.
func (h *Histogram) Record(v uint64) {
	if h != nil {
		h.add(int64(v))
	}
}

// series is a metric with a value for each of its tags.
type series struct {
	m    *core.Metric
	cell *core.Cell
}

func plain(m *core.Metric) series { return series{m, m.Cell(nil)} }

func (s *series) add(n int64) { s.cell.Add(n) }

func newCounter(s series) *Counter     { return &Counter{s} }
func newGauge(s series) *Gauge         { return &Gauge{s} }
func newHistogram(s series) *Histogram { return &Histogram{s} }
