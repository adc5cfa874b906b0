package chain_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// mutation is what phased and fixed do.
type mutation struct {
	Request, Response http.Header
	Answers           bool // the request, rather than to pass it on
}

// phased carries a mutation out in phases, and fixed tells it ahead.
type (
	phased mutation
	fixed  mutation
)

func init() {
	filter.Register[phased]("phased", filter.Observe)
	filter.Register[fixed]("fixed", filter.Observe)
	filter.Register[silent]("silent", filter.Observe)
	filter.Register[deciding]("deciding", filter.Observe)
}

func carryOut(h filter.Headers, all http.Header) {
	for name, values := range all {
		h.Del(name)
		for _, v := range values {
			h.Add(name, v)
		}
	}
}

func (p *phased) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	carryOut(h.Headers, p.Request)
	return answer(p.Answers)
}

func (p *phased) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	carryOut(h.Headers, p.Response)
	return filter.Continue
}

func answer(answers bool) filter.Action {
	if answers {
		return filter.Reply(403, "no", filter.WithHeader("x-a", "own"))
	}
	return filter.Continue
}

func (p *fixed) SkipsPhase(method string) bool { return !p.Answers }

func (p *fixed) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return answer(p.Answers)
}

func (p *fixed) SetsHeaders() (request, response http.Header) { return p.Request, p.Response }

// silent has constants and no phase.
type silent struct{ Response http.Header }

func (p *silent) SetsHeaders() (request, response http.Header) { return nil, p.Response }

// deciding has a phase of the request, and constants for the response.
type deciding struct {
	At       string // the phase: headers, body or trailers
	Response http.Header
}

func (p *deciding) SkipsPhase(method string) bool {
	return !strings.HasSuffix(strings.ToLower(method), p.At)
}

func (p *deciding) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.Continue
}

func (p *deciding) OnRequestBody(filter.Stream, filter.Body, bool) filter.Action {
	return filter.Continue
}

func (p *deciding) OnRequestTrailers(filter.Stream, filter.Headers) filter.Action {
	return filter.Continue
}

func (p *deciding) SetsHeaders() (request, response http.Header) { return nil, p.Response }

func randomMutation(r *rand.Rand) http.Header {
	all := http.Header{}
	for range r.IntN(4) {
		var values []string
		for range r.IntN(3) {
			values = append(values, fmt.Sprint(r.IntN(10)))
		}
		all["X-"+string("abc"[r.IntN(3)])] = values
	}
	return all
}

// TestConstantsAreLikePhases has random chains answer the same whether plugins carry out their mutations in phases or tell
// them ahead, and whether the chain or the host then carries them out.
func TestConstantsAreLikePhases(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		var inPhases, mixed, ahead []any
		answers := false
		for range 1 + r.IntN(4) {
			m := mutation{Request: randomMutation(r), Response: randomMutation(r), Answers: r.IntN(6) == 0}
			answers = answers || m.Answers
			p, f := phased(m), fixed(m)
			inPhases, ahead = append(inPhases, &p), append(ahead, &f)
			if r.IntN(2) == 0 {
				mixed = append(mixed, &phased{Request: m.Request, Response: m.Response, Answers: m.Answers})
			} else {
				mixed = append(mixed, &fixed{Request: m.Request, Response: m.Response, Answers: m.Answers})
			}
		}
		want := headersSeen(t, inPhases)
		if diff := cmp.Diff(want, headersSeen(t, mixed)); diff != "" {
			t.Errorf("seed %d, some told ahead (-in phases +told):\n%s", seed, diff)
		}
		if diff := cmp.Diff(want, headersSeen(t, ahead)); diff != "" {
			t.Errorf("seed %d, all told ahead (-in phases +told):\n%s", seed, diff)
		}
		if !answers {
			if diff := cmp.Diff(want, byHost(t, ahead)); diff != "" {
				t.Errorf("seed %d, carried out by the host (-in phases +by the host):\n%s", seed, diff)
			}
		}
	}
}

// seen are the headers of a request at the upstream and of the response at the client, of the names that mutations change.
type seen struct{ Up, Down http.Header }

var given = http.Header{"X-A": {"1", "2"}, "X-B": {"3"}}

func changed(h http.Header) http.Header {
	all := http.Header{}
	for name, values := range h {
		if strings.HasPrefix(name, "X-") {
			all[name] = values
		}
	}
	return all
}

func headersSeen(t *testing.T, plugins []any) (s seen) {
	t.Helper()
	h := filtertest.New(t, plugins...)
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Up = changed(r.Header)
		for name, values := range given {
			w.Header()[name] = values
		}
	})
	s.Down = changed(h.Get("/", "x-a", "1", "x-a", "2", "x-b", "3").Header)
	return s
}

// byHost carries the constants of a chain out as a host does that need not feed it.
func byHost(t *testing.T, plugins []any) (s seen) {
	t.Helper()
	c := chainOf(plugins, chain.Options{})
	carryOut := func(dir core.Direction) http.Header {
		h := given.Clone()
		all := c.Constants(dir)
		if all == nil {
			if c.Wants()&phase.Headers(dir) != 0 {
				t.Errorf("direction %d: the chain wants the headers and offers no constants", dir)
			}
			return h
		}
		for _, k := range all.Changes {
			name := http.CanonicalHeaderKey(k.Name)
			if !k.Add {
				h.Del(name)
			}
			if k.Value != "" {
				h.Add(name, k.Value)
			}
		}
		return h
	}
	return seen{Up: carryOut(chain.Request), Down: carryOut(chain.Response)}
}

func chainOf(plugins []any, o chain.Options) *chain.Chain {
	var list []chain.Plugin
	for i, p := range plugins {
		list = append(list, chain.Plugin{Name: fmt.Sprint("p", i), Reg: filter.LookupType(reflect.TypeOf(p).Elem()), Config: p})
	}
	return chain.New(list, o)
}

// TestConstantsOffered asks for which streams a host may carry constants out by itself.
func TestConstantsOffered(t *testing.T) {
	one := http.Header{"x-a": {"1"}}
	observe := func(o chain.Observer) chain.Options {
		return chain.Options{Observe: func(*chain.Stream) chain.Observer { return o }}
	}
	for _, c := range []struct {
		name    string
		plugins []any
		options chain.Options
		before  bool // offered before the stream begins
		begun   bool // when it has begun
		passed  bool // when the request's headers have passed
		at      bool // likewise, where they end the request
	}{
		{name: "constants alone", plugins: []any{&silent{one}}, before: true, begun: true, passed: true, at: true},
		{name: "a phase of the request", plugins: []any{&deciding{"headers", one}}, before: true, passed: true, at: true},
		{name: "a phase of the request's body", plugins: []any{&deciding{"body", one}}, before: true, at: true},
		{name: "another plugin with a phase of the response", plugins: []any{&silent{one}, &phased{}}},
		{
			name: "an observer", plugins: []any{&silent{one}}, options: observe(new(observed)),
		},
		{
			name: "a stream that nobody observes", plugins: []any{&silent{one}}, options: observe(nil), passed: true, at: true,
		},
		{
			name: "a chain that is watched", plugins: []any{&silent{one}},
			options: chain.Options{Watch: func(*chain.Stream) chain.Observer { return nil }},
		},
		{
			name: "a part that follows", plugins: []any{&silent{one}}, options: chain.Options{Part: chain.Part{Follows: true}},
		},
		{name: "no constants", plugins: []any{&silent{}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			made := chainOf(c.plugins, c.options)
			check := func(when string, got *core.Constants, want bool) {
				t.Helper()
				if (got != nil) != want {
					t.Errorf("%s: constants are offered: %v, want %v", when, got != nil, want)
				}
			}
			check("before the stream", made.Constants(chain.Response), c.before)
			for _, end := range []bool{false, true} {
				st := made.Start(dead{}, dead{})
				check("at its beginning", st.Constants(chain.Response), c.begun)
				if c.name == "a part that follows" {
					st.Skip(chain.Request) // a filter before has answered
					check("after an answer of a filter before", st.Constants(chain.Response), false)
					st.Done()
					continue
				}
				fill(st)
				st.Headers(chain.Request, end)
				want := c.passed
				if end {
					want = c.at
				}
				check(fmt.Sprintf("with the request passed, its end %v", end), st.Constants(chain.Response), want)
				st.Headers(chain.Response, true)
				check("with the response passed", st.Constants(chain.Response), false)
				st.Done()
			}
		})
	}
}

// TestConstantsAreObserved has an observer see constants as the phase whose place they take.
func TestConstantsAreObserved(t *testing.T) {
	o := new(observed)
	made := chainOf([]any{&silent{http.Header{"X-A": {"12"}}}}, chain.Options{
		Observe: func(st *chain.Stream) chain.Observer { st.ObserveHeaders(); return o },
	})
	st := made.Start(dead{}, dead{})
	fill(st)
	st.Headers(chain.Request, true)
	st.Headers(chain.Response, true)
	st.Done()
	want := []string{"begin", "p0 OnResponseHeaders", "p0 OnResponseHeaders ends x-a -1→2", "end"}
	if diff := cmp.Diff(want, o.all); diff != "" {
		t.Errorf("observations (-want +got):\n%s", diff)
	}
}

// TestConstantsRefused has a configuration refused, and the rest of its constants hold where it is not asked.
func TestConstantsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		bad  string
		of   []string
		want string
	}{
		{name: "a pseudo-header", bad: ":status", of: []string{"200"}, want: "depends on the message"},
		{name: "a length", bad: "Content-Length", of: []string{"1"}, want: "depends on the message"},
		{name: "a name with a space", bad: "a b", of: []string{"1"}, want: "not a valid header name"},
		{name: "a value with a line break", bad: "b", of: []string{"1", "1\r\nc: 2"}, want: "b has a control character"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &silent{http.Header{c.bad: c.of, "X-A": {"1"}}}
			err := new(filtertest.Host).Load(t, p)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "SetsHeaders: response") {
				t.Errorf("Load: got error %v, want one about SetsHeaders: response with %q", err, c.want)
			}
			got := chainOf([]any{p}, chain.Options{}).Constants(chain.Response)
			want := []core.Constant{{Field: core.Field{Name: "x-a", Value: "1"}}}
			if diff := cmp.Diff(want, got.Changes); diff != "" {
				t.Errorf("constants of the chain (-want +got):\n%s", diff)
			}
		})
	}
}
