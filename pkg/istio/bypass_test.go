package istio

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	clientv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/internal/proxyset"
	"mosn.io/moe/pkg/istio/internal/render"
)

// proxy is what Istio looks at when it applies EnvoyFilters.
type proxy struct {
	ns, version string
	labels      map[string]string
	context     networking.EnvoyFilter_PatchContext
	port        uint32
	filters     []string // the HTTP filters that Istio makes; the router is the last
}

// built is an HTTP filter after all patches; moe is the value of the patch that made it, nil for those of Istio.
type built struct {
	name string
	moe  *render.Patch
}

// apply does what Istio does with HTTP_FILTER and EXTENSION_CONFIG patches (pilot/pkg/networking/core/envoyfilter; the
// real code is run on the same resources in e2e/istio): in the order of priority, root namespace first, then name; an
// insertion relative to a filter that is not there is left out; a replacement takes the first of a name, a removal all.
func (p proxy) apply(all []*clientv1alpha3.EnvoyFilter) (filters []built, extensions map[string][]*render.Patch) {
	for _, n := range p.filters {
		filters = append(filters, built{name: n})
	}
	extensions = map[string][]*render.Patch{}
	var mine []*clientv1alpha3.EnvoyFilter
	for _, ef := range all {
		if ef.Namespace != "istio-system" && ef.Namespace != p.ns {
			continue
		}
		if s := ef.Spec.WorkloadSelector; s == nil || (proxyset.Set{Labels: s.Labels}).Contains(proxyset.Set{Labels: p.labels}) {
			mine = append(mine, ef)
		}
	}
	slices.SortFunc(mine, func(a, b *clientv1alpha3.EnvoyFilter) int {
		root := func(ef *clientv1alpha3.EnvoyFilter) int { return len(strings.TrimPrefix(ef.Namespace, "istio-system")) }
		return cmp.Or(cmp.Compare(a.Spec.Priority, b.Spec.Priority), cmp.Compare(min(root(a), 1), min(root(b), 1)),
			cmp.Compare(a.Name, b.Name))
	})
	for _, ef := range mine {
		for _, cp := range ef.Spec.ConfigPatches {
			if v := cp.Match.GetProxy().GetProxyVersion(); v != "" && !regexp.MustCompile(v).MatchString(p.version) {
				continue
			}
			value := cp.Patch.Value.GetFields()
			if cp.ApplyTo == networking.EnvoyFilter_EXTENSION_CONFIG { // whatever its context
				name := value["name"].GetStringValue()
				extensions[name] = append(extensions[name], cp)
				continue
			}
			l := cp.Match.GetListener()
			if cp.ApplyTo != networking.EnvoyFilter_HTTP_FILTER || cp.Match.Context != p.context ||
				l.GetPortNumber() != 0 && l.GetPortNumber() != p.port {
				continue
			}
			filters = applyHTTP(filters, cp, l.GetFilterChain().GetFilter().GetSubFilter().GetName())
		}
	}
	return filters, extensions
}

func applyHTTP(filters []built, cp *render.Patch, at string) []built {
	f := built{name: cp.Patch.Value.GetFields()["name"].GetStringValue(), moe: cp}
	i := slices.IndexFunc(filters, func(b built) bool { return b.name == at })
	switch op := cp.Patch.Operation; {
	case op == networking.EnvoyFilter_Patch_INSERT_FIRST:
		return slices.Insert(slices.Clone(filters), 0, f)
	case op == networking.EnvoyFilter_Patch_REMOVE:
		return slices.DeleteFunc(slices.Clone(filters), func(b built) bool { return b.name == at })
	case i < 0:
	case op == networking.EnvoyFilter_Patch_INSERT_BEFORE:
		return slices.Insert(slices.Clone(filters), i, f)
	case op == networking.EnvoyFilter_Patch_INSERT_AFTER:
		return slices.Insert(slices.Clone(filters), i+1, f)
	case op == networking.EnvoyFilter_Patch_REPLACE:
		filters = slices.Clone(filters)
		filters[i] = f
	}
	return filters
}

var istioFilters = []string{
	"istio.metadata_exchange", "envoy.filters.http.jwt_authn", "envoy.filters.http.rbac", "envoy.filters.http.ext_authz",
	"envoy.filters.http.grpc_stats", "istio.alpn", "envoy.filters.http.fault", "envoy.filters.http.cors", "istio.stats",
	"envoy.filters.http.lua",
}

// TestNoBypass generates from random policies at every supported place, and applies the result to random proxies: a
// request must come by a chain with every plugin that guards it, exactly once, before the router.
func TestNoBypass(t *testing.T) {
	inserts := []string{
		"", "insert: {position: beforeRouter}", "insert: {position: afterAuthn}", "insert: {position: first}",
	}
	for _, f := range append(istioFilters, "no.such.filter", policy.RouterFilter) {
		if inserts = append(inserts, "insert: {before: "+f+"}"); f != policy.RouterFilter {
			inserts = append(inserts, "insert: {after: "+f+"}")
		}
	}
	hosts := []string{
		"", "hosts: [{golang: {}}]", "hosts: [{extProc: {address: 'x:1'}}]", "delivery: inline",
		"hosts: [{proxyVersion: '^1\\.30', golang: {}}, {proxyVersion: '^1\\.31', dynamicModules: {}}]",
	}
	for i, insert := range inserts {
		for j, host := range hosts {
			r := rand.New(rand.NewPCG(uint64(i), uint64(j)))
			for range 5 {
				noBypass(t, r, insert, host)
			}
		}
	}
}

func noBypass(t *testing.T, r *rand.Rand, insert, host string) {
	t.Helper()
	selectors := []string{"", "{app: cart}", "{tier: gold}", "{app: cart, tier: gold}", "{version: v1}", "{app: web}"}
	spaces := []string{"shop", "shop", "istio-system", "bank"}
	var text strings.Builder
	type guard struct {
		id string
		s  proxyset.Set
	}
	var guards []guard
	for n := range 1 + r.IntN(4) {
		sel, ns := selectors[r.IntN(len(selectors))], spaces[r.IntN(len(spaces))]
		g := guard{id: fmt.Sprintf("guard%d", n), s: proxyset.Set{Labels: map[string]string{}}}
		if ns != "istio-system" {
			g.s.Namespace = ns
		}
		for _, p := range strings.Split(strings.Trim(sel, "{}"), ", ") {
			if k, v, ok := strings.Cut(p, ": "); ok {
				g.s.Labels[k] = v
			}
		}
		if sel != "" {
			sel = "selector: {matchLabels: " + sel + "}\n"
		}
		spec := fmt.Sprintf("%splugins: [{name: tokenauth, id: %s, config: {secret: s3cret}}]\n%s\n%s", sel, g.id, insert, host)
		p := policyText(g.id, strings.TrimSpace(spec))
		text.WriteString("---\n" + strings.Replace(p, "namespace: shop", "namespace: "+ns, 1))
		guards = append(guards, g)
	}
	res := generate(t, text.String())
	for range 6 {
		p := randomProxy(r)
		filters, extensions := p.apply(res.EnvoyFilters)
		var want []string
		for _, g := range guards {
			if g.s.Contains(proxyset.Set{Namespace: p.ns, Labels: p.labels}) {
				want = append(want, g.id)
			}
		}
		if problem := p.check(filters, extensions, want, insert); problem != "" {
			t.Fatalf("%s\nproxy %+v\nfilters %v\n%s", problem, p, filters, text.String())
		}
	}
}

func randomProxy(r *rand.Rand) proxy {
	p := proxy{ns: []string{"shop", "bank", "istio-system"}[r.IntN(3)], labels: map[string]string{}, version: "1.31.0"}
	if r.IntN(2) == 0 {
		p.version = "1.30.4"
	}
	for k, v := range map[string]string{"app": "cart", "tier": "gold", "version": "v1"} {
		if r.IntN(2) == 0 {
			p.labels[k] = v
		}
	}
	p.context = []networking.EnvoyFilter_PatchContext{
		networking.EnvoyFilter_GATEWAY, networking.EnvoyFilter_SIDECAR_INBOUND,
	}[r.IntN(2)]
	for _, f := range istioFilters {
		for range r.IntN(3) { // some are not there, some twice
			p.filters = append(p.filters, f)
		}
	}
	if r.IntN(4) == 0 {
		r.Shuffle(len(p.filters), func(i, j int) { p.filters[i], p.filters[j] = p.filters[j], p.filters[i] })
	}
	p.filters = append(p.filters, policy.RouterFilter)
	return p
}

// check returns what is wrong with the filters that p got.
func (p proxy) check(filters []built, extensions map[string][]*render.Patch, want []string, insert string) string {
	var chain *render.Patch
	at := -1
	for i, f := range filters {
		if f.moe == nil {
			continue
		}
		switch {
		case f.name == render.PlaceFilter:
			return "a mark has stayed"
		case chain != nil:
			return "there are two chains"
		}
		chain, at = f.moe, i
		if e := extensions[f.name]; f.moe.Patch.Value.GetFields()["config_discovery"] != nil {
			if len(e) != 1 {
				return fmt.Sprintf("%d configurations of the name %s", len(e), f.name)
			}
			chain = e[0]
		}
	}
	if chain == nil {
		if len(want) > 0 {
			return "no chain"
		}
		return ""
	}
	router := slices.IndexFunc(filters, func(f built) bool { return f.name == policy.RouterFilter })
	if at > router {
		return "the chain is behind the router"
	}
	text := chain.Patch.Value.String()
	for n := range 4 {
		id := fmt.Sprintf("guard%d", n)
		if strings.Contains(text, id) != slices.Contains(want, id) {
			return fmt.Sprintf("%s: %v; want %v in %s", id, !slices.Contains(want, id), want, text)
		}
	}
	return p.checkPlace(filters, at, insert)
}

// checkPlace looks at the filter beside the chain, where the one that it is to be beside is there.
func (p proxy) checkPlace(filters []built, at int, insert string) string {
	beside := func(i int) string {
		if i < 0 || i >= len(filters) {
			return ""
		}
		return filters[i].name
	}
	kind, name, _ := strings.Cut(strings.Trim(strings.TrimPrefix(insert, "insert: "), "{}"), ": ")
	there := slices.Contains(p.filters, name)
	switch {
	case name == "first" && at != 0,
		name == "afterAuthn" && slices.Contains(p.filters, render.AuthnEnd) && beside(at+1) != render.AuthnEnd,
		kind == "before" && there && beside(at+1) != name,
		kind == "after" && there && beside(at-1) != name,
		!there && name != "first" && name != "afterAuthn" && beside(at+1) != policy.RouterFilter:
		return "the chain is in another place"
	}
	return ""
}
