package chain_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/phase"
)

// some takes part in the phases that its configuration names.
type some struct {
	In []phase.Phase `json:"in"`

	calls []string
}

func (s *some) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	s.calls = append(s.calls, "request headers")
	return filter.Continue
}

func (s *some) OnResponseHeaders(filter.Stream, filter.ResponseHeaders, bool) filter.Action {
	s.calls = append(s.calls, "response headers")
	return filter.Continue
}

func (s *some) OnRequest(filter.Stream, filter.RequestHeaders, filter.Body) filter.Action {
	s.calls = append(s.calls, "request")
	return filter.Continue
}

func (s *some) OnComplete(filter.Stream) { s.calls = append(s.calls, "complete") }

// SkipsPhase is that of filter.PhaseSkipper.
func (s *some) SkipsPhase(method string) bool {
	return !slices.ContainsFunc(s.In, func(p phase.Phase) bool { return phase.Table[p].Method == method })
}

// TestTakingPart has a configuration say which phases of its handler it skips.
func TestTakingPart(t *testing.T) {
	reg := &filter.Registration{
		Registration: extension.Registration{Name: "some", Config: reflect.TypeFor[some](), New: func() any { return new(some) }},
		Handler:      reflect.TypeFor[*some](),
	}
	cases := map[string]struct {
		in        []phase.Phase
		wants     phase.Messages
		wantCalls []string
		whole     []string
	}{
		"none": {},
		"one of the response": {
			in: []phase.Phase{phase.OnResponseHeaders}, wants: phase.ResponseHeaders, wantCalls: []string{"response headers"},
		},
		"all but the whole request": {
			in:        []phase.Phase{phase.OnRequestHeaders, phase.OnResponseHeaders, phase.OnComplete},
			wants:     phase.RequestHeaders | phase.ResponseHeaders | phase.Complete,
			wantCalls: []string{"request headers", "response headers", "complete"},
		},
		"the whole request": {
			in: []phase.Phase{phase.OnRequest}, wants: phase.RequestHeaders, wantCalls: []string{"request"}, whole: []string{"p"},
		},
		"one that the handler lacks": {
			in:    []phase.Phase{phase.OnResponseTrailers, phase.OnComplete},
			wants: phase.Complete, wantCalls: []string{"complete"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := &some{In: c.in}
			made := chain.New([]chain.Plugin{{Name: "p", Reg: reg, Config: p}}, chain.Options{})
			if got := made.Wants(); got != c.wants {
				t.Errorf("Wants() = %b, want %b", got, c.wants)
			}
			if diff := cmp.Diff(c.whole, made.NeedsWholeBody(chain.Request)); diff != "" {
				t.Errorf("NeedsWholeBody (-want +got):\n%s", diff)
			}
			st := made.Start(dead{}, dead{})
			fill(st)
			st.Headers(chain.Request, true)
			st.Headers(chain.Response, true)
			st.Done()
			if diff := cmp.Diff(c.wantCalls, p.calls); diff != "" {
				t.Errorf("phases called (-want +got):\n%s", diff)
			}
		})
	}
}
