package proxyset

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func randomSet(r *rand.Rand) Set {
	s := Set{Traffic: []Traffic{Gateway, Inbound, Waypoint}[r.IntN(3)], Labels: map[string]string{}}
	if r.IntN(3) > 0 {
		s.Namespace = fmt.Sprint("ns", r.IntN(2))
	}
	if r.IntN(4) == 0 {
		s.Port = 80 + uint32(r.IntN(2))
	}
	if r.IntN(4) == 0 {
		s.Host = fmt.Sprint("host", r.IntN(2))
	}
	for k := range 3 {
		if r.IntN(2) == 0 {
			s.Labels[fmt.Sprint("k", k)] = fmt.Sprint(r.IntN(2))
		}
	}
	return s
}

// TestInnermost checks the promise of a closure on random sets and random proxies: of the sets that a proxy is in, all
// contain the last one.
func TestInnermost(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		given := randomSets(r)
		c, ok := Close(given, nil)
		if !ok {
			t.Fatalf("Close(%v): got too many overlaps, want at most %d", given, MaxOverlaps)
		}
		for range 20 {
			proxy := randomSet(r)
			proxy.Namespace, proxy.Host, proxy.Port = "ns0", "host0", 80
			var in []Set
			for _, s := range c.Sets() {
				if s.Contains(proxy) {
					in = append(in, s)
				}
			}
			if len(in) > 0 && !HasInnermost(in) {
				t.Fatalf("closure of %v: proxy %v is in %v, want the last to be inside of all", given, proxy, in)
			}
		}
	}
}

// TestContaining compares Containing, which looks sets up, with asking every set.
func TestContaining(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		given := randomSets(r)
		c, _ := Close(given, nil)
		for _, s := range c.Sets() {
			var want []string
			for _, o := range c.Sets() {
				if o.Contains(s) {
					want = append(want, o.Key())
				}
			}
			var got []string
			for _, o := range c.Containing(s) {
				got = append(got, o.Key())
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("closure of %v: Containing(%v): got %q, want %q", given, s, got, want)
			}
		}
	}
}

func randomSets(r *rand.Rand) (sets []Set) {
	for range 1 + r.IntN(8) {
		sets = append(sets, randomSet(r))
	}
	return sets
}

func TestCloseBounds(t *testing.T) {
	t.Run("selectors that overlap in every way are refused", func(t *testing.T) {
		var given []Set
		for i := range 30 { // 2^30 overlaps
			given = append(given, Set{Traffic: Gateway, Labels: map[string]string{fmt.Sprint("k", i): "v"}})
		}
		if c, ok := Close(given, nil); ok {
			t.Errorf("Close of 30 different labels: got %d sets, want a refusal", len(c.Sets()))
		}
	})
	t.Run("selectors with other values of one label do not overlap", func(t *testing.T) {
		var given []Set
		for i := range 1000 {
			given = append(given, Set{Traffic: Gateway, Labels: map[string]string{"app": fmt.Sprint(i)}})
		}
		if c, ok := Close(given, nil); !ok || len(c.Sets()) != 1000 {
			t.Errorf("Close of 1000 values: got %d sets, %v; want 1000, true", len(c.Sets()), ok)
		}
	})
	t.Run("sets that are known to be disjoint have no overlap", func(t *testing.T) {
		a := Set{Traffic: Gateway, Labels: map[string]string{"a": "v"}}
		b := Set{Traffic: Gateway, Labels: map[string]string{"b": "v"}}
		if c, _ := Close([]Set{a, b}, func(Set, Set) bool { return true }); len(c.Sets()) != 2 {
			t.Errorf("got %v, want the two sets alone", c.Sets())
		}
	})
}
