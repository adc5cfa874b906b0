package fakeenvoy_test

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"mosn.io/moe/framework/host/dynmod/internal/fakeenvoy"
	"mosn.io/moe/framework/telemetry"
)

// slowExporter sends what waits only when it is let go.
type slowExporter struct {
	noop.TracerProvider
	asked, sent chan struct{}
}

func (e *slowExporter) ForceFlush(context.Context) error {
	close(e.asked)
	<-e.sent
	return nil
}

// A worker that drops the last configuration does not wait for traces to leave: its other streams would wait with it.
func TestWorkerDoesNotFlush(t *testing.T) {
	m := startMain(t)
	e := &slowExporter{asked: make(chan struct{}), sent: make(chan struct{})}
	conf := m.config(t, document(""))
	telemetry.Export(e)
	t.Cleanup(func() { telemetry.Export(nil) })
	dropped := make(chan struct{})
	go worker(func(*fakeenvoy.Thread) {
		conf.Release()
		close(dropped)
	})
	select {
	case <-dropped:
	case <-time.After(patience):
		t.Error("the worker waits for the exporter, want it to go on")
	}
	select {
	case <-e.asked:
	case <-time.After(patience):
		t.Error("nobody flushes what waits")
	}
	close(e.sent)
}
