package plan

import (
	"fmt"
	"maps"
	"slices"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/mesh"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/internal/proxyset"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// attachment is what policies contribute, and where.
type attachment struct {
	mesh          *mesh.Mesh
	rootNamespace string // namespace
	base          []*Contribution
	routes        *routeTree
	sets          []proxyset.Set // of proxies that need a chain
	p             *manifest.Problems
	warnings      manifest.Problems
}

// attach finds out what every policy contributes to, by its selector or its targets.
func attach(w *mesh.Mesh, policies []*policy.Policy, root string, p *manifest.Problems) *attachment {
	a := &attachment{
		mesh: w, rootNamespace: root, p: p,
		routes: &routeTree{byPart: map[RoutePart]*routeNode{}, configurations: map[*mesh.GatewayGroup][]*routeNode{}},
	}
	for _, pol := range policies {
		if len(pol.Spec.TargetRefs) == 0 {
			a.selector(pol)
		}
		for i, ref := range pol.Spec.TargetRefs {
			a.target(pol, ref, config.Index("spec.targetRefs", i))
		}
	}
	return a
}

// namespace returns the namespace of the proxies that a policy may act on; "" is all of them, for the root namespace.
func (a *attachment) namespace(pol *policy.Policy) string {
	if pol.Namespace == a.rootNamespace {
		return ""
	}
	return pol.Namespace
}

func (a *attachment) addBase(pol *policy.Policy, s proxyset.Set, l level) {
	a.addSet(&Contribution{Policy: pol, Path: "spec", doc: pol.Doc, Proxies: s, level: l, rank: l})
}

// addSet has a contribution act on all requests of its proxies.
func (a *attachment) addSet(c *Contribution) {
	a.base = append(a.base, c)
	a.sets = append(a.sets, c.Proxies)
}

func (a *attachment) addAt(at RoutePart, owner mesh.Name, c *Contribution) {
	a.routes.add(at, owner, c)
	a.sets = append(a.sets, c.Proxies)
}

// selector attaches a policy to workloads.
func (a *attachment) selector(pol *policy.Policy) {
	kinds := pol.Traffic
	if len(kinds) == 0 {
		kinds = []proxyset.Traffic{proxyset.Gateway, proxyset.Inbound}
		if pol.Spec.Selector == nil && len(a.mesh.Waypoints(a.namespace(pol))) > 0 {
			kinds = append(kinds, proxyset.Waypoint)
		}
	}
	rank := ofNamespace
	var labels map[string]string
	if s := pol.Spec.Selector; s != nil {
		labels, rank = s.MatchLabels, ofWorkload
		a.checkSelector(pol, labels)
	} else if pol.Namespace == a.rootNamespace {
		rank = ofRoot
	}
	var where []candidates
	for i, t := range kinds {
		if t == proxyset.Waypoint {
			where = append(where, a.allWaypoints(pol, rank, config.Index("spec.traffic", i))...)
			continue
		}
		s := proxyset.Set{Traffic: t, Namespace: a.namespace(pol), Labels: labels}
		a.addBase(pol, s, rank)
		switch t {
		case proxyset.Gateway:
			if len(pol.Spec.VirtualHosts)+len(pol.Spec.Routes) == 0 {
				continue
			}
			for _, f := range a.mesh.Groups {
				for _, g := range f.Gateways {
					if m, ok := s.Intersect(g.Proxies); ok && g.MayHave(labels) {
						where = append(where, candidates{proxies: m, group: f, gateway: g})
					}
				}
			}
		case proxyset.Outbound:
			where = append(where, candidates{proxies: s})
		}
	}
	a.inline(pol, rank, where)
}

// checkSelector looks for a Gateway or workload with the labels, provided that the input has workloads of the namespace.
func (a *attachment) checkSelector(pol *policy.Policy, labels map[string]string) {
	s := proxyset.Set{Traffic: proxyset.Gateway, Namespace: a.namespace(pol), Labels: labels}
	found, serves := "", false
	for _, g := range a.mesh.Gateways {
		own := g.Proxies
		own.Traffic = proxyset.Gateway
		if _, ok := s.Intersect(own); ok && g.Waypoint && s.SharesLabel(own) {
			a.p.At(pol.Object, "spec.selector.matchLabels", "Gateway %s/%s (%s:%d) is a waypoint, and Istio selects none by "+
				"labels; use targetRefs", g.ID.Namespace, g.ID.Name, g.File, g.Line)
			return
		}
		if _, ok := s.Intersect(g.Proxies); ok && len(g.Proxies.Labels) > 0 && s.SharesLabel(g.Proxies) {
			reason := notHTTPGateway(g)
			serves = serves || reason == ""
			found = max(found, fmt.Sprintf("Gateway %s/%s (%s:%d) %s", g.ID.Namespace, g.ID.Name, g.File, g.Line, reason))
		}
	}
	if found != "" {
		if !serves && slices.Equal(pol.Traffic, []proxyset.Traffic{proxyset.Gateway}) {
			a.p.At(pol.Object, "spec.selector.matchLabels", "no plugin can run there: %s", found)
		}
		return
	}
	known := 0
	for _, ns := range slices.Sorted(maps.Keys(a.mesh.Pods)) {
		if s.Namespace != "" && s.Namespace != ns {
			continue
		}
		for _, pod := range a.mesh.Pods[ns] {
			known++
			if s.Contains(proxyset.Set{Traffic: proxyset.Gateway, Namespace: ns, Labels: pod}) {
				return
			}
		}
	}
	if known > 0 {
		a.p.At(pol.Object, "spec.selector.matchLabels", "none of the %d workloads given has these labels", known)
	}
}

// target attaches a policy to what a reference names.
func (a *attachment) target(pol *policy.Policy, ref v1alpha1.TargetRef, at string) {
	group := ref.Group
	if group == "" {
		group = policy.GroupsOf(ref.Kind)[0]
	}
	id := mesh.Name{Kind: ref.Kind + "." + group, Namespace: pol.Namespace, Name: ref.Name}
	switch ref.Kind {
	case "Gateway":
		if g := a.mesh.Gateways[id]; g != nil {
			a.toGateway(pol, g, ref, at)
			return
		}
	case "Service", "ServiceEntry":
		if s := a.mesh.Services[id]; s != nil {
			a.toService(pol, s, ref, at)
			return
		}
	default:
		if r := a.mesh.Routes[id]; r != nil {
			a.toRoutes(pol, r, ref, at)
			return
		}
	}
	a.p.At(pol.Object, at+".name", "there is no %s %s/%s among the objects given", ref.Kind, pol.Namespace, ref.Name)
}

// noTraffic reports traffic that the target of a policy does not have.
func (a *attachment) noTraffic(pol *policy.Policy, kind string, allowed ...proxyset.Traffic) {
	for i, t := range pol.Traffic {
		if !slices.Contains(allowed, t) {
			a.p.At(pol.Object, config.Index("spec.traffic", i), "%s is not for a %s", t, kind)
		}
	}
}

func (a *attachment) toGateway(pol *policy.Policy, g *mesh.Gateway, ref v1alpha1.TargetRef, at string) {
	if g.Waypoint {
		a.toWaypoint(pol, g, ref, at)
		return
	}
	a.noTraffic(pol, "Gateway", proxyset.Gateway)
	if !g.KnowsProxies() {
		a.p.At(pol.Object, at+".name", "the Gateway (%s:%d) has an address of its own, and the Service with that address is "+
			"not among the objects given; without it, the Gateway's pods are not known", g.File, g.Line)
		return
	}
	if reason := notHTTPGateway(g); reason != "" {
		a.p.At(pol.Object, at+".name", "no plugin can run there: the Gateway (%s:%d) %s", g.File, g.Line, reason)
		return
	}
	r := candidates{proxies: g.Proxies, group: g.Group, gateway: g, section: ref.SectionName}
	if ref.SectionName == "" && len(g.Group.Gateways) == 1 {
		a.addBase(pol, g.Proxies, ofGateway)
		a.inline(pol, ofGateway, []candidates{r})
		return
	}
	rank, found := ofGateway, false
	if ref.SectionName != "" {
		rank = ofListener
	}
	for _, s := range g.Servers {
		if ref.SectionName != "" && s.Section != ref.SectionName {
			continue
		}
		found = true
		c := &Contribution{Policy: pol, Path: "spec", doc: pol.Doc, Proxies: g.Proxies, level: rank, rank: rank}
		pl := RoutePart{Group: g.Group, Port: s.Port, Gateway: g, Section: s.Section}
		if !s.TLS {
			pl.Gateway, pl.Section = nil, ""
			if other := g.Group.SharedPort(g, s); other != "" {
				a.p.At(pol.Object, at, "its port %d is shared with %s, and Istio makes one listener of both; "+
					"target VirtualServices or HTTPRoutes instead", s.Port, other)
				continue
			}
		}
		a.addAt(pl, g.ID, c)
	}
	if !found {
		a.p.At(pol.Object, at+".sectionName", "the Gateway has no listener of this name for HTTP")
	}
	a.inline(pol, rank, []candidates{r})
}

// notHTTPGateway explains why proxies of a Gateway run no HTTP filters; "" if they do.
func notHTTPGateway(g *mesh.Gateway) string {
	if len(g.Servers) == 0 {
		return "has no server that terminates HTTP, only TCP, or TLS that is passed through"
	}
	return ""
}

func (a *attachment) toService(pol *policy.Policy, s *mesh.Service, ref v1alpha1.TargetRef, at string) {
	kind := s.Kind()
	allowed := []proxyset.Traffic{proxyset.Outbound, proxyset.Waypoint}
	if kind == "Service" {
		allowed = append(allowed, proxyset.Inbound)
	}
	a.noTraffic(pol, kind, allowed...)
	var port mesh.ServicePort
	rank := ofGateway
	if ref.SectionName != "" {
		var ok bool
		if port, ok = s.Ports[ref.SectionName]; !ok {
			a.p.At(pol.Object, at+".sectionName", "the %s has no port of this name", kind)
			return
		}
		rank = ofListener
		if port.NotHTTP != "" {
			a.p.At(pol.Object, at+".sectionName", "no plugin can run there: the %s (%s:%d) says that the port is %s, by its "+
				"name or protocol, so that proxies have no HTTP filters for it", kind, s.File, s.Line, port.NotHTTP)
			return
		}
	} else if reason := s.NotHTTP(); reason != "" {
		a.p.At(pol.Object, at+".name", "no plugin can run there: the %s (%s:%d) has no port for HTTP; %s, by its name or "+
			"protocol", kind, s.File, s.Line, reason)
		return
	}
	if len(pol.Traffic) == 0 && s.Refused != "" {
		a.p.At(pol.Object, at+".name", "no waypoint takes the requests of the %s (%s:%d): %s", kind, s.File, s.Line, s.Refused)
		return
	}
	if len(pol.Traffic) == 0 && a.mesh.MayBeEnrolled(s) {
		a.warnings.At(pol.Object, at+".name", "the policy is for sidecars, since the Service (%s:%d) has no label "+
			"istio.io/use-waypoint; its Namespace may have it, and is not among the objects given", s.File, s.Line)
	}
	var where []candidates
	for _, t := range a.trafficOf(pol, s) {
		switch t {
		case proxyset.Waypoint:
			where = append(where, a.toServed(pol, s, ref, at)...)
		case proxyset.Inbound:
			if rank == ofGateway {
				a.warnOfPorts(pol, s, at+".name")
			}
			if kind != "Service" {
				continue // noTraffic has refused it
			}
			if len(s.Selector) == 0 {
				a.p.At(pol.Object, at+".name", "the Service has no selector, so that it has no sidecars of its own")
				continue
			}
			sc := proxyset.Set{Traffic: proxyset.Inbound, Namespace: s.ID.Namespace, Labels: s.Selector}
			if rank == ofListener {
				if sc.Port = port.Target; sc.Port == 0 {
					a.p.At(pol.Object, at+".sectionName", "the port's targetPort is a name; give its number in the Service")
					continue
				}
			}
			a.addBase(pol, sc, rank)
		case proxyset.Outbound:
			sc := proxyset.Set{Traffic: proxyset.Outbound, Namespace: a.namespace(pol)}
			c := &Contribution{Policy: pol, Path: "spec", doc: pol.Doc, Proxies: sc, level: ofHost, rank: rank}
			for _, host := range s.Hosts {
				a.addAt(RoutePart{Host: host, Port: port.Number}, s.ID, c)
			}
			where = append(where, candidates{proxies: sc, hosts: s.Hosts})
		}
	}
	a.inline(pol, rank, where)
}

func (a *attachment) toRoutes(pol *policy.Policy, r *mesh.Routes, ref v1alpha1.TargetRef, at string) {
	var rules []mesh.Rule
	rank := ofHost
	if ref.SectionName != "" {
		rank = ofRoute
		for _, ru := range r.Rules {
			if ru.IsNamed(ref.SectionName) {
				rules = append(rules, ru)
			}
		}
		if rules == nil {
			a.p.At(pol.Object, at+".sectionName", "the %s has no route of this name; it has %s", ref.Kind, r.ListNames())
			return
		}
	}
	for _, p := range r.Parents {
		if p.Gateway.Kind != "" && a.mesh.Gateways[p.Gateway] == nil {
			a.p.At(pol.Object, at+".name", "the %s is for Gateway %s/%s (%s:%d), which is not among the objects given",
				ref.Kind, p.Gateway.Namespace, p.Gateway.Name, r.File, r.LineOf(p.Path))
			return
		}
	}
	if r.Kind() == "VirtualService" && len(r.Rules) == 0 && len(r.SidecarHosts) == 0 {
		a.p.At(pol.Object, at+".name", "no plugin can run there: the VirtualService (%s:%d) has no HTTP routes", r.File, r.Line)
		return
	}
	if len(r.VirtualHosts) == 0 && len(r.SidecarHosts) == 0 {
		a.p.At(pol.Object, at+".name", "the %s (%s:%d) has no host that one of its Gateways serves", ref.Kind, r.File, r.Line)
		return
	}
	var where []candidates
	add := func(s proxyset.Set, f *mesh.GatewayGroup, host string, port uint32) {
		c := &Contribution{Policy: pol, Path: "spec", doc: pol.Doc, Proxies: s, level: rank, rank: rank}
		pl := RoutePart{Group: f, Host: host, Port: port}
		if rank == ofHost && a.alone(pl) {
			a.addAt(pl, r.ID, c)
			return
		}
		all := rules
		if rank == ofHost {
			all = r.Rules
		}
		for _, ru := range all {
			a.addRule(pol, pl, r, ru, c, at)
		}
	}
	for _, sv := range r.VirtualHosts {
		if !sv.Gateway.KnowsProxies() {
			a.p.At(pol.Object, at+".name", "its Gateway (%s:%d) has an address of its own, and the Service with that address "+
				"is not among the objects given", sv.Gateway.File, sv.Gateway.Line)
			return
		}
		add(sv.Gateway.Proxies, sv.Gateway.Group, sv.Host, sv.Port)
		where = append(where, candidates{
			proxies: sv.Gateway.Proxies, group: sv.Gateway.Group, gateway: sv.Gateway, routes: r, hosts: []string{sv.Host},
		})
	}
	for _, h := range r.SidecarHosts {
		served, sidecars := a.toServedRoutes(pol, r, rules, rank, h, at)
		where = append(where, served...)
		if !sidecars {
			continue
		}
		s := proxyset.Set{Traffic: proxyset.Outbound, Namespace: a.namespace(pol)}
		add(s, nil, h, 0)
		where = append(where, candidates{proxies: s, routes: r, hosts: []string{h}})
	}
	a.noTraffic(pol, ref.Kind, proxyset.Gateway, proxyset.Outbound, proxyset.Waypoint)
	a.inline(pol, rank, where)
}

// addRule attaches c to the routes of a rule.
func (a *attachment) addRule(pol *policy.Policy, pl RoutePart, r *mesh.Routes, ru mesh.Rule, c *Contribution, at string) {
	if len(ru.Names) == 0 {
		a.p.At(pol.Object, at, "%s %s of %s (%s:%d) has no name by which Envoy knows it, and its virtual host %s has other "+
			"routes too; give the route, and each of its matches that has none, a name",
			r.Kind(), ru.Path, r.ID, r.File, r.LineOf(ru.Path), pl.Host)
		return
	}
	for _, n := range ru.Names {
		if other := a.sameName(pl, r, n); other != nil {
			a.p.At(pol.Object, at, "route %s of virtual host %s is also one of %s (%s:%d), and Envoy cannot tell them apart; "+
				"rename one", n, pl.Host, other.ID, other.File, other.Line)
			continue
		}
		pl.Route = n
		a.addAt(pl, r.ID, c)
	}
}

// sameName returns other Routes with a route of that name in the same virtual host; nil if there are none.
func (a *attachment) sameName(pl RoutePart, r *mesh.Routes, route string) *mesh.Routes {
	for _, at := range a.mesh.RoutesByName(pl.Group)[route] {
		if at.Routes != r && at.Host == pl.Host && at.Port == pl.Port {
			return at.Routes
		}
	}
	return nil
}

// alone reports whether all routes of a virtual host come from one VirtualService or HTTPRoute.
func (a *attachment) alone(pl RoutePart) bool {
	if pl.Group == nil {
		return len(a.mesh.Sidecars[pl.Host]) == 1
	}
	return len(pl.Group.VirtualHosts[pl.Host][pl.Port]) == 1
}
