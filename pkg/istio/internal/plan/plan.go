package plan

import (
	"fmt"
	"reflect"
	"slices"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/mesh"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/internal/proxyset"
)

// Plan is which chains the proxies of a mesh get, and which documents their routes.
type Plan struct {
	Mesh        *mesh.Mesh
	ProxyChains []*ProxyChain
	RouteChains []*RouteChain
	// Report reports an error about a document to the policy that has said what is wrong.
	Report func(d *Document, e manifest.Error)

	chainOf  map[string]*ProxyChain // by the key of the proxies
	warnings manifest.Errors
}

// Make plans the chains of the policies. root is Istio's root namespace.
func Make(w *mesh.Mesh, policies []*policy.Policy, root string, p *manifest.Problems) *Plan {
	g := &planner{p: p, mesh: w, validated: map[string]map[string]any{}}
	g.attach = attach(w, policies, root, p)
	g.plan()
	return &Plan{
		Mesh: w, ProxyChains: g.chains, RouteChains: g.routeChains, Report: g.report, chainOf: g.chainOf,
		warnings: g.attach.warnings.Sorted(),
	}
}

// Innermost returns the chain that the proxies of a set run: that of the narrowest set around it which has a chain of its
// own; nil if there is none.
func (g *Plan) Innermost(s proxyset.Set) (found *ProxyChain) {
	for _, b := range g.ProxyChains {
		if !b.Inherited && b.Proxies.Contains(s) && (found == nil || b.Proxies.Size() > found.Proxies.Size()) {
			found = b
		}
	}
	return found
}

type planner struct {
	p      *manifest.Problems
	mesh   *mesh.Mesh
	attach *attachment
	sets   *proxyset.Closure

	// By the key of a set of proxies:
	contributionsTo      map[string][]*Contribution
	routeContributionsTo map[string][]*Contribution // which may have settings for the chain
	chainOf              map[string]*ProxyChain
	inside               map[string][]*ProxyChain // the set's own chain, and those of the sets inside of it

	chains      []*ProxyChain
	routeChains []*RouteChain

	validated map[string]map[string]any
}

// ProxyChain is the chain that a set of proxies runs for all requests.
type ProxyChain struct {
	Proxies       proxyset.Set
	Contributions []*Contribution
	Doc           *Document
	Sent          *Document // Doc, or one with a placeholder
	Settings      Settings
	Filter        string   // the name of the first HTTP filter with plugins, and of its configuration for ECDS
	Wider         []string // all filters of the sets around
	Inherited     bool     // the chain is that of the next wider set

	ofRoutes []*Contribution // to parts of its proxies' route configuration

	raw     map[string]any // Sent, as Envoy is given it
	checked map[string]any // raw, with stand-ins for secrets that cannot be read here
}

// RouteChain is the document that a part of the route configuration has in a set of proxies.
type RouteChain struct {
	*routeNode
	Proxies       proxyset.Set
	Contributions []*Contribution
	Doc           *Document
	Own           *Document // Doc without what wider parts say, for the Golang filter, which merges them itself
	Settings      Settings
	Filters       []string // the HTTP filters with plugins that the proxies have; none if the route has no document
	Natives       []RouteNative

	raw map[string]any
}

// plan works out the chains of all sets of proxies and the documents of all routes.
func (g *planner) plan() {
	var ok bool
	if g.sets, ok = proxyset.Close(g.attach.sets, g.mesh.Disjoint); !ok {
		g.reportTooMany()
		return
	}
	g.contributionsTo, g.routeContributionsTo, g.chainOf = map[string][]*Contribution{}, map[string][]*Contribution{}, map[string]*ProxyChain{}
	g.inside = map[string][]*ProxyChain{}
	for _, c := range g.attach.base {
		g.contributionsTo[c.Proxies.Key()] = append(g.contributionsTo[c.Proxies.Key()], c)
	}
	for _, s := range g.attach.routes.order {
		for _, c := range s.own {
			g.routeContributionsTo[c.Proxies.Key()] = append(g.routeContributionsTo[c.Proxies.Key()], c)
		}
	}
	for k, all := range g.routeContributionsTo {
		slices.SortFunc(all, compareContributions)
		g.routeContributionsTo[k] = slices.CompactFunc(all, func(a, b *Contribution) bool { return a.Policy == b.Policy && a.Path == b.Path })
	}
	for _, s := range g.sets.Sets() {
		g.planProxies(s)
	}
	for _, s := range g.attach.routes.order {
		g.planRoutes(s)
	}
	g.checkSharedHosts()
	g.checkUnmet()
}

// reportTooMany reports one policy of each combination of labels that selectors ask for.
func (g *planner) reportTooMany() {
	seen := map[string]bool{}
	for _, c := range g.attach.base {
		if k := c.Proxies.Conditions(); c.Policy.Spec.Selector != nil && !seen[k] {
			seen[k] = true
			g.p.At(c.Policy.Object, "spec.selector.matchLabels", "this and other selectors ask for different labels, and so "+
				"overlap in more than %d ways; have policies use the same labels, or give the workloads among the input, so "+
				"that it shows which of them there are", proxyset.MaxOverlaps)
		}
	}
}

// samePlaceholder reports whether two chains have the same placeholder, or none.
func samePlaceholder(a, b *Document) bool {
	return len(a.Plugins) == len(b.Plugins) && (len(a.Plugins) == 0 || a.Plugins[0].Name == b.Plugins[0].Name)
}

// planProxies works out the chain of a set of proxies: what is said about it and about the sets around.
func (g *planner) planProxies(s proxyset.Set) {
	b := &ProxyChain{Proxies: s}
	var others []*Contribution
	around := g.sets.Containing(s)
	for _, w := range around {
		b.Contributions = append(b.Contributions, g.contributionsTo[w.Key()]...)
		others = append(others, g.routeContributionsTo[w.Key()]...)
	}
	b.ofRoutes = others
	slices.SortStableFunc(b.Contributions, compareContributions)
	b.Settings = g.settle(s, append(slices.Clone(b.Contributions), others...))
	b.Settings.Natives = g.settleNatives(b.Contributions, others)
	b.Doc = Merge(b.Contributions, true, g.p)
	b.Sent = b.Doc
	if len(b.Doc.Plugins) == 0 {
		b.Sent = placeholder(b.Doc, others)
	}
	b.raw = b.Sent.Data()
	b.checked = b.raw
	b.Filter = filterNameOf(s, len(around)-1)
	for _, w := range around[:len(around)-1] {
		if o := g.chainOf[w.Key()]; !o.Inherited {
			b.Wider = append(b.Wider, o.names()...)
		}
	}
	if len(around) > 1 {
		next := g.chainOf[around[len(around)-2].Key()]
		b.Inherited = next != nil && slices.Equal(next.Contributions, b.Contributions) && next.Settings.same(b.Settings) &&
			(len(b.Doc.Plugins) > 0 || samePlaceholder(next.Sent, b.Sent)) && proxyset.HasInnermost(around[:len(around)-1])
		b.Inherited = b.Inherited && (s.Traffic != proxyset.Waypoint || len(others) == 0)
		if b.Inherited {
			b.Filter = next.Filter
		}
	}
	if s.Traffic == proxyset.Waypoint && slices.ContainsFunc(others, (*Contribution).hasDocument) {
		// The requests of these routes pass filters of their own, and not this one, whose configuration has another type for
		// that. Envoy takes no other type for a filter that it has; so this one has a name of its own.
		b.Filter += ".rest"
	}
	for _, w := range around {
		g.inside[w.Key()] = append(g.inside[w.Key()], b)
	}
	g.chainOf[s.Key()] = b
	g.chains = append(g.chains, b)
	if len(b.Doc.Plugins) > 0 {
		b.checked = g.check(b.Settings.Hosts, b.Doc, b.raw, digest("base", b.raw),
			func(raw map[string]any, caps filter.Capability) error {
				return assembly.Validate(assembly.ChainName, raw, caps)
			})
	} else if len(b.Contributions) > 0 && len(b.Sent.Plugins) == 0 {
		for _, c := range b.Contributions {
			g.p.At(c.Policy.Object, "spec", "neither this policy nor one that it meets has plugins; list some")
		}
	}
	g.checkFailOpen(b.Settings, b.Doc)
	g.checkSecrets(b.Settings, b.Doc)
	g.checkDivided(b.Settings, b.Doc)
}

// filterNameOf returns the name of the filter of a set that is inside of depth others. Envoy asks for a filter's
// configuration by the filter's name, and Istio answers with all that have it; so no proxy may have two sets whose filters
// have one name. Two sets of one depth share proxies only inside of a third, whose filter replaces theirs.
func filterNameOf(s proxyset.Set, depth int) string {
	n := policy.ChainFilter
	if s.Traffic != proxyset.Gateway {
		n += "." + string(s.Traffic)
	}
	if s.Host != "" {
		n += "." + s.Host
	}
	if s.Port != 0 {
		n += fmt.Sprintf(".%d", s.Port)
	}
	if depth > 0 {
		n += fmt.Sprintf(".%d", depth+1)
	}
	return n
}

// placeholderID is the id of the only entry of a chain that exists for the sake of its routes.
const placeholderID = "moe-base"

// placeholder returns a chain without any plugin that runs, for the sake of routes that have plugins. Since a chain must
// list a plugin, it lists one that the library has for sure, disabled.
func placeholder(doc *Document, others []*Contribution) *Document {
	var names []string
	for _, c := range others {
		if c.doc == nil {
			continue
		}
		for _, e := range c.doc.Plugins {
			if e.Name != "" {
				names = append(names, e.Name)
			}
		}
	}
	if len(names) == 0 {
		return doc
	}
	off := true
	with := *doc
	with.Plugins = []document.Plugin{{Name: slices.Min(names), ID: placeholderID, Disabled: &off}}
	return &with
}

// planRoutes works out the documents of a part of the route configuration: one for each set of proxies that contributions
// to it have, for the overlaps of these, and for narrower sets where that makes a difference.
func (g *planner) planRoutes(s *routeNode) {
	all := g.attach.routes.all(s)
	var given []proxyset.Set
	add := func(sc proxyset.Set) {
		if !slices.ContainsFunc(given, func(o proxyset.Set) bool { return o.Key() == sc.Key() }) {
			given = append(given, sc)
		}
	}
	for _, c := range all {
		add(c.Proxies)
	}
	for _, sc := range slices.Clone(given) {
		outer := g.chainOf[sc.Key()]
		for _, b := range g.inside[sc.Key()] {
			if !b.Inherited && (!sameHosts(b, outer) || b.Settings.External() && !slices.Equal(b.Contributions, outer.Contributions)) {
				add(b.Proxies)
			}
		}
	}
	c, _ := proxyset.Close(given, g.mesh.Disjoint)
	for _, sc := range c.Sets() {
		if b := g.chainOf[sc.Key()]; b != nil { // else there are too many sets, which has been reported
			g.planRoute(s, all, b)
		}
	}
}

func sameHosts(a, b *ProxyChain) bool { return reflect.DeepEqual(a.Settings.Hosts, b.Settings.Hosts) }

// planRoute works out the document of a part of the route configuration for the proxies of b.
func (g *planner) planRoute(s *routeNode, all []*Contribution, b *ProxyChain) {
	r := &RouteChain{routeNode: s, Proxies: b.Proxies, Settings: b.Settings}
	var own []*Contribution
	for _, c := range all {
		if c.Proxies.Contains(b.Proxies) {
			r.Contributions = append(r.Contributions, c)
			if slices.Contains(s.own, c) {
				own = append(own, c)
			}
		}
	}
	for _, in := range g.inside[b.Proxies.Key()] {
		if !sameHosts(in, b) {
			continue
		}
		// Listeners that drain may have the filter as it was before others divided it.
		for _, name := range append(in.Settings.partNames(in.Filter), in.Filter) {
			if !slices.Contains(r.Filters, name) {
				r.Filters = append(r.Filters, name)
			}
		}
	}
	r.Doc = Merge(r.Contributions, false, g.p)
	r.raw = r.Doc.Data()
	g.settleRouteNatives(r, own, b)
	if r.Waypoint && len(r.raw)+len(r.Natives) > 0 {
		g.checkPlace(r)
	}
	if len(r.raw) == 0 {
		r.Filters = nil
		if len(r.Natives) > 0 { // else settings alone
			g.routeChains = append(g.routeChains, r)
		}
		return
	}
	g.check(r.Settings.Hosts, r.Doc, r.raw, digest("route", b.raw, r.raw),
		func(raw map[string]any, caps filter.Capability) error {
			return assembly.ValidateRoute(assembly.ChainName, b.checked, raw, caps)
		})
	g.checkFailOpen(r.Settings, r.Doc)
	g.checkDivided(r.Settings, r.Doc)
	r.Own = Merge(own, false, &manifest.Problems{})
	if r.Waypoint {
		r.Filters = []string{routeFilter(b, r.Route)}
	}
	if r.Settings.External() || r.Waypoint {
		// What a route says to the server goes in place of what the filter does, so it is the whole chain. And
		// a waypoint's route has a filter of its own.
		r.Doc = Merge(append(slices.Clone(b.Contributions), r.Contributions...), true, g.p)
		r.raw = r.Doc.Data()
	}
	g.routeChains = append(g.routeChains, r)
}
