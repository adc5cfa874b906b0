// Command otelcol is an OpenTelemetry Collector for tests: it takes traces, metrics and logs over OTLP, by gRPC and HTTP, and
// prints each batch that it has taken as a line of OTLP's JSON. It is a module of its own, as the collector needs other versions of much
// that the rest has.
package main

import (
	"context"
	"log"
	"os"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
)

// main serves until it is interrupted. Its arguments are the addresses for gRPC and for HTTP.
func main() {
	c, err := otelcol.NewCollector(otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "otelcol", Version: "test"},
		Factories: factories,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			URIs:              []string{"yaml:" + configuration(os.Args[1], os.Args[2])},
			ProviderFactories: []confmap.ProviderFactory{yamlprovider.NewFactory()},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func configuration(grpc, http string) string {
	return `
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "` + grpc + `"}
      http: {endpoint: "` + http + `"}
exporters: {lines: }
service:
  telemetry:
    metrics: {level: none}
  pipelines:
    traces: {receivers: [otlp], exporters: [lines]}
    metrics: {receivers: [otlp], exporters: [lines]}
    logs: {receivers: [otlp], exporters: [lines]}
`
}

func factories() (otelcol.Factories, error) {
	lines := exporter.NewFactory(component.MustNewType("lines"),
		func() component.Config { return &struct{}{} },
		exporter.WithTraces(newLines, component.StabilityLevelStable),
		exporter.WithMetrics(newMetricLines, component.StabilityLevelStable),
		exporter.WithLogs(newLogLines, component.StabilityLevelStable))
	receivers, err := otelcol.MakeFactoryMap[receiver.Factory](otlpreceiver.NewFactory())
	if err != nil {
		return otelcol.Factories{}, err
	}
	exporters, err := otelcol.MakeFactoryMap[exporter.Factory](lines)
	return otelcol.Factories{Receivers: receivers, Exporters: exporters, Telemetry: otelconftelemetry.NewFactory()}, err
}

// printer is the exporter.
type printer struct {
	component.StartFunc
	component.ShutdownFunc
}

func newLines(context.Context, exporter.Settings, component.Config) (exporter.Traces, error) {
	return &printer{}, nil
}

func newMetricLines(context.Context, exporter.Settings, component.Config) (exporter.Metrics, error) {
	return &printer{}, nil
}

func newLogLines(context.Context, exporter.Settings, component.Config) (exporter.Logs, error) {
	return &printer{}, nil
}

// Capabilities is that of consumer.Traces, consumer.Metrics and consumer.Logs.
func (*printer) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// ConsumeTraces prints a batch.
func (*printer) ConsumeTraces(_ context.Context, batch ptrace.Traces) error {
	return printLine((&ptrace.JSONMarshaler{}).MarshalTraces(batch))
}

// ConsumeMetrics prints a batch.
func (*printer) ConsumeMetrics(_ context.Context, batch pmetric.Metrics) error {
	return printLine((&pmetric.JSONMarshaler{}).MarshalMetrics(batch))
}

// ConsumeLogs prints a batch.
func (*printer) ConsumeLogs(_ context.Context, batch plog.Logs) error {
	return printLine((&plog.JSONMarshaler{}).MarshalLogs(batch))
}

func printLine(line []byte, err error) error {
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(line, '\n')) // in one piece
	return err
}
