package golang_test

import (
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host/golang/internal/fakeenvoy"
)

// passes sets a header and lets pass.
type passes struct{}

func init() { filter.Register[passes]("fakepasses", filter.Transform) }

func (passes) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	h.Set("x-out", "1")
	return filter.Continue
}

// BenchmarkStream is what a stream costs between a fake Envoy and the chain.
func BenchmarkStream(b *testing.B) {
	config, err := fakeenvoy.Configure("fakepasses", nil)
	if err != nil {
		b.Fatalf("configuring: %v", err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if got := fakeenvoy.Stream(config, time.Second); got.Status != 2 {
			b.Fatalf("got status %d, want 2", got.Status)
		}
	}
	fakeenvoy.Forget(config)
}
