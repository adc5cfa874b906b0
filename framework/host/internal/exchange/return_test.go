package exchange

import (
	"testing"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// fetchHost has the headers that Fetch returns.
type fetchHost struct {
	core.Host
	core.Sink
	Teller
	fetched int
}

func (h *fetchHost) Fetch(int) []core.Field {
	h.fetched++
	return []core.Field{{Name: "x", Value: "fetched"}}
}

func (h *fetchHost) Escaped() {}

// What somebody may still ask for is there as it was; anything else is asked of Envoy.
func TestReturn(t *testing.T) {
	for name, c := range map[string]struct {
		needed, escaped, changed bool
		want                     string
		fetches                  int
	}{
		"nobody needs it":       {want: "fetched", fetches: 1},
		"a later phase may":     {needed: true, want: "lent"},
		"a goroutine may":       {escaped: true, want: "lent"},
		"a change was not told": {changed: true, want: "lent"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &fetchHost{}
			var x Exchange
			x.Start(chain.New(nil, chain.Options{}), h, h, h)
			memory := []byte("xlent")
			x.Lend(core.RequestHeaders, []core.Field{{Name: lend(memory[:1]), Value: lend(memory[1:])}})
			s := internals.Stream(&x.Chain.Stream, 0)
			if c.escaped {
				s.Context()
			}
			if c.changed {
				x.Chain.H[core.RequestHeaders].MarkChanged("y", -1)
			}
			x.Return(core.RequestHeaders, c.needed)
			clear(memory)
			if got := s.RequestHeaders().Get("x"); got != c.want {
				t.Errorf("Get(x) = %q, want %q", got, c.want)
			}
			if h.fetched != c.fetches {
				t.Errorf("%d fetches, want %d", h.fetched, c.fetches)
			}
		})
	}
}

var internals = filter.Internals(core.Internal{})
