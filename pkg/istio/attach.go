package istio

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// attachment is where all policies act.
type attachment struct {
	world  *world
	root   string // namespace
	base   []*contribution
	places *places
	given  []scope // in which a chain is needed
	p      *problems
}

// attach finds out what every policy contributes to.
func attach(w *world, policies []*policy, o Options, p *problems) *attachment {
	a := &attachment{
		world: w, root: o.RootNamespace, p: p,
		places: &places{byPlace: map[place]*spot{}, rdsOf: map[*fleet][]*spot{}},
	}
	for _, pol := range policies {
		if len(pol.spec.TargetRefs) == 0 {
			a.selector(pol)
		}
		for i, ref := range pol.spec.TargetRefs {
			a.target(pol, ref, config.Index("spec.targetRefs", i))
		}
	}
	return a
}

// namespace is that of the proxies that a policy may act on: "" is all, for policies in the root namespace.
func (a *attachment) namespace(pol *policy) string {
	if pol.ns == a.root {
		return ""
	}
	return pol.ns
}

func (a *attachment) addBase(pol *policy, s scope, l level) {
	a.base = append(a.base, &contribution{policy: pol, path: "spec", doc: pol.doc, scope: s, level: l, rank: l})
	a.given = append(a.given, s)
}

func (a *attachment) addAt(at place, owner name, c *contribution) {
	a.places.add(at, owner, c)
	a.given = append(a.given, c.scope)
}

// selector attaches a policy to workloads.
func (a *attachment) selector(pol *policy) {
	kinds := pol.traffic
	if len(kinds) == 0 {
		kinds = []traffic{gateway, inbound}
	}
	rank := ofNamespace
	var labels map[string]string
	if s := pol.spec.Selector; s != nil {
		labels, rank = s.MatchLabels, ofWorkload
		a.checkSelector(pol, labels)
	} else if pol.ns == a.root {
		rank = ofRoot
	}
	var reaches []reach
	for _, t := range kinds {
		s := scope{traffic: t, ns: a.namespace(pol), labels: labels}
		a.addBase(pol, s, rank)
		switch t {
		case gateway:
			if len(pol.spec.VirtualHosts)+len(pol.spec.Routes) == 0 {
				continue
			}
			for _, f := range a.world.fleets {
				for _, g := range f.gateways {
					if m, ok := s.meet(g.scope); ok && g.mayHave(labels) {
						reaches = append(reaches, reach{scope: m, fleet: f, gateway: g})
					}
				}
			}
		case outbound:
			reaches = append(reaches, reach{scope: s})
		}
	}
	a.inline(pol, rank, reaches)
}

// checkSelector looks for a pod or gateway with the labels, if the input has pods of the namespace at all.
func (a *attachment) checkSelector(pol *policy, labels map[string]string) {
	s := scope{traffic: gateway, ns: a.namespace(pol), labels: labels}
	for _, g := range a.world.gateways {
		if _, ok := s.meet(g.scope); ok && len(g.scope.labels) > 0 && s.overlaps(g.scope) {
			return
		}
	}
	known := 0
	for _, ns := range slices.Sorted(maps.Keys(a.world.pods)) {
		if s.ns != "" && s.ns != ns {
			continue
		}
		for _, pod := range a.world.pods[ns] {
			known++
			if s.holds(scope{traffic: gateway, ns: ns, labels: pod}) {
				return
			}
		}
	}
	if known > 0 {
		a.p.at(pol.Object, "spec.selector.matchLabels", "none of the %d workloads given has these labels", known)
	}
}

// overlaps tells whether both ask for a label with the same value.
func (s scope) overlaps(o scope) bool {
	for k, v := range s.labels {
		if w, ok := o.labels[k]; ok && v == w {
			return true
		}
	}
	return false
}

// target attaches a policy to what a reference names.
func (a *attachment) target(pol *policy, ref v1alpha1.TargetRef, at string) {
	group := ref.Group
	if group == "" {
		group = groups[ref.Kind][0]
	}
	id := name{ref.Kind + "." + group, pol.ns, ref.Name}
	switch ref.Kind {
	case "Gateway":
		if g := a.world.gateways[id]; g != nil {
			a.toGateway(pol, g, ref, at)
			return
		}
	case "Service":
		if s := a.world.services[id]; s != nil {
			a.toService(pol, s, ref, at)
			return
		}
	default:
		if r := a.world.routers[id]; r != nil {
			a.toRouter(pol, r, ref, at)
			return
		}
	}
	a.p.at(pol.Object, at+".name", "there is no %s %s/%s among the objects given", ref.Kind, pol.ns, ref.Name)
}

func (a *attachment) noTraffic(pol *policy, kind string, allowed ...traffic) {
	for i, t := range pol.traffic {
		if !slices.Contains(allowed, t) {
			a.p.at(pol.Object, config.Index("spec.traffic", i), "%s is not for a %s", t, kind)
		}
	}
}

func (a *attachment) toGateway(pol *policy, g *gatewayObject, ref v1alpha1.TargetRef, at string) {
	a.noTraffic(pol, "Gateway", gateway)
	if g.api == gatewayAPI && len(g.scope.labels) == 0 {
		a.p.at(pol.Object, at+".name", "the Gateway (%s:%d) has an address of its own, and the Service with that address is "+
			"not among the objects given; without it, the Gateway's pods are not known", g.File, g.Line)
		return
	}
	r := reach{scope: g.scope, fleet: g.fleet, gateway: g, section: ref.SectionName}
	if ref.SectionName == "" && len(g.fleet.gateways) == 1 {
		a.addBase(pol, g.scope, ofGateway)
		a.inline(pol, ofGateway, []reach{r})
		return
	}
	rank, found := ofGateway, false
	if ref.SectionName != "" {
		rank = ofListener
	}
	for _, s := range g.servers {
		if ref.SectionName != "" && s.section != ref.SectionName {
			continue
		}
		found = true
		c := &contribution{policy: pol, path: "spec", doc: pol.doc, scope: g.scope, level: rank, rank: rank}
		pl := place{fleet: g.fleet, port: s.port, gateway: g, section: s.section}
		if !s.https {
			pl.gateway, pl.section = nil, ""
			if other := g.fleet.sharing(g, s); other != "" {
				a.p.at(pol.Object, at, "its port %d is shared with %s, and Istio makes one listener of both; "+
					"target VirtualServices or HTTPRoutes instead", s.port, other)
				continue
			}
		}
		a.addAt(pl, g.id, c)
	}
	if !found {
		field := ".name"
		msg := "the Gateway has no server for HTTP"
		if ref.SectionName != "" {
			field, msg = ".sectionName", "the Gateway has no listener of this name for HTTP"
		}
		a.p.at(pol.Object, at+field, "%s", msg)
	}
	a.inline(pol, rank, []reach{r})
}

// sharing names another gateway, or listener, whose requests come in at the same plain-text port.
func (f *fleet) sharing(g *gatewayObject, s server) string {
	for _, o := range f.gateways {
		for _, t := range o.servers {
			if t.port != s.port || t.https {
				continue
			}
			if o != g {
				return fmt.Sprintf("Gateway %s/%s (%s:%d)", o.id.ns, o.id.name, o.File, o.Line)
			}
			if t.section != s.section {
				return "its listener " + t.section
			}
		}
	}
	return ""
}

func (a *attachment) toService(pol *policy, s *service, ref v1alpha1.TargetRef, at string) {
	a.noTraffic(pol, "Service", inbound, outbound)
	var port servicePort
	rank := ofGateway
	if ref.SectionName != "" {
		var ok bool
		if port, ok = s.ports[ref.SectionName]; !ok {
			a.p.at(pol.Object, at+".sectionName", "the Service has no port of this name")
			return
		}
		rank = ofListener
	}
	kinds := pol.traffic
	if len(kinds) == 0 {
		kinds = []traffic{inbound}
	}
	var reaches []reach
	for _, t := range kinds {
		switch t {
		case inbound:
			if len(s.selector) == 0 {
				a.p.at(pol.Object, at+".name", "the Service has no selector, so that it has no sidecars of its own")
				continue
			}
			sc := scope{traffic: inbound, ns: s.id.ns, labels: s.selector}
			if rank == ofListener {
				if sc.port = number(port.target); sc.port == 0 {
					a.p.at(pol.Object, at+".sectionName", "the port's targetPort is a name; give its number in the Service")
					continue
				}
			}
			a.addBase(pol, sc, rank)
		case outbound:
			sc := scope{traffic: outbound, ns: a.namespace(pol)}
			c := &contribution{policy: pol, path: "spec", doc: pol.doc, scope: sc, level: ofHost, rank: rank}
			a.addAt(place{host: s.host(), port: port.number}, s.id, c)
			reaches = append(reaches, reach{scope: sc, hosts: []string{s.host()}})
		}
	}
	a.inline(pol, rank, reaches)
}

func (a *attachment) toRouter(pol *policy, r *router, ref v1alpha1.TargetRef, at string) {
	var rules []rule
	rank := ofHost
	if ref.SectionName != "" {
		rank = ofRoute
		for _, ru := range r.rules {
			if ru.called(ref.SectionName) {
				rules = append(rules, ru)
			}
		}
		if rules == nil {
			a.p.at(pol.Object, at+".sectionName", "the %s has no route of this name; it has %s", ref.Kind, r.routeNames())
			return
		}
	}
	for _, p := range r.parents {
		if p.gateway.kind != "" && a.world.gateways[p.gateway] == nil {
			a.p.at(pol.Object, at+".name", "the %s is for Gateway %s/%s (%s:%d), which is not among the objects given",
				ref.Kind, p.gateway.ns, p.gateway.name, r.File, r.LineOf(p.path))
			return
		}
	}
	if len(r.served) == 0 && len(r.mesh) == 0 {
		a.p.at(pol.Object, at+".name", "the %s (%s:%d) has no host that one of its Gateways serves", ref.Kind, r.File, r.Line)
		return
	}
	var reaches []reach
	add := func(s scope, f *fleet, host string, port uint32) {
		c := &contribution{policy: pol, path: "spec", doc: pol.doc, scope: s, level: rank, rank: rank}
		pl := place{fleet: f, host: host, port: port}
		if rank == ofHost && a.alone(pl) {
			a.addAt(pl, r.id, c)
			return
		}
		all := rules
		if rank == ofHost {
			all = r.rules
		}
		for _, ru := range all {
			a.addRule(pol, pl, r, ru, c, at)
		}
	}
	for _, sv := range r.served {
		if sv.gateway.api == gatewayAPI && len(sv.gateway.scope.labels) == 0 {
			a.p.at(pol.Object, at+".name", "its Gateway (%s:%d) has an address of its own, and the Service with that address "+
				"is not among the objects given", sv.gateway.File, sv.gateway.Line)
			return
		}
		add(sv.gateway.scope, sv.gateway.fleet, sv.host, sv.port)
		reaches = append(reaches, reach{
			scope: sv.gateway.scope, fleet: sv.gateway.fleet, gateway: sv.gateway, router: r, hosts: []string{sv.host},
		})
	}
	for _, h := range r.mesh {
		s := scope{traffic: outbound, ns: a.namespace(pol)}
		add(s, nil, h, 0)
		reaches = append(reaches, reach{scope: s, router: r, hosts: []string{h}})
	}
	a.noTraffic(pol, ref.Kind, gateway, outbound)
	a.inline(pol, rank, reaches)
}

// addRule attaches c to the routes of a rule.
func (a *attachment) addRule(pol *policy, pl place, r *router, ru rule, c *contribution, at string) {
	if len(ru.names) == 0 {
		a.p.at(pol.Object, at, "%s %s of %s (%s:%d) has no name by which Envoy knows it, and its virtual host %s has other "+
			"routes too; give the route, and each of its matches that has none, a name",
			r.Kind(), ru.path, r.id, r.File, r.LineOf(ru.path), pl.host)
		return
	}
	for _, n := range ru.names {
		if other := a.sameName(pl, r, n); other != nil {
			a.p.at(pol.Object, at, "route %s of virtual host %s is also one of %s (%s:%d), and Envoy cannot tell them apart; "+
				"rename one", n, pl.host, other.id, other.File, other.Line)
			continue
		}
		pl.route = n
		a.addAt(pl, r.id, c)
	}
}

// sameName returns another router with a route of that name in the same virtual host; nil if there is none.
func (a *attachment) sameName(pl place, r *router, route string) *router {
	for _, at := range a.world.routeNames(pl.fleet)[route] {
		if at.router != r && at.host == pl.host && at.port == pl.port {
			return at.router
		}
	}
	return nil
}

// alone tells whether all routes of a virtual host are of one router.
func (a *attachment) alone(pl place) bool {
	if pl.fleet == nil {
		return len(a.world.mesh[pl.host]) == 1
	}
	return len(pl.fleet.hosts[pl.host][pl.port]) == 1
}

// routeNames lists the names of r's routes for a message.
func (r *router) routeNames() string {
	var names []string
	for _, ru := range r.rules {
		names = append(names, ru.names...)
	}
	if len(names) == 0 {
		return "none with a name"
	}
	const most = 10
	if len(names) > most {
		names = append(names[:most:most], "…")
	}
	return strings.Join(names, ", ")
}
