package plan

import (
	"reflect"
	"slices"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/internal/bootstrap"
	"mosn.io/moe/pkg/istio/internal/policy"
)

// Native is a filter of Envoy's own around a chain or between its plugins.
type Native struct {
	bootstrap.EnvoyFilter
	From *policy.Policy
	path string
}

// settleNatives adds up what contributions to all requests of some proxies list.
func (g *planner) settleNatives(all, ofRoutes []*Contribution) (natives []Native) {
	for _, c := range ofRoutes {
		if len(c.Policy.Spec.EnvoyFilters) > 0 && c.Path == "spec" {
			g.p.At(c.Policy.Object, "spec.envoyFilters", "filters of Envoy's own see all requests of a listener, and this policy is "+
				"for some of them; list the filters in a policy for workloads or for a whole Gateway")
		}
	}
	for _, c := range all {
		for i, f := range c.Policy.Natives() {
			n := Native{f, c.Policy, config.Index("spec.envoyFilters", i)}
			at := slices.IndexFunc(natives, func(o Native) bool { return o.EntryID() == f.EntryID() })
			switch {
			case at < 0:
				natives = append(natives, n)
			case natives[at].From != n.From && !reflect.DeepEqual(natives[at].EnvoyFilter, f):
				g.contradict(c.Policy, natives[at].From, n.path)
			}
		}
	}
	return natives
}

// checkDivided refuses filters between plugins that do not run in the order of stages.
func (g *planner) checkDivided(s Settings, d *Document) {
	if d.Order != document.AsListed {
		return
	}
	for _, n := range s.Natives {
		if n.Divides() {
			o := d.Origins("order")
			by := o[len(o)-1].From.Policy
			g.p.At(n.From.Object, n.path+".stage", "needs order: stage, because plugins that run as listed cannot be divided by "+
				"their stages; FilterPolicy %s (%s:%d) has them run as listed", by, by.File, by.LineOf(o[len(o)-1].Path))
		}
	}
}

// Parts returns the filters among which a chain is divided whose filter has that name.
func (s Settings) Parts(name string) []bootstrap.Part {
	places := make([]bootstrap.Placement, len(s.Natives))
	for i := range s.Natives {
		places[i] = s.Natives[i].Placement
	}
	return bootstrap.Divide(name, places)
}

// partNames returns the names of these filters.
func (s Settings) partNames(name string) (names []string) {
	for _, p := range s.Parts(name) {
		names = append(names, p.Name)
	}
	return names
}

// NativeName returns the name that a filter of Envoy's own has beside the chain's filter of the name given.
func NativeName(chain string, n *Native) string { return chain + "/" + n.EntryID() }

// names returns the names of all filters that b puts into its proxies.
func (b *ProxyChain) names() []string {
	names := b.Settings.partNames(b.Filter)
	for i := range b.Settings.Natives {
		names = append(names, NativeName(b.Filter, &b.Settings.Natives[i]))
	}
	return names
}
