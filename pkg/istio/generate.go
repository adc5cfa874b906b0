// Package istio turns FilterPolicies into EnvoyFilter resources of Istio.
//
// [Load] reads manifests, [Generate] makes the EnvoyFilters of the policies among them, [Validate] looks at EnvoyFilters
// of anybody, as strictly as Istio does not. docs/istio.md tells how policies act, and how to bring the result about.
package istio

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	clientv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/mesh"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/internal/proxyset"
)

// Options are what the result depends on besides the input.
type Options struct {
	RootNamespace string // of Istio: policies there are for all namespaces; "" is istio-system
	Namespace     string // of objects that name none; "" is default
}

// Result is what comes of policies.
type Result struct {
	// EnvoyFilters, by namespace and name. They are the same for the same input, whatever the order of its objects.
	EnvoyFilters []*clientv1alpha3.EnvoyFilter

	bases  []*base
	bySpot map[string][]*spotResult // by scope
}

// Generate makes the EnvoyFilters of the policies in the input. The error is an [Errors] with all that is wrong; there is
// no result then. Generate does not change the input and may be called from any goroutine.
func Generate(in *manifest.Input, o Options) (*Result, error) {
	o.RootNamespace = cmp.Or(o.RootNamespace, "istio-system")
	o.Namespace = cmp.Or(o.Namespace, "default")
	g := &generator{o: o, validated: map[string]map[string]any{}}
	g.world = mesh.Read(in, o.Namespace, &g.p)
	policies := policy.ReadAll(in, o.Namespace, &g.p)
	g.attach = attach(g.world, policies, o, &g.p)
	g.plan()
	if err := g.p.Err(); err != nil {
		return nil, err
	}
	r := &Result{bases: g.bases, bySpot: map[string][]*spotResult{}}
	for _, s := range g.spots {
		r.bySpot[s.scope.Key()] = append(r.bySpot[s.scope.Key()], s)
	}
	r.EnvoyFilters = g.emit()
	if err := g.p.Err(); err != nil {
		return nil, err
	}
	return r, nil
}

type generator struct {
	o      Options
	p      manifest.Problems
	world  *mesh.Mesh
	attach *attachment
	scopes *proxyset.Closure

	baseAt map[string][]*contribution // by scope
	spotAt map[string][]*contribution // by scope: what routes there get, for settings
	bases  []*base
	baseOf map[string]*base
	spots  []*spotResult

	inside map[string][]*base // by scope: its own base, and those of narrower scopes

	validated map[string]map[string]any
}

// base is the chain of a scope's proxies for all requests.
type base struct {
	scope    proxyset.Set
	all      []*contribution
	doc      *chainDocument
	sent     *chainDocument // doc, or a placeholder
	raw      map[string]any // sent, as Envoy is given it
	checked  map[string]any // raw, with stand-ins for secrets that cannot be read here
	settings settings
	filter   string   // the filter's name in Envoy, and that of its configuration for ECDS
	wider    []string // names of the filters of wider scopes
	skip     bool     // the wider scope's chain is the same
}

// spotResult is the document of a spot, for one scope.
type spotResult struct {
	*spot
	scope    proxyset.Set
	all      []*contribution
	doc      *chainDocument
	raw      map[string]any
	settings settings
	filters  []string       // names of the filters that the scope's proxies have
	own      *chainDocument // doc without what wider places say: for the Golang filter, which merges them itself
}

// plan works out every document.
func (g *generator) plan() {
	var ok bool
	if g.scopes, ok = proxyset.Close(g.attach.given, g.world.Disjoint); !ok {
		g.tooMany()
		return
	}
	g.baseAt, g.spotAt, g.baseOf = map[string][]*contribution{}, map[string][]*contribution{}, map[string]*base{}
	g.inside = map[string][]*base{}
	for _, c := range g.attach.base {
		g.baseAt[c.scope.Key()] = append(g.baseAt[c.scope.Key()], c)
	}
	for _, s := range g.attach.places.order {
		for _, c := range s.own {
			g.spotAt[c.scope.Key()] = append(g.spotAt[c.scope.Key()], c)
		}
	}
	for k, all := range g.spotAt {
		slices.SortFunc(all, compareContributions)
		g.spotAt[k] = slices.CompactFunc(all, func(a, b *contribution) bool { return a.policy == b.policy && a.path == b.path })
	}
	for _, s := range g.scopes.Sets() {
		g.planBase(s)
	}
	for _, s := range g.attach.places.order {
		g.planSpot(s)
	}
	g.checkCollapsed()
}

// tooMany reports policies whose selectors ask for different labels, one of each kind.
func (g *generator) tooMany() {
	seen := map[string]bool{}
	for _, c := range g.attach.base {
		if k := c.scope.Conditions(); c.policy.Spec.Selector != nil && !seen[k] {
			seen[k] = true
			g.p.At(c.policy.Object, "spec.selector.matchLabels", "this and other selectors ask for different labels, and so "+
				"overlap in more than %d ways; have policies use the same labels, or give the workloads among the input, so "+
				"that it shows which of them there are", proxyset.MaxOverlaps)
		}
	}
}

// samePlaceholder reports whether two chains have the same placeholder, or none.
func samePlaceholder(a, b *chainDocument) bool {
	return len(a.Plugins) == len(b.Plugins) && (len(a.Plugins) == 0 || a.Plugins[0].Name == b.Plugins[0].Name)
}

func (g *generator) planBase(s proxyset.Set) {
	b := &base{scope: s}
	var others []*contribution
	around := g.scopes.Containing(s)
	for _, w := range around {
		b.all = append(b.all, g.baseAt[w.Key()]...)
		others = append(others, g.spotAt[w.Key()]...)
	}
	slices.SortStableFunc(b.all, compareContributions)
	b.settings = g.settle(s, append(slices.Clone(b.all), others...))
	b.doc = mergeDocuments(b.all, true, &g.p)
	b.sent = b.doc
	if len(b.doc.Plugins) == 0 {
		b.sent = placeholder(b.doc, others)
	}
	b.raw = b.sent.Data()
	b.checked = b.raw
	b.filter = filterNameOf(s, len(around)-1)
	for _, w := range around[:len(around)-1] {
		if o := g.baseOf[w.Key()]; !o.skip {
			b.wider = append(b.wider, o.filter)
		}
	}
	if len(around) > 1 {
		next := g.baseOf[around[len(around)-2].Key()]
		b.skip = next != nil && slices.Equal(next.all, b.all) && next.settings.same(b.settings) &&
			(len(b.doc.Plugins) > 0 || samePlaceholder(next.sent, b.sent)) && proxyset.HasInnermost(around[:len(around)-1])
		if b.skip {
			b.filter = next.filter
		}
	}
	for _, w := range around {
		g.inside[w.Key()] = append(g.inside[w.Key()], b)
	}
	g.baseOf[s.Key()] = b
	g.bases = append(g.bases, b)
	if len(b.doc.Plugins) > 0 {
		b.checked = g.check(b.settings.hosts, b.doc, b.raw, digest("base", b.raw),
			func(raw map[string]any, caps filter.Capability) error {
				return assembly.Validate(assembly.ChainName, raw, caps)
			})
	} else if len(b.all) > 0 && len(others) == 0 {
		for _, c := range b.all {
			g.p.At(c.policy.Object, "spec", "neither this policy nor one that it meets has plugins; list some")
		}
	}
	g.checkFailOpen(b.settings, b.doc)
	g.checkSecrets(b.settings, b.doc)
}

// filterNameOf returns the name of the filter of a scope that is inside of depth others. Envoy asks for a filter's
// configuration by the filter's name, and Istio answers with all that have it; so no proxy may meet one name in two
// scopes. Two scopes of one depth share proxies only inside of a third, whose filter takes the place of theirs.
func filterNameOf(s proxyset.Set, depth int) string {
	n := policy.ChainFilter
	if s.Traffic != proxyset.Gateway {
		n += "." + string(s.Traffic)
	}
	if s.Port != 0 {
		n += fmt.Sprintf(".%d", s.Port)
	}
	if depth > 0 {
		n += fmt.Sprintf(".%d", depth+1)
	}
	return n
}

// placeholderID is that of the only entry of a chain that is there for the sake of its routes.
const placeholderID = "moe-base"

// placeholder returns a chain without any plugin that runs, for the sake of routes that have plugins. Since a chain must
// list a plugin, it lists one that the library has for sure, disabled.
func placeholder(doc *chainDocument, others []*contribution) *chainDocument {
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

// planSpot works out the documents of a spot: one for each scope that contributions to it have, for what these have in
// common, and for narrower ones where that makes a difference.
func (g *generator) planSpot(s *spot) {
	all := g.attach.places.all(s)
	var given []proxyset.Set
	add := func(sc proxyset.Set) {
		if !slices.ContainsFunc(given, func(o proxyset.Set) bool { return o.Key() == sc.Key() }) {
			given = append(given, sc)
		}
	}
	for _, c := range all {
		add(c.scope)
	}
	for _, sc := range slices.Clone(given) {
		outer := g.baseOf[sc.Key()]
		for _, b := range g.inside[sc.Key()] {
			if !b.skip && (!sameHosts(b, outer) || b.settings.external() && !slices.Equal(b.all, outer.all)) {
				add(b.scope)
			}
		}
	}
	c, _ := proxyset.Close(given, g.world.Disjoint)
	for _, sc := range c.Sets() {
		if b := g.baseOf[sc.Key()]; b != nil { // else there are too many scopes, which is told
			g.planSpotIn(s, all, b)
		}
	}
}

func sameHosts(a, b *base) bool { return reflect.DeepEqual(a.settings.hosts, b.settings.hosts) }

// planSpotIn works out the document of a spot for the proxies of b.
func (g *generator) planSpotIn(s *spot, all []*contribution, b *base) {
	r := &spotResult{spot: s, scope: b.scope, settings: b.settings}
	var own []*contribution
	for _, c := range all {
		if c.scope.Contains(b.scope) {
			r.all = append(r.all, c)
			if slices.Contains(s.own, c) {
				own = append(own, c)
			}
		}
	}
	for _, in := range g.inside[b.scope.Key()] {
		if sameHosts(in, b) && !slices.Contains(r.filters, in.filter) {
			r.filters = append(r.filters, in.filter)
		}
	}
	r.doc = mergeDocuments(r.all, false, &g.p)
	r.raw = r.doc.Data()
	if len(r.raw) == 0 {
		return // settings alone
	}
	g.check(r.settings.hosts, r.doc, r.raw, digest("route", b.raw, r.raw),
		func(raw map[string]any, caps filter.Capability) error {
			return assembly.ValidateRoute(assembly.ChainName, b.checked, raw, caps)
		})
	g.checkFailOpen(r.settings, r.doc)
	r.own = mergeDocuments(own, false, &manifest.Problems{})
	if r.settings.external() {
		// What a route says to the server goes in place of what the filter does, so it is the whole chain.
		r.doc = mergeDocuments(append(slices.Clone(b.all), r.all...), true, &g.p)
		r.raw = r.doc.Data()
	}
	g.spots = append(g.spots, r)
}
