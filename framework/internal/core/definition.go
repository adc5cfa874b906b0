package core

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Definition is what there is to say of a metric of the framework's own. docs/metrics.md, the dashboard and the rules are
// made of the definitions.
type Definition struct {
	Name   string // full
	Kind   MetricKind
	Tags   []string
	Help   string  // ends with a period
	Bounds []int64 // of a histogram of NewBuckets
	Phases bool    // recorded where a document says `metrics: phases` only
}

var definitions struct {
	mu  sync.Mutex
	all []*Definition
}

// Define adds a definition to those of the process. It is for variables of packages.
func Define(d Definition) *Definition {
	definitions.mu.Lock()
	defer definitions.mu.Unlock()
	definitions.all = append(definitions.all, &d)
	return &d
}

// Metric returns a new metric of the definition. Names may repeat: see Totals.
func (d *Definition) Metric() *Metric {
	return &Metric{Kind: d.Kind, Name: d.Name, Tags: d.Tags, Lazy: d.Phases}
}

// Definitions returns those of all packages of the program, in the order of their names.
func Definitions() []*Definition {
	definitions.mu.Lock()
	defer definitions.mu.Unlock()
	all := slices.Clone(definitions.all)
	slices.SortFunc(all, func(a, b *Definition) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// What is lost is counted by its reason.
const (
	DroppedValues   = "tag_values" // counted under (others), without their tags' values
	DroppedConflict = "conflict"   // a metric that is there with another kind or other tags
	DroppedSamples  = "samples"    // values of histograms that came too fast for Envoy's
)

// droppedTotals cannot count what it drops itself.
var droppedTotals = Define(Definition{
	Name: "moe.metrics.dropped", Tags: []string{"reason"},
	Help: "What metrics have lost: values of tags beyond the bounds (`tag_values`), metrics that are there with another kind or " +
		"other tags (`conflict`), values of histograms beyond 4096 between two requests (`samples`).",
}).Metric()

var droppedCells sync.Map // by reason

func init() {
	for _, reason := range []string{DroppedValues, DroppedConflict, DroppedSamples} {
		c := droppedTotals.With(reason)
		droppedCells.Store(reason, c)
	}
}

func dropped(reason string) {
	if c, ok := droppedCells.Load(reason); ok {
		c.(*Cell).Add(1)
	}
}

// Dropped is moe.metrics.dropped.
func Dropped() *Metric { return droppedTotals }

// Pace says when lazy metrics are due: every second under load, and sooner when nothing is under way, so that what single
// requests have counted can be seen at once.
type Pace struct{ last atomic.Int64 }

// How often.
const (
	busyPace = time.Second
	idlePace = 100 * time.Millisecond
)

// Due reports whether they are, and notes that they are handed over then.
func (p *Pace) Due(idle bool) bool {
	now, last, wait := time.Now().UnixNano(), p.last.Load(), busyPace
	if idle {
		wait = idlePace
	}
	return now-last >= int64(wait) && p.last.CompareAndSwap(last, now)
}
