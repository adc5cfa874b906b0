package plan

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"google.golang.org/protobuf/proto"

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
				"for some of them; list the filters in a policy for workloads or for a whole Gateway, and in routes what a route has of its own for them")
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

// RouteNative is what a route has of its own for a filter of Envoy's own.
type RouteNative struct {
	bootstrap.RouteEnvoyFilter
	Of    *Native  // the filter, as the listeners have it
	Names []string // the HTTP filters that the proxies have of it
	From  *policy.Policy
	path  string
}

// Message returns what Envoy is given for the route.
func (n *RouteNative) Message() proto.Message { return n.RouteEnvoyFilter.Message(n.Of.Name) }

// settleRouteNatives finds out what r has for filters of Envoy's own: for each, what the last of the contributions to r alone
// says. Envoy itself prefers a route's to those of parts around it.
func (g *planner) settleRouteNatives(r *RouteChain, own []*Contribution, b *ProxyChain) {
	listed := make([]bootstrap.EnvoyFilter, len(b.Settings.Natives))
	for i, n := range b.Settings.Natives {
		listed[i] = n.EnvoyFilter
	}
	advice := fmt.Sprintf("; list it in spec.envoyFilters of a policy for these proxies: %s", b.Proxies)
	for _, c := range own {
		err := bootstrap.CheckRouteEnvoyFilters(c.natives, listed, advice)
		g.p.AddConfig(c.Policy.Object, c.Path, err)
		if err != nil {
			continue
		}
		for i, f := range c.natives {
			n := RouteNative{RouteEnvoyFilter: f, From: c.Policy, path: config.Index(c.Path+".envoyFilters", i)}
			for _, in := range g.inside[b.Proxies.Key()] {
				if at := in.Settings.native(f.EntryID()); at != nil {
					n.Names = append(n.Names, NativeName(in.Filter, at))
				}
			}
			n.Of = b.Settings.native(f.EntryID())
			if r.Waypoint && !n.Disabled && !n.TakesPlace() {
				g.p.At(c.Policy.Object, config.Index(c.Path+".envoyFilters", i)+".config", "Istio applies no patches to the routes of a "+
					"waypoint, and %s takes a message of its own there; list the filter a second time in spec.envoyFilters, with an id "+
					"and what the route needs, and disable for each route the one that is not for it", n.Of.Name)
				continue
			}
			r.Natives = slices.DeleteFunc(r.Natives, func(o RouteNative) bool { return o.EntryID() == f.EntryID() })
			r.Natives = append(r.Natives, n)
		}
	}
	slices.SortFunc(r.Natives, func(a, b RouteNative) int { return cmp.Compare(a.EntryID(), b.EntryID()) })
}

// TakesPlace reports whether a filter of the route's own, with the route's configuration, can take the place of the
// listener's: their messages are of one type.
func (n *RouteNative) TakesPlace() bool {
	return n.Message().ProtoReflect().Descriptor().FullName() == n.Of.Message().ProtoReflect().Descriptor().FullName()
}

// native returns the filter of Envoy's own with an id; nil if there is none.
func (s Settings) native(id string) *Native {
	for i := range s.Natives {
		if s.Natives[i].EntryID() == id {
			return &s.Natives[i]
		}
	}
	return nil
}

// Native returns what r has for the filter of Envoy's own with an id; nil if that is nothing.
func (r *RouteChain) Native(id string) *RouteNative {
	for i := range r.Natives {
		if r.Natives[i].EntryID() == id {
			return &r.Natives[i]
		}
	}
	return nil
}

// nativesData tells apart what routes have for filters of Envoy's own.
func (r *RouteChain) nativesData() map[string]any {
	data := map[string]any{}
	for _, n := range r.Natives {
		data[n.EntryID()] = []any{n.Disabled, n.Config}
	}
	return data
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
