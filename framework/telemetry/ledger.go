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

	linesExported = core.Define(core.Definition{
		Name: "moe.log.exported", Help: "Lines of the log that a collector has taken from this process.",
	}).Metric()
	linesDropped = core.Define(core.Definition{
		Name: "moe.log.dropped", Tags: []string{"reason"},
		Help: "Lines of the log that were not exported because the queue was full (`queue_full`) or the collector did not take them " +
			"(`not_taken`). They are in the host's log.",
	}).Metric()

	exports = core.Define(core.Definition{
		Name: "moe.metrics.exports", Tags: []string{"result"},
		Help: "Exports of all metrics of this process that a collector has taken (`ok`) or not (`failed`).",
	}).Metric()

	spanLedger = newLedger(exported, dropped)
	lineLedger = newLedger(linesExported, linesDropped)
)

// Ledger counts what becomes of what a queue hands to a collector. It is for exporters; any goroutine may use it.
type Ledger struct {
	taken               *core.Metric
	queueFull, notTaken loss
}

func newLedger(taken, dropped *core.Metric) *Ledger {
	return &Ledger{
		taken: taken, queueFull: loss{cell: dropped.With("queue_full")}, notTaken: loss{cell: dropped.With("not_taken")},
	}
}

// Spans returns the ledger of spans.
func Spans() *Ledger { return spanLedger }

// Lines returns the ledger of lines of the log.
func Lines() *Ledger { return lineLedger }

// Taken counts what a collector has taken.
func (l *Ledger) Taken(n int) { l.taken.Add(int64(n), nil) }

// QueueFull counts what was dropped because more came than the collector takes.
func (l *Ledger) QueueFull(n int) { l.queueFull.add(n) }

// NotTaken counts what was dropped because the collector is down, slow or refuses it.
func (l *Ledger) NotTaken(n int) { l.notTaken.add(n) }

// Totals are what has become of all of a ledger so far.
type Totals struct{ Taken, QueueFull, NotTaken int64 }

// Totals returns what was counted.
func (l *Ledger) Totals() Totals {
	return Totals{l.taken.Sum(), l.queueFull.all.Load(), l.notTaken.all.Load()}
}

// loss counts what was dropped for one reason.
type loss struct {
	cell *core.Cell
	all  atomic.Int64
}

func (l *loss) add(n int) {
	l.cell.Add(int64(n))
	l.all.Add(int64(n))
}

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
	if sending.Load() {
		all = append(all, linesExported, linesDropped)
	}
	return append(all, exports)
}
