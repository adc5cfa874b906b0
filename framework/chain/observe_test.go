package chain_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// observed notes what is reported to it.
type observed struct {
	all  []string
	took map[string]time.Duration
}

func (o *observed) Observe(plugin string, phase phase.Phase, took time.Duration) {
	what := fmt.Sprint(plugin, " ", phase)
	o.all = append(o.all, what)
	if o.took == nil {
		o.took = map[string]time.Duration{}
	}
	o.took[what] += took
}

func probeChain(o chain.Options, all ...*probe) *chain.Chain {
	var ps []chain.Plugin
	for i, p := range all {
		ps = append(ps, chain.Plugin{Name: fmt.Sprint("p", i), Reg: filter.Lookup("probe"), Config: p})
	}
	return chain.New(ps, o)
}

// Every phase is reported once, in the order in which it is called, and no phase of a plugin that does not have it.
func TestObserver(t *testing.T) {
	c := probeChain(chain.Options{}, &probe{}, &probe{
		reqH:  func(filter.Stream, filter.Headers, bool) filter.Action { return filter.WaitBody },
		respB: func(filter.Stream, filter.Body, bool) filter.Action { panic("told of, too") },
	})
	o := &observed{}
	st := c.Start(dead{}, dead{})
	st.Observer = o
	fill(st)
	st.Headers(chain.Request, false)
	st.Data(chain.Request, []byte("a"), false)
	st.Trailers(chain.Request)
	st.Headers(chain.Response, false)
	st.Data(chain.Response, []byte("b"), true)
	st.Done()
	want := []string{
		"p0 OnRequestHeaders", "p1 OnRequestHeaders", "p0 OnRequestBody", "p0 OnRequestTrailers", "p1 OnRequest",
		"p1 OnResponseHeaders", "p0 OnResponseHeaders", "p1 OnResponseBody", "p0 OnComplete",
		"p1 OnComplete",
	}
	if diff := cmp.Diff(want, o.all); diff != "" {
		t.Errorf("the calls (-want +got):\n%s", diff)
	}

	st = c.Start(dead{}, dead{}) // of the same memory
	if st.Observer != nil {
		t.Error("a stream keeps the observer of the one before it")
	}
	st.Done()
}

// What a plugin gives to Go counts to the phase that did so.
func TestObserverOfGo(t *testing.T) {
	const wait = 20 * time.Millisecond
	box := mailbox{c: make(chan func(), 1)}
	c := probeChain(chain.Options{}, &probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action {
		return filter.Go(func(context.Context) filter.Action {
			time.Sleep(wait)
			return filter.Continue
		})
	}})
	o := &observed{}
	st := c.Start(dead{}, box)
	st.Observer = o
	fill(st)
	st.Headers(chain.Request, true)
	if len(o.all) != 0 {
		t.Errorf("told before the function has returned: %v", o.all)
	}
	(<-box.c)()
	st.Done()
	const what = "p0 OnRequestHeaders"
	if !slices.Equal(o.all, []string{what, "p0 OnComplete"}) || o.took[what] < wait {
		t.Errorf("got %v, %v", o.all, o.took)
	}
}

// A plugin that does not answer in time is reported, once.
func TestObserverOfTimeout(t *testing.T) {
	box := mailbox{c: make(chan func(), 2)}
	o := &observed{}
	c := probeChain(chain.Options{Timeout: time.Millisecond}, &probe{
		reqH: func(filter.Stream, filter.Headers, bool) filter.Action {
			return filter.Go(func(ctx context.Context) filter.Action {
				<-ctx.Done()
				return filter.Continue
			})
		},
	})
	st := c.Start(dead{}, box)
	st.Observer = o
	fill(st)
	st.Headers(chain.Request, true)
	(<-box.c)() // the timeout
	(<-box.c)() // the function, which is late
	st.Done()
	if diff := cmp.Diff([]string{"p0 OnRequestHeaders", "p0 OnComplete"}, o.all); diff != "" {
		t.Errorf("the calls (-want +got):\n%s", diff)
	}
}

// Streams that nobody observes allocate nothing, as before.
func TestNoObserverCosts(t *testing.T) {
	c := chain.New(plugins(3, func() *rw { return new(rw) }), chain.Options{})
	run := func(o chain.Observer) float64 {
		return testing.AllocsPerRun(200, func() {
			st := c.Start(dead{}, dead{})
			st.Observer = o
			fill(st)
			st.Headers(core.Request, true)
			st.Headers(core.Response, true)
			st.Done()
		})
	}
	for what, o := range map[string]chain.Observer{"none": nil, "one": counts{}} {
		t.Run(what, func(t *testing.T) {
			if n := run(o); n > 0.5 && !raceEnabled { // the race detector allocates
				t.Errorf("observer %s: %v allocations", what, n)
			}
		})
	}
}

// counts ignores what is reported to it.
type counts struct{}

func (counts) Observe(string, phase.Phase, time.Duration) {}
