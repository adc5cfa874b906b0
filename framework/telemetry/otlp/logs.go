package otlp

import (
	"context"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/sdk/log"

	"mosn.io/moe/framework/telemetry"
)

// standardQueue is the default of OTEL_BLRP_MAX_QUEUE_SIZE.
const standardQueue = 2048

// lines returns what exports logs as the environment wants it, or nil where it wants none.
func lines(ctx context.Context, env func(string) string) (*log.LoggerProvider, error) {
	asked, err := wantedOf(env, "LOGS")
	if !asked || err != nil {
		return nil, err
	}
	exporter, err := logExporter(ctx, env)
	if err != nil {
		return nil, err
	}
	res, err := resourceOf(ctx)
	if err != nil {
		return nil, err
	}
	size := sizeOf(env, "OTEL_BLRP_MAX_QUEUE_SIZE", standardQueue)
	return log.NewLoggerProvider(log.WithResource(res), log.WithProcessor(lineQueue(exporter, size))), nil
}

func logExporter(ctx context.Context, env func(string) string) (log.Exporter, error) {
	switch v := protocol(env, "LOGS"); v {
	case "grpc":
		return otlploggrpc.New(ctx)
	case "http/protobuf":
		return otlploghttp.New(ctx)
	default:
		return nil, unknownProtocol(v)
	}
}

// lineQueue returns a processor that hands lines to e in batches, in the background, and keeps size of them at most.
func lineQueue(e log.Exporter, size int, options ...log.BatchProcessorOption) log.Processor {
	q := newQueue(size, telemetry.Lines())
	options = append(options, log.WithMaxQueueSize(size))
	return &lineProcessor{log.NewBatchProcessor(&lineExporter{e, q}, options...), q}
}

// lineProcessor takes lines off the threads that log them.
type lineProcessor struct {
	*log.BatchProcessor
	queue *queue
}

// OnEmit is that of log.Processor. It does not wait.
func (p *lineProcessor) OnEmit(ctx context.Context, r *log.Record) error {
	if !p.queue.room() {
		return nil
	}
	return p.BatchProcessor.OnEmit(ctx, r)
}

// lineExporter counts what it hands to the exporter.
type lineExporter struct {
	log.Exporter
	queue *queue
}

// Export is that of log.Exporter.
func (e *lineExporter) Export(ctx context.Context, all []log.Record) error {
	err := e.Exporter.Export(ctx, all)
	e.queue.exported(len(all), err)
	return err
}
