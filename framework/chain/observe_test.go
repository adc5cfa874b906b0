package chain_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// observed notes what is reported to it, but for how long things took, which it adds up.
type observed struct {
	all  []string
	took map[string]time.Duration
}

func (o *observed) Observe(e chain.Observation) {
	what := strings.TrimSpace(fmt.Sprint(e.Plugin, " ", e.Phase))
	o.note(e, what)
	if o.took == nil {
		o.took = map[string]time.Duration{}
	}
	if e.Kind == chain.PhaseEnds {
		o.took[what] += e.Took
		o.took[what+" waited"] += e.Waited
	}
}

func (o *observed) note(e chain.Observation, what string) {
	text := ""
	switch e.Kind {
	case chain.StreamBegins:
		text = "begin"
	case chain.PhaseBegins:
		text = what
	case chain.PhaseEnds:
		text = what + " ends"
		if e.Cut {
			text = what + " is cut"
		}
		for _, c := range e.Changed {
			text += fmt.Sprintf(" %s %d→%d", c.Name, c.Before, c.After)
		}
	case chain.WaitBegins:
		text = what + " waits for " + e.Wait.String()
	case chain.WaitEnds:
		text = e.Plugin + " has waited for " + e.Wait.String()
	case chain.PluginTimesOut:
		text = e.Plugin + " times out, " + e.Wait.String()
	case chain.PluginPanics:
		text = e.Plugin + " panics in " + e.Details
	case chain.StreamReplies:
		text = fmt.Sprint(e.Plugin, " replies ", e.Status, " ", e.Details, " own ", e.Own)
	case chain.StreamResets:
		text = "reset " + e.Details
	case chain.StreamEnds:
		text = "end"
	}
	o.all = append(o.all, text)
}

// pairs checks that what begins for an observer ends for it, once, and before the stream does.
type pairs struct {
	h     *strict
	phase [core.Directions]string
	done  string
	waits int
	ended bool
}

func (p *pairs) Observe(e chain.Observation) {
	if p.ended {
		p.h.bug("observed after the end: %v", e.Kind)
	}
	if !p.h.on {
		p.h.bug("observed off the stream's thread: %v", e.Kind)
	}
	open := &p.done
	if int(e.Phase) < phase.Count && phase.Table[e.Phase].Direction != core.NoDirection {
		open = &p.phase[phase.Table[e.Phase].Direction]
	}
	what := e.Plugin + " " + e.Phase.String()
	switch e.Kind {
	case chain.PhaseBegins:
		if *open != "" {
			p.h.bug("%s begins in %s", what, *open)
		}
		*open = what
	case chain.PhaseEnds:
		if *open != what {
			p.h.bug("%s ends in %q", what, *open)
		}
		*open = ""
	case chain.WaitBegins:
		p.waits++
	case chain.WaitEnds:
		p.waits--
	case chain.StreamEnds:
		p.ended = true
		if p.waits != 0 || p.done != "" || p.phase != [core.Directions]string{} {
			p.h.bug("the stream ends with %d waits and the phases %q", p.waits, p.phase)
		}
	}
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
	second := &observed{}
	st.AddObserver(o)
	st.AddObserver(second)
	fill(st)
	st.Headers(chain.Request, false)
	st.Data(chain.Request, []byte("a"), false)
	st.Trailers(chain.Request)
	st.Headers(chain.Response, false)
	st.Data(chain.Response, []byte("b"), true)
	st.Done()
	want := []string{
		"begin", "p0 OnRequestHeaders", "p0 OnRequestHeaders ends", "p1 OnRequestHeaders", "p1 OnRequestHeaders ends",
		"p1 OnRequest waits for body", "p0 OnRequestBody", "p0 OnRequestBody ends", "p0 OnRequestTrailers",
		"p0 OnRequestTrailers ends", "p1 has waited for body", "p1 OnRequest", "p1 OnRequest ends",
		"p1 OnResponseHeaders", "p1 OnResponseHeaders ends", "p0 OnResponseHeaders", "p0 OnResponseHeaders ends",
		"p1 OnResponseBody", "p1 panics in OnResponseBody", "p1 OnResponseBody is cut",
		"p1 replies 500 moe.p1.panic own false", "reset reply (moe.p1.panic) after the response has begun",
		"p0 OnComplete", "p0 OnComplete ends", "p1 OnComplete", "p1 OnComplete ends", "end",
	}
	if diff := cmp.Diff(want, o.all); diff != "" {
		t.Errorf("the calls (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(o.all, second.all); diff != "" {
		t.Errorf("what two observers have learned (-first +second):\n%s", diff)
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
	const what = "p0 OnRequestHeaders"
	if diff := cmp.Diff([]string{"begin", what, what + " waits for go"}, o.all); diff != "" {
		t.Errorf("told before the function has returned (-want +got):\n%s", diff)
	}
	(<-box.c)()
	st.Done()
	want := []string{
		"begin", what, what + " waits for go", "p0 has waited for go", what + " ends", "p0 OnComplete", "p0 OnComplete ends", "end",
	}
	if diff := cmp.Diff(want, o.all); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if took, waited := o.took[what], o.took[what+" waited"]; took < wait || waited < wait || waited > took {
		t.Errorf("the phase took %v and waited %v, want %v or more", took, waited, wait)
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
	want := []string{
		"begin", "p0 OnRequestHeaders", "p0 OnRequestHeaders waits for go", "p0 times out, go", "p0 has waited for go",
		"p0 OnRequestHeaders is cut", "p0 replies 504 moe.p0.timeout own false", "p0 OnComplete", "p0 OnComplete ends", "end",
	}
	if diff := cmp.Diff(want, o.all); diff != "" {
		t.Errorf("the calls (-want +got):\n%s", diff)
	}
}

// The observer learns of a plugin's own reply, and of the headers that phases change: names and sizes, no values.
func TestObserverOfReplyAndHeaders(t *testing.T) {
	o := &observed{}
	c := probeChain(chain.Options{Observe: func(st *chain.Stream) chain.Observer {
		st.ObserveHeaders()
		return o
	}}, &probe{reqH: func(_ filter.Stream, h filter.Headers, _ bool) filter.Action {
		h.Set("x-new", "secret")
		h.Add("x-new", "s")
		h.Set("x-request-id", h.Get("x-request-id")) // as it was
		h.Del("accept")
		h.Set(":path", "/abc")
		return filter.Continue
	}}, &probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action {
		return filter.Reply(403, "")
	}})
	st := c.Start(dead{}, dead{})
	fill(st)
	st.H[core.RequestHeaders].Fields = append(st.H[core.RequestHeaders].Fields, core.Field{Name: "accept", Value: "any"})
	st.Headers(chain.Request, true)
	st.Done()
	want := []string{
		"begin", "p0 OnRequestHeaders", "p0 OnRequestHeaders ends :path 1→4 x-new -1→7 accept 6→-1",
		"p1 OnRequestHeaders", "p1 OnRequestHeaders ends", "p1 replies 403 moe.p1 own true",
		"p0 OnResponseHeaders", "p0 OnResponseHeaders ends", "p0 OnComplete", "p0 OnComplete ends", "p1 OnComplete",
		"p1 OnComplete ends", "end",
	}
	if diff := cmp.Diff(want, o.all); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
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

func (counts) Observe(chain.Observation) {}

// annotating adds a field to the response.
type annotating struct {
	observed
	field core.Field
}

func (a *annotating) Annotate() core.Field { return a.field }

// Several observers of one stream learn the same, and what they add goes beside what is there.
func TestSeveralObservers(t *testing.T) {
	first, second := &observed{}, &annotating{field: core.Field{Name: "x-b", Value: "2"}}
	third := &annotating{field: core.Field{Name: "x-b", Value: "3"}}
	nothing := &annotating{}
	watched := 0
	c := probeChain(chain.Options{
		Observe: func(*chain.Stream) chain.Observer { return first },
		Watch: func(st *chain.Stream) chain.Observer {
			watched++
			st.RemoveRequestHeader("x-secret")
			if h := &st.H[core.RequestHeaders]; h.Index("x-a") < 0 || h.Index("x-secret") >= 0 || h.Index("x_secret") >= 0 {
				t.Errorf("Watch: the headers are %v, want x-a and no x-secret", h.Fields)
			}
			return second
		},
	}, &probe{})
	st := c.Start(dead{}, dead{})
	st.AddObserver(third)
	st.AddObserver(nothing)
	for block, fields := range map[int][]core.Field{
		core.RequestHeaders: {
			{Name: "x-a", Value: "1"}, {Name: "x-secret", Value: "hush"}, {Name: "x_secret", Value: "hush"},
		},
		core.ResponseHeaders: {{Name: ":status", Value: "200"}, {Name: "x-b", Value: "1"}},
	} {
		st.H[block].Fields, st.H[block].Present = append(st.H[block].Fields, fields...), true
	}
	st.Headers(chain.Request, true)
	st.Headers(chain.Response, true)
	h := &st.H[core.ResponseHeaders]
	var got []string
	for _, f := range h.Fields {
		got = append(got, f.Name+"="+f.Value)
	}
	if diff := cmp.Diff([]string{":status=200", "x-b=1", "x-b=3", "x-b=2"}, got); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"x-b"}, h.Changed); diff != "" || !h.Multi || h.Fresh != 0 {
		t.Errorf("changed (-want +got):\n%s\nmulti %t, fresh %b; want multi and none fresh", diff, h.Multi, h.Fresh)
	}
	st.Done()
	if watched != 1 {
		t.Errorf("Watch was called %d times, want once", watched)
	}
	if len(first.all) == 0 || first.all[0] != "begin" {
		t.Errorf("observed: %q, want begin first", first.all)
	}
	for name, o := range map[string]*annotating{"Watch's": second, "the host's": third, "one without a field": nothing} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(first.all, o.all); diff != "" {
				t.Errorf("observed (-first +this):\n%s", diff)
			}
		})
	}
}
