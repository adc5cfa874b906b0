package otlp

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"

	"mosn.io/moe/framework/telemetry"
)

// queue counts what becomes of spans, or of lines of the log, on their way to the collector, and takes no more than its size,
// so that the SDK's own queue, of the same size, never drops what nobody counts.
type queue struct {
	size    int64
	ledger  *telemetry.Ledger
	waiting atomic.Int64
}

func newQueue(size int, ledger *telemetry.Ledger) *queue {
	return &queue{size: int64(size), ledger: ledger}
}

// room reports whether there is room for one more, and takes it.
func (q *queue) room() bool {
	if q.waiting.Add(1) > q.size {
		q.waiting.Add(-1)
		q.ledger.QueueFull(1)
		return false
	}
	return true
}

// exported notes that n have left the queue.
func (q *queue) exported(n int, err error) {
	q.waiting.Add(-int64(n))
	if err != nil {
		q.ledger.NotTaken(n)
	} else {
		q.ledger.Taken(n)
	}
}

// sizeOf returns a number of the environment, or standard.
func sizeOf(env func(string) string, name string, standard int) int {
	if n, err := strconv.Atoi(env(name)); err == nil && n > 0 {
		return n
	}
	return standard
}

// processor takes spans off the threads on which they end.
type processor struct {
	trace.SpanProcessor
	queue *queue
}

// before returns a processor that hands to next what there is room for.
func (q *queue) before(next trace.SpanProcessor) trace.SpanProcessor { return &processor{next, q} }

// OnEnd is that of trace.SpanProcessor. It does not wait.
func (p *processor) OnEnd(s trace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if p.queue.room() {
		p.SpanProcessor.OnEnd(s)
	}
}

// exporting counts what it hands to the exporter.
type exporting struct {
	trace.SpanExporter
	queue *queue
}

func (q *queue) counted(e trace.SpanExporter) trace.SpanExporter { return &exporting{e, q} }

// ExportSpans is that of trace.SpanExporter.
func (e *exporting) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.queue.exported(len(spans), err)
	return err
}

// failures are what the SDK reports. Each may come with every batch, so that one a minute is logged.
var failures failureLog

type failureLog struct {
	mu   sync.Mutex
	next time.Time
	left int
}

const failureInterval = time.Minute

func (l *failureLog) report(err error) {
	l.mu.Lock()
	now := time.Now()
	silent := now.Before(l.next)
	left := l.left
	if silent {
		l.left++
	} else {
		l.next, l.left = now.Add(failureInterval), 0
	}
	l.mu.Unlock()
	if !silent {
		slog.Warn("exporting traces, metrics or logs fails", "error", err, "more_like_this", left)
	}
}
