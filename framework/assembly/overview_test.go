package assembly

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/internal/core"
)

// ofHost returns the filters of a host's.
func ofHost(o core.Overview, name string) []core.FilterOverview {
	return slices.DeleteFunc(o.Filters, func(f core.FilterOverview) bool { return f.Host != name })
}

// An overview has the chains that a filter and its routes make, and nothing once they are closed.
func TestOverview(t *testing.T) {
	a, h := fixture(t)
	f := mustFilter(t, a, `{plugins: [{name: own}, {name: limit, id: quota, config: {rate: 1}}, {name: key}],
		consumers: [{name: alice, credentials: {key: {key: hush}}}]}`)
	r := mustRoute(t, a, `plugins: [{id: key, disabled: true}]`)
	limit := core.PluginOverview{ID: "quota", Name: "limit", Stage: "traffic"}
	own := core.PluginOverview{ID: "own", Name: "own", Stage: "observe"}
	key := core.PluginOverview{ID: "key", Name: "key", Stage: "authn"}
	want := []core.FilterOverview{{Host: h.Name(), Name: ChainName, Chains: []core.ChainOverview{
		{Plugins: []core.PluginOverview{key, limit, own}}, {Plugins: []core.PluginOverview{limit, own}},
	}}}
	got := Overview()
	if diff := cmp.Diff(want, ofHost(got, h.Name())); diff != "" {
		t.Errorf("the filters (-want +got):\n%s", diff)
	}
	if in := (core.InstanceOverview{Kind: "http", Name: "limit", Count: 1}); !slices.Contains(got.Instances, in) {
		t.Errorf("the instances are %+v, want %+v among them", got.Instances, in)
	}
	if set := (core.ConsumerSetOverview{Consumers: 1}); !slices.Contains(got.ConsumerSets, set) {
		t.Errorf("the sets of consumers are %+v, want %+v among them", got.ConsumerSets, set)
	}
	r.Close()
	f.Close()
	if left := ofHost(Overview(), h.Name()); len(left) > 0 {
		t.Errorf("%+v is left when all is closed", left)
	}
}

// An overview is bounded, and says what it leaves out.
func TestOverviewIsBounded(t *testing.T) {
	a, h := fixture(t)
	for i := range mostFilters + 5 {
		f := mustFilter(t, a, fmt.Sprintf(`plugins: [{name: limit, config: {rate: %d}}]`, i+1))
		t.Cleanup(f.Close)
	}
	o := Overview()
	// Each filter has a chain, which is left out with it.
	if n := len(ofHost(o, h.Name())); n > mostFilters || o.LeftOut < 2*5 {
		t.Errorf("%d filters are shown and %d things left out, want %d at most, and 10 or more", n, o.LeftOut, mostFilters)
	}
}

// An overview may be had while configurations come and go.
func TestOverviewConcurrently(t *testing.T) {
	a, _ := fixture(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 20 {
				f, err := a.Filter(ChainName, doc(t, fmt.Sprintf(`plugins: [{name: limit, config: {rate: %d}}]`, 1+(i+j)%3)))
				if err != nil {
					t.Errorf("a.Filter: %v", err)
					return
				}
				r, err := a.Route(ChainName, doc(t, `plugins: [{id: limit, config: {burst: 9}}]`))
				if err != nil {
					t.Errorf("a.Route: %v", err)
				} else {
					r.Close()
				}
				f.Close()
			}
		})
		wg.Go(func() {
			for range 50 {
				for _, f := range Overview().Filters {
					for _, c := range f.Chains {
						if len(c.Plugins) == 0 {
							t.Error("a chain without plugins is shown")
						}
					}
				}
			}
		})
	}
	wg.Wait()
}
