// Package metrics reads what the framework and its plugins have counted in this process: as data, and as Prometheus' text.
//
// Names are those of docs/metrics.md, such as moe.phase.calls, whoever shows them. Values never shrink, but those of
// gauges, whatever becomes of configurations.
package metrics

import (
	"slices"

	"mosn.io/moe/framework/internal/core"
)

// Kind tells how values of a metric combine.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Definition is what there is to say of a metric of the framework's own.
type Definition struct {
	Name string
	Kind Kind
	Tags []string
	Help string // English, in Markdown; it ends with a period
	// Phases says that it is recorded where the document of a chain has `metrics: phases`.
	Phases bool
}

// Definitions returns those of all packages that are linked in, in the order of their names.
func Definitions() []Definition {
	var all []Definition
	for _, d := range core.Definitions() {
		all = append(all, Definition{Name: d.Name, Kind: Kind(d.Kind.String()), Tags: d.Tags, Help: d.Help, Phases: d.Phases})
	}
	return all
}

// Family is a metric with all its series.
type Family struct {
	Name string // as in docs/metrics.md: with dots
	Kind Kind
	Help string   // of a metric of the framework's own; "" for plugins'
	Tags []string // names of its tags
	// Bounds are the upper bounds of a histogram's buckets, in order, but for the last bucket, which has none.
	Bounds []int64
	Series []Series // in the order of their values
}

// Series is a metric with values for its tags.
type Series struct {
	Values []string // of the family's tags, in order
	// Value is that of a counter or a gauge, or the sum of what a histogram has recorded.
	Value int64
	// Buckets says how many of a histogram's values are within each of the family's bounds and not within the one before;
	// the last is of those above all bounds. They add up to how many values there were.
	Buckets []int64
}

// Count returns how many values a histogram's series has recorded.
func (s *Series) Count() (n int64) {
	for _, b := range s.Buckets {
		n += b
	}
	return n
}

// Snapshot returns what all metrics of the process have come to, in the order of their names. It may be called from any
// goroutine, and holds nothing up: series are read one after the other while others count.
func Snapshot() []Family {
	help := map[string]string{}
	for _, d := range core.Definitions() {
		help[d.Name] = d.Help
	}
	totals := core.Totals()
	all := make([]Family, 0, len(totals))
	for _, f := range totals {
		one := Family{
			Name: f.Name, Kind: Kind(f.Kind.String()), Help: help[f.Name], Tags: slices.Clone(f.Tags), Bounds: slices.Clone(f.Bounds),
		}
		for _, t := range f.Series {
			one.Series = append(one.Series, Series{Values: slices.Clone(t.Values), Value: t.Sum(), Buckets: t.Buckets()})
		}
		all = append(all, one)
	}
	return all
}
