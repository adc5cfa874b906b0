package telemetry

import (
	"sync/atomic"

	"mosn.io/moe/framework/internal/core"
)

// What the process's own exporter has done, for hosts' statistics.
var (
	exported = core.Define(core.Definition{
		Name: "moe.trace.spans_exported", Help: "Spans that a collector has taken from this process.",
	}).Metric()
	dropped = core.Define(core.Definition{
		Name: "moe.trace.spans_dropped", Tags: []string{"reason"},
		Help: "Spans that were dropped because the queue was full (`queue_full`) or the collector did not take them (`not_taken`).",
	}).Metric()

	exports = core.Define(core.Definition{
		Name: "moe.metrics.exports", Tags: []string{"result"},
		Help: "Exports of all metrics of this process that a collector has taken (`ok`) or not (`failed`).",
	}).Metric()

	queueFull = &loss{cell: dropped.With("queue_full")}
	notTaken  = &loss{cell: dropped.With("not_taken")}
)

// loss counts spans that were dropped for one reason.
type loss struct {
	cell *core.Cell
	all  atomic.Int64
}

func (l *loss) add(n int) {
	l.cell.Add(int64(n))
	l.all.Add(int64(n))
}

// Exported counts spans that a collector has taken. It is for exporters, as [QueueFull] and [NotTaken] are.
func Exported(n int) { exported.Add(int64(n), nil) }

// QueueFull counts spans that were dropped because more end than the collector takes.
func QueueFull(n int) { queueFull.add(n) }

// NotTaken counts spans that were dropped because the collector is down, slow or refuses them.
func NotTaken(n int) { notTaken.add(n) }

// Totals are what has become of the spans of this process so far.
type Totals struct{ Exported, QueueFull, NotTaken int64 }

// Counts returns the totals.
func Counts() Totals { return Totals{exported.Sum(), queueFull.all.Load(), notTaken.all.Load()} }

// MetricsExported counts an export of metrics. It is for exporters.
func MetricsExported(ok bool) {
	result := "ok"
	if !ok {
		result = "failed"
	}
	exports.With(result).Add(1)
}

// Metrics returns what the process counts of its own exporters, for hosts to show.
func Metrics() (all []*core.Metric) {
	if exporting() != nil {
		all = append(all, exported, dropped)
	}
	return append(all, exports)
}
