package core

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Total is what a series, a metric with values for its tags, has come to in this process, whatever instances and hosts
// have recorded it. It never shrinks, so that rates of it hold when configurations change.
type Total struct {
	Values []string

	n       atomic.Int64 // the sum
	bounds  []int64
	buckets []atomic.Int64 // by bounds, and one for what is above all
}

func (t *Total) add(n int64) { t.n.Add(n) }

func (t *Total) record(v int64) {
	t.n.Add(v)
	t.buckets[bucketOf(t.bounds, v)].Add(1)
}

// bucketOf returns the first bound that is not below v.
func bucketOf(bounds []int64, v int64) int {
	for i, b := range bounds {
		if v <= b {
			return i
		}
	}
	return len(bounds)
}

// Sum returns the value of a counter or a gauge, and the sum of what was recorded of a histogram.
func (t *Total) Sum() int64 { return t.n.Load() }

// Buckets returns, for a histogram, how many values are within each of the family's bounds and not within the one before,
// with one for those above all.
func (t *Total) Buckets() []int64 {
	if t.buckets == nil {
		return nil
	}
	all := make([]int64, len(t.buckets))
	for i := range all {
		all[i] = t.buckets[i].Load()
	}
	return all
}

// Family is the series of one name.
type Family struct {
	Name   string
	Kind   MetricKind
	Tags   []string
	Bounds []int64 // of a histogram
	Series []*Total
}

// StandardBounds are those of Envoy's histograms on its page for Prometheus.
var StandardBounds = []int64{
	1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000,
}

// What the process keeps is bounded, as tags' values and plugins' ids may come from requests.
const (
	maxSeries   = 50_000 // of all families
	maxOfFamily = 10_000
)

// totals are those of the process.
var totals = table{families: map[string]*family{}}

type table struct {
	mu       sync.RWMutex
	families map[string]*family
	size     int
}

type family struct {
	kind   MetricKind
	tags   []string
	bounds []int64
	series map[string]*Total
}

// room reports whether a series may be added to m's family, or is there.
func (t *table) room(m *Metric, values []string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	f := t.families[m.Name]
	if f == nil || f.series[strings.Join(values, "\x00")] != nil {
		return true
	}
	return len(f.series) < maxOfFamily && t.size < maxSeries
}

// of returns the total of a series. A metric that is another kind of thing, or has other tags, than what has its name
// already gets one that nobody sees, which counts as a conflict.
func (t *table) of(m *Metric, values []string) *Total { return t.bounded(m, values, StandardBounds) }

func (t *table) bounded(m *Metric, values []string, bounds []int64) *Total {
	total := &Total{Values: values}
	if m.Kind == Histogram {
		total.bounds, total.buckets = bounds, make([]atomic.Int64, len(bounds)+1)
	}
	if m.Name == "" {
		return total
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.families[m.Name]
	if f == nil {
		f = &family{kind: m.Kind, tags: m.Tags, bounds: total.bounds, series: map[string]*Total{}}
		t.families[m.Name] = f
	}
	if f.kind != m.Kind || !slices.Equal(f.tags, m.Tags) {
		dropped(DroppedConflict)
		return total
	}
	key := strings.Join(values, "\x00")
	if old := f.series[key]; old != nil {
		return old
	}
	f.series[key] = total
	t.size++
	return total
}

// Totals returns all families of the process in the order of their names, with their series in that of their values.
func Totals() []Family {
	totals.mu.RLock()
	all := make([]Family, 0, len(totals.families))
	for name, f := range totals.families {
		one := Family{Name: name, Kind: f.kind, Tags: f.tags, Bounds: f.bounds}
		for _, t := range f.series {
			one.Series = append(one.Series, t)
		}
		all = append(all, one)
	}
	totals.mu.RUnlock()
	for _, f := range all {
		slices.SortFunc(f.Series, func(a, b *Total) int { return slices.Compare(a.Values, b.Values) })
	}
	slices.SortFunc(all, func(a, b Family) int { return strings.Compare(a.Name, b.Name) })
	return all
}
