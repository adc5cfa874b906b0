package core

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// MetricKind tells how values of a metric combine.
type MetricKind uint8

// Kinds of metrics.
const (
	Counter MetricKind = iota
	Gauge
	Histogram
)

// String returns the kind's name, as Prometheus has it.
func (k MetricKind) String() string { return [...]string{"counter", "gauge", "histogram"}[k] }

// Metric collects in Go memory what plugins record, from any goroutine, until a host carries it to its stats. It
// belongs to a plugin's instance and may outlive the host's configuration that declared it. What is recorded also counts
// in the process's [Totals].
type Metric struct {
	Kind MetricKind
	Name string   // full: moe.PLUGIN.NAME
	Tags []string // names of its tags

	// Lazy says that every request records something, so that a host hands it over at a [Pace].
	Lazy bool

	dirty atomic.Bool
	plain atomic.Pointer[Cell] // without tags
	rest  atomic.Pointer[Cell] // of values beyond maxCells

	mu      sync.Mutex
	cells   map[string]*Cell // by the joined values
	known   []*Cell          // those of With
	samples []Sample         // of a histogram
	queued  atomic.Pointer[Cell]

	collect func(emit func(Sample)) // in place of all this: of a part of Buckets
}

// Values of tags may come from requests. A metric has maxCells different ones, and counts what comes beyond under
// OtherValues; a value is maxValue bytes at most.
const (
	maxCells    = 1000
	maxValue    = 128
	OtherValues = "(others)"
)

// Cell is a metric's value for fixed tags: adding to a counter's or a gauge's costs no memory and no lock.
type Cell struct {
	m      *Metric
	values []string
	total  *Total
	n      atomic.Int64 // pending
	told   int64        // what was flushed; guarded by m.mu
	queued atomic.Bool  // it is in m.queued
	next   *Cell
}

// Cell returns the cell for values, one for each of the metric's tags, which it keeps. Once there are as many cells as a
// metric may have, it returns one for all others.
func (m *Metric) Cell(values []string) *Cell {
	if len(values) == 0 {
		if c := m.plain.Load(); c != nil {
			return c
		}
	}
	for i := range values {
		if clipped := ClipTag(values[i]); len(clipped) != len(values[i]) {
			values = slices.Clone(values)
			values[i] = strings.Clone(clipped)
		}
	}
	key := strings.Join(values, "\x00")
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.cells[key]; c != nil {
		return c
	}
	if len(m.cells) >= maxCells || !totals.room(m, values) {
		dropped(DroppedValues)
		return m.others()
	}
	c := &Cell{m: m, values: values, total: totals.of(m, values)}
	if m.cells == nil {
		m.cells = map[string]*Cell{}
	}
	m.cells[key] = c
	if len(values) == 0 {
		m.plain.Store(c)
	}
	return c
}

// Others returns the cell of all values of tags beyond those that a metric may have.
func (m *Metric) Others() *Cell {
	dropped(DroppedValues)
	if c := m.rest.Load(); c != nil {
		return c
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.others()
}

// others is Others. m.mu is held.
func (m *Metric) others() *Cell {
	if c := m.rest.Load(); c != nil {
		return c
	}
	values := slices.Repeat([]string{OtherValues}, len(m.Tags))
	c := &Cell{m: m, values: values, total: totals.of(m, values)}
	m.rest.Store(c)
	return c
}

// ClipTag returns a tag's value as far as metrics keep it, without an allocation.
func ClipTag(value string) string { return value[:min(len(value), maxValue)] }

// With is Cell for values that hosts are to know before anything is recorded: see Cells.
func (m *Metric) With(values ...string) *Cell {
	c := m.Cell(values)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(m.known, c) {
		m.known = append(m.known, c)
	}
	return c
}

// Add records n.
func (c *Cell) Add(n int64) {
	if c.m.Kind == Histogram {
		c.record(n)
		return
	}
	c.total.add(n)
	c.n.Add(n)
	if !c.queued.Load() && !c.queued.Swap(true) {
		c.queue()
	}
	c.m.markChanged()
}

func (c *Cell) queue() {
	for {
		first := c.m.queued.Load()
		c.next = first
		if c.m.queued.CompareAndSwap(first, c) {
			return
		}
	}
}

// maxPendingValues bounds what a histogram keeps between two flushes; what comes beyond is in the totals only.
const maxPendingValues = 4096

// record is Add for a histogram.
func (c *Cell) record(v int64) {
	c.total.record(v)
	m := c.m
	m.mu.Lock()
	c.told += v
	full := len(m.samples) >= maxPendingValues
	if !full {
		m.samples = append(m.samples, Sample{c.values, v})
	}
	m.mu.Unlock()
	if full {
		dropped(DroppedSamples)
	}
	m.markChanged()
}

// Sample is a pending change of a metric: a sum for counters and gauges, one recorded value for histograms.
type Sample struct {
	Values []string // of the tags, in order
	N      int64
}

// Add records n with values, one for each of the metric's tags, which it keeps.
func (m *Metric) Add(n int64, values []string) { m.Cell(values).Add(n) }

// markChanged notes that there is something to flush.
func (m *Metric) markChanged() {
	if !m.dirty.Load() && !m.dirty.Swap(true) && !m.Lazy {
		dirtied.Add(1)
	}
}

// Sum returns the sum of all that was recorded.
func (m *Metric) Sum() (sum int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.cells {
		sum += c.told + c.n.Load()
	}
	if c := m.rest.Load(); c != nil {
		sum += c.told + c.n.Load()
	}
	return sum
}

// dirtied counts how often a metric has come to have something to flush.
var dirtied atomic.Uint64

// MetricsDirtied changes whenever some metric of the process, other than a lazy one, comes to have something to flush, so
// that a host need not ask them all each time.
func MetricsDirtied() uint64 { return dirtied.Load() }

// Dirty reports whether Flush has something to give.
func (m *Metric) Dirty() bool { return m.dirty.Load() }

// Flush hands each pending change to emit once, which must not use m. Of two concurrent calls, each change goes to one.
func (m *Metric) Flush(emit func(Sample)) {
	if !m.dirty.Swap(false) {
		return
	}
	if m.collect != nil {
		m.collect(emit)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := m.queued.Swap(nil); c != nil; {
		next := c.next // before the cell may be queued again
		c.queued.Store(false)
		if n := c.n.Swap(0); n != 0 {
			c.told += n
			emit(Sample{c.values, n})
		}
		c = next
	}
	for _, s := range m.samples {
		emit(s)
	}
	m.samples = nil
}

// Cells returns the tag values of the cells that [Metric.With] has made, in order, which are known before anything is
// recorded. It is for hosts that must declare ahead what they show.
func (m *Metric) Cells() (all [][]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.known {
		if len(c.values) > 0 {
			all = append(all, c.values)
		}
	}
	slices.SortFunc(all, slices.Compare)
	return all
}
