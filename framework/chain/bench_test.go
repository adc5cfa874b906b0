package chain_test

import (
	"context"
	"runtime"
	"testing"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
)

// bench runs streams of n plugins over request and response. Beside the time it reports the CPU that this thread took,
// which means more on a busy machine.
func bench[T any](b *testing.B, n int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := chain.New(plugins(n, func() *T { return new(T) }), chain.Options{Misuse: func(p, w string) { b.Errorf("plugin %s %s", p, w) }})
	b.ReportAllocs()
	before := threadCPU()
	for b.Loop() {
		st := c.Start(dead{}, dead{})
		fill(st)
		st.Headers(chain.Request, true)
		st.Headers(chain.Response, true)
		st.Done()
	}
	b.ReportMetric(float64(threadCPU()-before)/float64(b.N), "cpu-ns/op")
}

func BenchmarkNone(b *testing.B)         { bench[nop](b, 0) }
func BenchmarkNop5(b *testing.B)         { bench[nop](b, 5) }
func BenchmarkRead1Set2x1(b *testing.B)  { bench[rw](b, 1) }
func BenchmarkRead1Set2x5(b *testing.B)  { bench[rw](b, 5) }
func BenchmarkRead1Set2x10(b *testing.B) { bench[rw](b, 10) }

type async struct{}

func (*async) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.Go(func(context.Context) filter.Action { return filter.Continue })
}

type mailbox struct {
	dead
	c chan func()
}

func (m mailbox) Post(f func()) { m.c <- f }

func BenchmarkGo(b *testing.B) {
	o := chain.Options{Misuse: func(p, w string) { b.Errorf("plugin %s %s", p, w) }}
	c := chain.New(plugins(1, func() *async { return new(async) }), o)
	m := mailbox{c: make(chan func(), 1)}
	b.ReportAllocs()
	for b.Loop() {
		st := c.Start(dead{}, m)
		fill(st)
		st.Headers(chain.Request, true)
		(<-m.c)()
		st.Headers(chain.Response, true)
		st.Done()
	}
}

func BenchmarkGet(b *testing.B) {
	c := chain.New(nil, chain.Options{})
	st := c.Start(dead{}, dead{})
	fill(st)
	s := internals.Stream(&st.Stream, 0)
	b.ReportAllocs()
	for b.Loop() {
		s.RequestHeaders().Get("x-request-id")
	}
}
