package core

import (
	"maps"
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

// Metric collects in Go memory what plugins record, from any goroutine, until a host carries it to its stats. It
// belongs to a plugin's instance and may outlive the host's configuration that declared it.
type Metric struct {
	Kind MetricKind
	Name string   // full: moe.PLUGIN.NAME
	Tags []string // names of its tags

	sum     atomic.Int64 // since the start, over all tags
	pending atomic.Int64 // untagged counters and gauges
	dirty   atomic.Bool

	mu     sync.Mutex
	tagged map[string]*Sample  // by the joined values
	values []Sample            // of a histogram
	known  map[string][]string // the values of all cells, by themselves joined

	queued atomic.Pointer[Cell] // the cells that have something pending, linked by Cell.next
}

// Cell is a metric's value for fixed tags: adding to a counter's or a gauge's costs no memory and no lock.
type Cell struct {
	m      *Metric
	values []string
	n      atomic.Int64 // pending
	queued atomic.Bool  // it is in m.queued
	next   *Cell
}

// Cell returns a cell for values, one for each of the metric's tags, which it keeps.
func (m *Metric) Cell(values []string) *Cell { return &Cell{m: m, values: values} }

// With is Cell for values that hosts are to know before anything is recorded: see Cells.
func (m *Metric) With(values ...string) *Cell {
	c := m.Cell(values)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[string][]string{}
	}
	m.known[strings.Join(c.values, "\x00")] = c.values
	return c
}

// Add records n.
func (c *Cell) Add(n int64) {
	if c.m.Kind == Histogram {
		c.m.Add(n, c.values)
		return
	}
	c.m.sum.Add(n)
	c.n.Add(n)
	if !c.queued.Load() && !c.queued.Swap(true) {
		for {
			first := c.m.queued.Load()
			c.next = first
			if c.m.queued.CompareAndSwap(first, c) {
				break
			}
		}
	}
	c.m.markChanged()
}

// Sample is a pending change of a metric: a sum for counters and gauges, one recorded value for histograms.
type Sample struct {
	Values []string // of the tags, in order
	N      int64
}

// maxPendingValues bounds what a histogram keeps between two flushes; what comes beyond is counted in the sum only.
const maxPendingValues = 4096

// Add records n with values, one for each of the metric's tags, which it keeps.
func (m *Metric) Add(n int64, values []string) {
	m.sum.Add(n)
	switch {
	case m.Kind == Histogram:
		m.mu.Lock()
		if len(m.values) < maxPendingValues {
			m.values = append(m.values, Sample{values, n})
		}
		m.mu.Unlock()
	case len(m.Tags) == 0:
		m.pending.Add(n)
	default:
		key := strings.Join(values, "\x00")
		m.mu.Lock()
		s := m.tagged[key]
		if s == nil {
			if m.tagged == nil {
				m.tagged = map[string]*Sample{}
			}
			s = &Sample{Values: values}
			m.tagged[key] = s
		}
		s.N += n
		m.mu.Unlock()
	}
	m.markChanged()
}

// markChanged notes that there is something to flush.
func (m *Metric) markChanged() {
	if !m.dirty.Load() && !m.dirty.Swap(true) {
		dirtied.Add(1)
	}
}

// Sum returns the sum of all that was recorded.
func (m *Metric) Sum() int64 { return m.sum.Load() }

// dirtied counts how often a metric has come to have something to flush.
var dirtied atomic.Uint64

// MetricsDirtied changes whenever some metric of the process comes to have something to flush, so that a host need not
// ask them all each time.
func MetricsDirtied() uint64 { return dirtied.Load() }

// Dirty reports whether Flush has something to give.
func (m *Metric) Dirty() bool { return m.dirty.Load() }

// Flush hands each pending change to emit once. Of two concurrent calls, each change goes to one.
func (m *Metric) Flush(emit func(Sample)) {
	if !m.dirty.Swap(false) {
		return
	}
	if n := m.pending.Swap(0); n != 0 {
		emit(Sample{N: n})
	}
	m.mu.Lock()
	tagged, values := m.tagged, m.values
	m.tagged, m.values = nil, nil
	m.mu.Unlock()
	for c := m.queued.Swap(nil); c != nil; {
		next := c.next // before the cell may be queued again
		c.queued.Store(false)
		if n := c.n.Swap(0); n != 0 {
			emit(Sample{c.values, n})
		}
		c = next
	}
	for _, s := range tagged {
		if s.N != 0 {
			emit(*s)
		}
	}
	for _, s := range values {
		emit(s)
	}
}

// Cells returns the tag values of the metric's cells, which are known before anything is recorded. It is for hosts that
// must declare ahead what they show.
func (m *Metric) Cells() (all [][]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(m.known)) {
		all = append(all, m.known[key])
	}
	return all
}
