package chain_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// bareHost has no limits and no metadata.
type bareHost struct{ core.Host }

func (bareHost) BufferLimit() int                      { return 0 }
func (bareHost) Escaped()                              {}
func (bareHost) SetMetadata(string, string, any) error { return core.ErrUnsupported }

// bareSink notes what leaves.
type bareSink struct {
	posts chan func()
	went  [2]bool
}

func (s *bareSink) Headers(dir core.Direction, _ bool) { s.went[dir] = true }
func (s *bareSink) Data(core.Direction, []byte, bool)  {}
func (s *bareSink) Trailers(core.Direction)            {}
func (s *bareSink) Reset(string)                       {}
func (s *bareSink) Post(f func())                      { s.posts <- f }

// A consumer's chain that must be made first, where the plugin that finds the consumer is the last one.
func TestChainIsNotReady(t *testing.T) {
	plugin := func(name string, config any) chain.Plugin {
		return chain.Plugin{Name: name, Reg: filter.Lookup(name), Config: config}
	}
	first := plugin("who", &who{})
	for _, c := range []struct {
		name   string
		wait   func(context.Context) error
		status string // of the reply; "" goes on
	}{
		{"made", func(context.Context) error { return nil }, ""},
		{"cannot be made", func(context.Context) error { return errors.New("no") }, "500"},
		{"panics", func(context.Context) error { panic("no") }, "500"},
		{"takes too long", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "504"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var unused atomic.Int32
			to := chain.New([]chain.Plugin{first, plugin("mark", &mark{"own"})},
				chain.Options{Unused: func() { unused.Add(1) }})
			ready := false
			home := chain.New([]chain.Plugin{first}, chain.Options{
				Timeout: 200 * time.Millisecond,
				ForConsumer: func(*filter.Consumer) (*chain.Chain, error) {
					if !ready {
						ready = true
						return nil, chain.NotReady(c.wait)
					}
					if !to.Acquire() {
						t.Error("the chain was let go of")
					}
					return to, nil
				},
			})
			sink := &bareSink{posts: make(chan func(), 8)}
			st := home.Start(bareHost{}, sink)
			b := &st.H[core.RequestHeaders]
			b.Fields, b.Present = []core.Field{{Name: ":method", Value: "GET"}, {Name: "x-user", Value: "tom"}}, true
			st.Headers(core.Request, true)
			for !sink.went[core.Request] && !sink.went[core.Response] {
				select {
				case f := <-sink.posts:
					f()
				case <-time.After(20 * time.Second):
					t.Fatal("it waits for ever")
				}
			}
			if c.status == "" {
				if i := b.Index("x-trace"); i < 0 || b.Fields[i].Value != "own" {
					t.Errorf("the consumer's plugin did not run: %v", b.Fields)
				}
			} else if got := st.H[core.ResponseHeaders].Fields[0].Value; got != c.status {
				t.Errorf("status %s, want %s", got, c.status)
			}
			if to.Release() && c.status == "" {
				t.Error("the stream does not hold the chain")
			}
			st.Done()
			if got := unused.Load(); got != 1 && c.status == "" {
				t.Errorf("Unused was called %d times", got)
			}
			if to.Acquire() {
				t.Error("a chain that nobody holds can be held")
			}
		})
	}
}

// A chain without plugins may wait for the chain of a consumer that was found before it. When that takes too long, no plugin is
// blamed, whether there is one or not.
func TestChainIsNotReadyInTime(t *testing.T) {
	wait := func(context.Context) error { <-t.Context().Done(); return t.Context().Err() }
	for name, plugins := range map[string][]chain.Plugin{
		"no plugins": nil,
		"a plugin":   {{Name: "who", Reg: filter.Lookup("who"), Config: &who{}}},
	} {
		t.Run(name, func(t *testing.T) {
			o := &observed{}
			sink := &bareSink{posts: make(chan func(), 8)}
			c := chain.New(plugins, chain.Options{
				Timeout:     10 * time.Millisecond,
				ForConsumer: func(*filter.Consumer) (*chain.Chain, error) { return nil, chain.NotReady(wait) },
				Observe:     func(*chain.Stream) chain.Observer { return o },
			})
			st := c.Start(bareHost{}, sink)
			st.Consumer = &filter.Consumer{Name: "tom"}
			b := &st.H[core.RequestHeaders]
			b.Fields, b.Present = []core.Field{{Name: ":method", Value: "GET"}}, true
			st.Headers(core.Request, true)
			select {
			case f := <-sink.posts:
				f()
			case <-time.After(20 * time.Second):
				t.Fatal("it waits for ever")
			}
			if got := st.H[core.ResponseHeaders].Fields[0].Value; got != "504" || st.ReplyDetails != "moe.consumer.timeout" {
				t.Errorf("status %s, details %q, want 504 and moe.consumer.timeout", got, st.ReplyDetails)
			}
			for _, m := range c.Metrics() {
				if m.Name == "moe.timeouts" && m.Sum() != 0 {
					t.Errorf("%d time-outs are counted for plugins, want 0", m.Sum())
				}
			}
			st.Done()
			late, reply := " times out, consumer", " replies 504 moe.consumer.timeout own false"
			if !slices.Contains(o.all, late) || !slices.Contains(o.all, reply) {
				t.Errorf("observed %q, want %q and %q among it", o.all, late, reply)
			}
		})
	}
}
