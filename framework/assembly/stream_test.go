package assembly

import (
	"testing"

	"mosn.io/moe/framework/internal/core"
)

// quietHost has no limit and is asked for nothing else.
type quietHost struct{ core.Host }

func (quietHost) BufferLimit() int { return 0 }
func (quietHost) Escaped()         {}

func (quietHost) SetMetadata(string, string, any) error { return core.ErrUnsupported }

type countingSink struct{ headers int }

func (s *countingSink) Headers(core.Direction, bool)      { s.headers++ }
func (s *countingSink) Data(core.Direction, []byte, bool) {}
func (s *countingSink) Trailers(core.Direction)           {}
func (s *countingSink) Reset(string)                      {}
func (s *countingSink) Post(func())                       {}

// A stream goes on with the plugins of the consumer that its authentication finds.
func TestStreamsSwitchChain(t *testing.T) {
	a, _ := fixture(t)
	f := mustFilter(t, a, `{plugins: [{name: key}, {name: limit, config: {rate: 1}}], consumers: [
		{name: alice, credentials: {key: {key: a}}, plugins: [{id: limit, config: {rate: 100}}]},
		{name: bob, credentials: {key: {key: b}}, plugins: [{id: limit, disabled: true}]},
		{name: carol, credentials: {key: {key: c}}}]}`)
	defer f.Close()
	own := liveOf(t, f, nil)
	hits := func(b *live) int64 { return shared.Sum(b.instances[1].plugin.Config.(*limit).hits) }
	for _, step := range []struct {
		name, key  string
		own, alice int64 // the hits of the filter's limit, and of alice's, afterwards
	}{
		{name: "alice, with a limit of her own", key: "a", own: 0, alice: 1},
		{name: "bob, with none", key: "b", own: 0, alice: 1},
		{name: "carol, with the filter's", key: "c", own: 1, alice: 1},
		{name: "an unknown key", key: "nobody's", own: 2, alice: 1},
		{name: "alice again", key: "a", own: 2, alice: 2},
	} {
		t.Run(step.name, func(t *testing.T) {
			sink := &countingSink{}
			st := own.chain.Start(quietHost{}, sink)
			st.H[core.RequestHeaders].Fields = append(st.H[core.RequestHeaders].Fields, core.Field{Name: "x-key", Value: step.key})
			st.H[core.RequestHeaders].Present = true
			st.Headers(core.Request, true)
			st.Done()
			if sink.headers != 1 {
				t.Errorf("the request went on %d times, want once", sink.headers)
			}
			if o, al := hits(own), hits(own.of("alice")); o != step.own || al != step.alice {
				t.Errorf("got %d requests on the filter's limit and %d on alice's, want %d and %d", o, al, step.own, step.alice)
			}
		})
	}
	declared := f.ChainMetrics(nil)
	for name, l := range map[string]*live{"the filter's": own, "alice's": own.of("alice")} {
		t.Run(name, func(t *testing.T) {
			m := shared.Metrics(l.instances[1].plugin.Env)[0]
			n := 0
			for _, d := range declared {
				if d == m {
					n++
				}
			}
			if n != 1 {
				t.Errorf("ChainMetrics has %s %d times", m.Name, n)
			}
		})
	}
	if f.ChainMetrics(&Route{}) != nil {
		t.Error("another filter's route has metrics")
	}
}
