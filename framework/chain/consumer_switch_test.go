package chain_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// who is an authentication plugin: the header says who it is, in one of several places.
type who struct {
	How string
}

func (w *who) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	set := func() {
		if name := h.Get("x-user"); name != "" {
			s.SetConsumer(&filter.Consumer{Name: name})
		}
	}
	switch w.How {
	case "later":
		return filter.Go(func(context.Context) filter.Action { set(); return filter.Continue })
	case "whole":
		return filter.WaitBody
	}
	set()
	return filter.Continue
}

func (w *who) OnRequest(s filter.Stream, h filter.RequestHeaders, _ filter.Body) filter.Action {
	s.SetConsumer(&filter.Consumer{Name: h.Get("x-user")})
	return filter.Continue
}

func (w *who) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	h.Add("x-trace", "who")
	return filter.Continue
}

// mark notes in both headers that it ran.
type mark struct{ Name string }

func (m *mark) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	h.Add("x-trace", m.Name)
	return filter.Continue
}

func (m *mark) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	h.Add("x-trace", m.Name)
	return filter.Continue
}

// state is a mark with a handler for each stream.
type state struct{ mark }

type stateLife struct {
	*state
	n int
}

func (s *state) newStream(filter.Stream) *stateLife { return &stateLife{state: s} }
func (l *stateLife) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, end bool) filter.Action {
	l.n++
	return l.mark.OnRequestHeaders(s, h, end)
}

func (l *stateLife) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, end bool) filter.Action {
	if l.n != 1 {
		return filter.Fail(errors.New("another handler"))
	}
	return l.mark.OnResponseHeaders(s, h, end)
}

func init() {
	filter.Register[who]("who", filter.Authn)
	filter.Register[mark]("mark", filter.Traffic)
	filter.RegisterPerStream("state", filter.Access, (*state).newStream)
}

func TestSwitchChain(t *testing.T) {
	for _, how := range []string{"", "later", "whole"} {
		t.Run(fmt.Sprintf("%q", how), func(t *testing.T) {
			h := &filtertest.Host{ConsumerPlugins: map[string][]any{
				"bob":  {&mark{"bob's"}},                     // replaces the mark
				"eve":  {&probe{reqH: replyHeaders("evil")}}, // comes last
				"dave": {&mark{"dave's"}, &state{mark{"dave's state"}}},
			}}
			if err := h.Load(t, &state{mark{"state"}}, &who{how}, &mark{"everyone's"}); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			for _, c := range []struct{ user, up, down string }{
				{"carol", "state everyone's", "everyone's who state"},
				{"bob", "state bob's", "bob's who state"},
				{"eve", "", "everyone's who state"},
			} {
				t.Run(c.user, func(t *testing.T) {
					r := h.Post("/", "x", "x-user", c.user)
					up := ""
					if r.Upstream != nil {
						up = strings.Join(r.Upstream.Header["X-Trace"], " ")
					}
					if down := strings.Join(r.Header["X-Trace"], " "); up != c.up || down != c.down {
						t.Errorf("%s %q: up %q, down %q", c.user, how, up, down)
					}
				})
			}
			if r := h.Get("/", "x-user", "dave"); r.Status != 500 || r.Details != "moe.consumer" || r.Upstream != nil {
				t.Errorf("a chain that does not fit: %d %s", r.Status, r.Details) // its first plugin is another instance
			}
		})
	}
}

func replyHeaders(body string) func(filter.Stream, filter.Headers, bool) filter.Action {
	return func(filter.Stream, filter.Headers, bool) filter.Action { return filter.Reply(403, body) }
}

// In a chain that is not in the order of stages, the stream switches to the consumer's chain after the plugin that named the consumer.
func TestSwitchInTheOrderListed(t *testing.T) {
	h := &filtertest.Host{ConsumerPlugins: map[string][]any{"bob": {&mark{"bob's"}}}}
	if err := h.Load(t, &probe{}, &who{}, &mark{"everyone's"}, &who{}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	if r := h.Get("/", "x-user", "bob"); strings.Join(r.Header["X-Trace"], " ") != "who bob's who" {
		t.Errorf(`strings.Join(r.Header["X-Trace"], " ") = %q, want %q: %v`,
			strings.Join(r.Header["X-Trace"], " "), "who bob's who", r.Header)
	}
}

func TestSwitchFails(t *testing.T) {
	for name, f := range map[string]func(*filter.Consumer) (*chain.Chain, error){
		"an error": func(*filter.Consumer) (*chain.Chain, error) { return nil, errors.New("no") },
		"a panic":  func(*filter.Consumer) (*chain.Chain, error) { panic("no") },
	} {
		t.Run(name, func(t *testing.T) {
			ps := []chain.Plugin{{Name: "who", Reg: filter.Lookup("who"), Config: &who{}}}
			st := chain.New(ps, chain.Options{ForConsumer: f}).Start(dead{}, dead{})
			fill(st)
			st.H[core.RequestHeaders].Fields = append(st.H[core.RequestHeaders].Fields, core.Field{Name: "x-user", Value: "bob"})
			st.Headers(chain.Request, true)
			if !st.Replied || st.ReplyDetails != "moe.consumer" {
				t.Errorf("st.Replied: got false, want true; st.ReplyDetails = %q, want %q", st.ReplyDetails, "moe.consumer")
			}
			st.Done()
		})
	}
}

// broken cannot make its handler.
type broken struct{}

type brokenLife struct{}

func (brokenLife) OnResponseHeaders(filter.Stream, filter.ResponseHeaders, bool) filter.Action {
	return filter.Continue
}

func init() {
	filter.RegisterPerStream("broken", filter.Observe, func(*broken, filter.Stream) brokenLife { panic("boom") })
}

func TestNewStreamPanics(t *testing.T) {
	h := &filtertest.Host{AllowsBugs: true}
	if err := h.Load(t, &mark{"m"}, &broken{}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	r := h.Post("/", "x")
	if r.Status != 500 || r.Details != "moe.broken.panic" || r.Upstream != nil || r.Header["X-Trace"] != nil {
		t.Errorf("status %d, details %q, headers %v; want 500, moe.broken.panic, and no plugin that has seen it", r.Status, r.Details, r.Header)
	}
	if h.Metric("moe.panics", "broken") != 1 {
		t.Error("not counted")
	}
}

// brokenBody wants no headers, so that a host may pass them on by itself.
type brokenBody struct{}

type brokenBodyLife struct{}

func (brokenBodyLife) OnRequestBody(filter.Stream, filter.Body, bool) filter.Action {
	return filter.Continue
}

func init() {
	boom := func(*brokenBody, filter.Stream) brokenBodyLife { panic("boom") }
	filter.RegisterPerStream("brokenbody", filter.Observe, boom)
}

func TestNewStreamPanicsUnseen(t *testing.T) {
	ps := []chain.Plugin{{Name: "b", Reg: filter.Lookup("brokenbody"), Config: &brokenBody{}}}
	st := chain.New(ps, chain.Options{}).Start(dead{}, dead{})
	fill(st)
	st.Skip(chain.Request)
	st.Data(chain.Request, []byte("x"), false)
	if !st.Replied || st.ReplyDetails != "moe.b.panic" {
		t.Error("the request passes a plugin that is broken")
	}
	st.Done()
}

func TestOnCompletePanics(t *testing.T) {
	n := 0
	h := &filtertest.Host{AllowsBugs: true}
	err := h.Load(t, &probe{done: func(filter.Stream) { panic("boom") }}, &probe{done: func(filter.Stream) { n++ }})
	if err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	if r := h.Get("/"); r.Status != 200 || n != 1 || h.Metric("moe.panics", "probe") != 1 {
		t.Errorf(`r.Status = %d, want 200; n = %d, want 1; h.Metric("moe.panics", "probe") = %d, want 1`,
			r.Status, n, h.Metric("moe.panics", "probe"))
	}
}

// lazy is a host that hands blocks over when they are asked for.
type lazy struct {
	dead
	fetched *int
}

func (l lazy) Fetch(block int) []core.Field {
	*l.fetched++
	return []core.Field{{Name: "x-block", Value: fmt.Sprint(block)}}
}

func TestFetch(t *testing.T) {
	n := 0
	st := chain.New(nil, chain.Options{}).Start(lazy{fetched: &n}, dead{})
	st.Remote = 1<<core.RequestHeaders | 1<<core.ResponseTrailers
	s := internals.Stream(&st.Stream, 0)
	for range 2 {
		if got := s.RequestHeaders().Get("x-block") + s.ResponseTrailers().Get("x-block"); got != "03" {
			t.Errorf("got %q, want %q", got, "03")
		}
	}
	if s.ResponseHeaders().Len() != 0 || n != 2 || st.Remote != 0 {
		t.Errorf("s.ResponseHeaders().Len() = %d, want 0; n = %d, want 2; st.Remote = %d, want 0",
			s.ResponseHeaders().Len(), n, st.Remote)
	}
	st.Done()
}

func TestWants(t *testing.T) {
	reg := func(name string, cfg any) chain.Plugin {
		return chain.Plugin{Name: name, Reg: filter.Lookup(name), Config: cfg}
	}
	c := chain.New([]chain.Plugin{reg("mark", &mark{})}, chain.Options{})
	if c.Wants() != phase.RequestHeaders|phase.ResponseHeaders {
		t.Errorf("c.Wants() = %d, want %d", c.Wants(), phase.RequestHeaders|phase.ResponseHeaders)
	}
	c = chain.New([]chain.Plugin{reg("mark", &mark{}), reg("waiter", &waiter{T: &trace{}})}, chain.Options{})
	if c.Wants() != phase.RequestHeaders|phase.ResponseHeaders {
		t.Errorf("c.Wants() = %d, want %d", c.Wants(), phase.RequestHeaders|phase.ResponseHeaders)
	}
	st := c.Start(dead{}, dead{})
	fill(st)
	st.Headers(chain.Request, false)
	if held := st.Wants(); held != c.Wants()|phase.RequestBody|phase.RequestTrailers {
		t.Errorf("while a body is held: %b", held)
	}
	st.Data(chain.Request, []byte("x"), true)
	if got := st.Wants(); got != c.Wants() {
		t.Errorf("afterwards: %b", got)
	}
	st.Done()
}
