package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/pkg/istio/internal/mesh"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/internal/proxyset"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// A waypoint has a chain of HTTP filters for each port of each service that it serves, and one for requests that name the
// address of a pod. So the chain of a service is one of a part of the waypoint: a set of proxies with a host and a port.
// Istio applies no patches to the routes of a waypoint. A route with a document of its own gets a filter of its own, which
// only that route's requests pass.

// allWaypoints attaches a policy without targets to the waypoints of its namespace, or to all.
func (a *attachment) allWaypoints(pol *policy.Policy, rank level, at string) (where []candidates) {
	if pol.Spec.Selector != nil {
		a.p.At(pol.Object, at, "Istio selects no waypoint by labels; use targetRefs, or leave the selector out")
		return nil
	}
	ns := a.namespace(pol)
	known := a.mesh.Waypoints(ns)
	if ns == "" { // by the gateway class, also those that are not among the input
		a.addBase(pol, proxyset.Set{Traffic: proxyset.Waypoint}, rank)
	} else if len(known) == 0 {
		a.p.At(pol.Object, at, "there is no waypoint of namespace %s among the objects given", ns)
	}
	for _, g := range known {
		if ns != "" {
			a.addBase(pol, g.Proxies, rank)
		}
		a.warnOfServices(pol, g, "spec")
		where = append(where, candidates{proxies: g.Proxies, waypoint: g})
	}
	return where
}

// toWaypoint attaches a policy to all requests that a waypoint takes.
func (a *attachment) toWaypoint(pol *policy.Policy, g *mesh.Gateway, ref v1alpha1.TargetRef, at string) {
	a.noTraffic(pol, "waypoint", proxyset.Waypoint)
	switch {
	case !g.KnowsProxies():
		a.p.At(pol.Object, at+".name", "the waypoint (%s:%d) has an address of its own, so that its proxies are not known",
			g.File, g.Line)
		return
	case !g.HasHBONE():
		a.p.At(pol.Object, at+".name", "no plugin can run there: the waypoint (%s:%d) has no listener of protocol HBONE at "+
			"port 15008, so that ztunnels send it no requests", g.File, g.Line)
		return
	case g.WaypointFor() == "none":
		a.p.At(pol.Object, at+".name", "no plugin can run there: the waypoint (%s:%d) takes no requests, because its label "+
			"istio.io/waypoint-for is none", g.File, g.Line)
		return
	case ref.SectionName != "" && ref.SectionName != g.HBONEListener():
		a.p.At(pol.Object, at+".sectionName", "the waypoint has no listener of this name for HBONE; it has %s", g.HBONEListener())
		return
	}
	a.addBase(pol, g.Proxies, ofGateway)
	a.warnOfServices(pol, g, at+".name")
	a.inline(pol, ofGateway, []candidates{{proxies: g.Proxies, waypoint: g}})
}

// trafficOf returns the traffic that a policy for a service is about.
func (a *attachment) trafficOf(pol *policy.Policy, s *mesh.Service) []proxyset.Traffic {
	switch {
	case len(pol.Traffic) > 0:
		return pol.Traffic
	case s.Waypoint != nil || s.Kind() == "ServiceEntry":
		return []proxyset.Traffic{proxyset.Waypoint}
	}
	return []proxyset.Traffic{proxyset.Inbound}
}

// toServed attaches a policy to what a waypoint takes for a service, or for one of its ports.
func (a *attachment) toServed(pol *policy.Policy, s *mesh.Service, ref v1alpha1.TargetRef, at string) []candidates {
	reason := s.Refused
	switch {
	case s.Waypoint != nil:
		reason = ""
	case s.OptedOut:
		reason = "its label istio.io/use-waypoint is none"
	case reason == "":
		reason = "neither it nor its namespace, as far as the input tells, has the label istio.io/use-waypoint"
	}
	if reason != "" {
		a.p.At(pol.Object, at+".name", "no waypoint takes the requests of the %s (%s:%d): %s", s.Kind(), s.File, s.Line, reason)
		return nil
	}
	rank, ports := ofGateway, httpPorts(s)
	if ref.SectionName != "" {
		rank, ports = ofListener, []uint32{s.Ports[ref.SectionName].Number}
	}
	for _, host := range s.Hosts {
		if reason := s.NotReached(host); reason != "" {
			a.p.At(pol.Object, at+".name", "no plugin can run there: %s (%s:%d)", reason, s.File, s.Line)
			return nil
		}
		for _, port := range ports {
			a.addSet(&Contribution{
				Policy: pol, Path: "spec", doc: pol.Doc, Proxies: s.Waypoint.ServedBy(host, port), level: ofHost, rank: rank,
			})
		}
	}
	if ref.SectionName == "" {
		a.warnOfPorts(pol, s, at+".name")
	}
	a.warnOfWays(pol, s, at)
	return []candidates{{proxies: s.Waypoint.Proxies, waypoint: s.Waypoint, hosts: s.Hosts, ports: ports}}
}

// httpPorts returns the ports of a service that may take HTTP.
func httpPorts(s *mesh.Service) (ports []uint32) {
	for _, p := range s.InOrder() {
		if p.NotHTTP == "" {
			ports = append(ports, p.Number)
		}
	}
	return ports
}

// toServedRoutes attaches a policy for routes, or for some of their rules, to the waypoints that have the routes for host.
// It reports whether the policy is for sidecars that have the routes, too.
func (a *attachment) toServedRoutes(pol *policy.Policy, r *mesh.Routes, rules []mesh.Rule, rank level, host, at string) (
	where []candidates, sidecars bool,
) {
	served, refused := a.mesh.WaypointHosts(r, host)
	waypoint := len(pol.Traffic) == 0 || slices.Contains(pol.Traffic, proxyset.Waypoint)
	sidecars = len(pol.Traffic) == 0 && len(served) == 0 || slices.Contains(pol.Traffic, proxyset.Outbound)
	if !waypoint {
		return nil, true
	}
	if len(refused) > 0 {
		s := refused[0]
		a.p.At(pol.Object, at+".name", "waypoint %s/%s, which serves %s, has no routes of namespace %s (%s:%d): Istio gives it "+
			"those of the namespaces of the service and of the waypoint", s.Waypoint.ID.Namespace, s.Waypoint.ID.Name, s.Host,
			r.ID.Namespace, r.File, r.Line)
		return nil, false
	}
	if without := a.mesh.WithoutWaypoint(host); len(without) > 0 {
		s := without[0]
		a.p.At(pol.Object, at+".name", "no waypoint takes the requests of the %s %s/%s (%s:%d), for which the %s has routes: %s",
			s.Kind(), s.ID.Namespace, s.ID.Name, s.File, s.Line, r.Kind(), s.Refused)
		return nil, false
	}
	if len(served) == 0 && len(pol.Traffic) > 0 {
		a.p.At(pol.Object, at+".name", "no waypoint serves %s, for which the %s (%s:%d) has routes", host, r.Kind(), r.File, r.Line)
		return nil, sidecars
	}
	for _, w := range served {
		if reason := w.NotReached(w.Host); reason != "" {
			a.p.At(pol.Object, at+".name", "no plugin can run there: %s (%s:%d)", reason, w.File, w.Line)
			continue
		}
		for _, port := range httpPorts(w.Service) {
			if !r.Reaches(w.Service, port) {
				continue
			}
			c := &Contribution{
				Policy: pol, Path: "spec", doc: pol.Doc, Proxies: w.Waypoint.ServedBy(w.Host, port), level: rank, rank: rank,
			}
			if rank == ofHost && len(a.mesh.WaypointRoutes(w, port)) == 1 {
				a.addSet(c)
				continue
			}
			all := rules
			if rank == ofHost {
				all = r.Rules
			}
			for _, ru := range all {
				a.addWaypointRule(pol, w, port, r, ru, c, at)
			}
		}
		where = append(where, candidates{
			proxies: w.Waypoint.Proxies, waypoint: w.Waypoint, routes: r, hosts: []string{w.Host},
		})
	}
	return where, sidecars
}

// addWaypointRule attaches c to the routes of a rule for a port of a service.
func (a *attachment) addWaypointRule(
	pol *policy.Policy, w mesh.WaypointHost, port uint32, r *mesh.Routes, ru mesh.Rule, c *Contribution, at string,
) {
	if len(ru.Names) == 0 {
		a.p.At(pol.Object, at, "%s %s of %s (%s:%d) has no name by which Envoy knows it; give the route, and each of its "+
			"matches that has none, a name", r.Kind(), ru.Path, r.ID, r.File, r.LineOf(ru.Path))
		return
	}
	for _, n := range ru.Names {
		if other := a.sameWaypointName(w, port, r, n); other != nil {
			a.p.At(pol.Object, at, "route %s of %s is also one of %s (%s:%d), and Envoy cannot tell them apart; rename one", n,
				w.Host, other.ID, other.File, other.Line)
			continue
		}
		a.addAt(RoutePart{Waypoint: true, Host: w.Host, Port: port, Route: n}, r.ID, c)
	}
}

func (a *attachment) sameWaypointName(w mesh.WaypointHost, port uint32, r *mesh.Routes, route string) *mesh.Routes {
	for _, other := range a.mesh.WaypointRoutes(w, port) {
		if other != r && slices.ContainsFunc(other.Rules, func(ru mesh.Rule) bool { return slices.Contains(ru.Names, route) }) {
			return other
		}
	}
	return nil
}

// toWaypointHost attaches what a policy says about one host to the waypoint's chains for it.
func (a *attachment) toWaypointHost(c *Contribution, host string, in candidates) (found bool) {
	for _, s := range in.waypoint.Serves {
		if !slices.Contains(s.Hosts, host) || in.hosts != nil && !slices.Contains(in.hosts, host) || s.NotReached(host) != "" {
			continue
		}
		for _, port := range httpPorts(s) {
			if in.ports != nil && !slices.Contains(in.ports, port) {
				continue
			}
			here := *c
			here.Proxies = in.waypoint.ServedBy(host, port)
			a.addSet(&here)
			found = true
		}
	}
	return found
}

// toWaypointRoute attaches what a policy says about routes of a name.
func (a *attachment) toWaypointRoute(c *Contribution, route, host string, in candidates) (found bool) {
	for _, s := range in.waypoint.Serves {
		for _, h := range s.Hosts {
			if host != "" && host != h || in.hosts != nil && !slices.Contains(in.hosts, h) || s.NotReached(h) != "" {
				continue
			}
			for _, port := range httpPorts(s) {
				if in.ports != nil && !slices.Contains(in.ports, port) {
					continue
				}
				w := mesh.WaypointHost{Service: s, Host: h}
				for _, r := range a.mesh.WaypointRoutes(w, port) {
					if in.routes != nil && in.routes != r {
						continue
					}
					for _, ru := range r.Rules {
						if !slices.Contains(ru.Names, route) {
							continue
						}
						here := *c
						here.Proxies = in.waypoint.ServedBy(h, port)
						a.addAt(RoutePart{Waypoint: true, Host: h, Port: port, Route: route}, r.ID, &here)
						found = true
					}
				}
			}
		}
	}
	return found
}

// guards names the plugins of a policy that guard something, for all of its requests.
func guards(pol *policy.Policy) string {
	if pol.Doc == nil {
		return ""
	}
	var names []string
	for i := range pol.Doc.Plugins {
		e := &pol.Doc.Plugins[i]
		if reg := filter.Lookup(e.Name); reg != nil && reg.Stage <= filter.Authz && !e.Off() {
			names = append(names, e.EntryID())
		}
	}
	return strings.Join(names, ", ")
}

// warnOfPorts tells, at a place of a policy for all of a service, of the ports at which requests pass by its guards.
func (a *attachment) warnOfPorts(pol *policy.Policy, s *mesh.Service, at string) {
	ports, who := s.Unguarded(), guards(pol)
	if ports != "" && who != "" {
		a.warnings.At(pol.Object, at, "%s sees HTTP alone, and not all that the %s %s/%s (%s:%d) takes is HTTP: port %s", who,
			s.Kind(), s.ID.Namespace, s.ID.Name, s.File, s.Line, ports)
	}
}

// warnOfServices does so for all services of a waypoint.
func (a *attachment) warnOfServices(pol *policy.Policy, g *mesh.Gateway, at string) {
	for _, s := range g.Serves {
		a.warnOfPorts(pol, s, at)
	}
}

// warnOfWays tells of ways to a service's pods on which requests pass by the guards of a policy for the service.
func (a *attachment) warnOfWays(pol *policy.Policy, s *mesh.Service, at string) {
	who := guards(pol)
	if who == "" {
		return
	}
	if g := s.Waypoint; g.WaypointFor() == "all" {
		a.warnings.At(pol.Object, at+".name", "%s guards the Service's address alone: waypoint %s/%s (%s:%d) also takes requests "+
			"for the addresses of pods, as its label istio.io/waypoint-for is all; target the waypoint to guard these", who,
			g.ID.Namespace, g.ID.Name, g.File, g.Line)
	}
	for _, g := range a.mesh.Groups {
		i := slices.IndexFunc(g.Gateways, func(g *mesh.Gateway) bool { return !g.Waypoint })
		if i < 0 || a.mesh.IngressUsesWaypoint(s) {
			continue
		}
		edge := g.Gateways[i]
		a.warnings.At(pol.Object, at+".name", "requests that come by Gateway %s/%s (%s:%d) go past the waypoint and %s, unless "+
			"the %s or its namespace has the label istio.io/ingress-use-waypoint: \"true\"", edge.ID.Namespace, edge.ID.Name,
			edge.File, edge.Line, who, s.Kind())
		return
	}
}

// checkPlace refuses a place behind filters of Istio's, and before those that look at the route, for a waypoint's routes
// with documents of their own. Envoy matches the name of the route that was chosen last. Istio's authentication has it
// choose again when somebody looks, which by the router's place somebody has.
func (g *planner) checkPlace(r *RouteChain) {
	if in := r.Settings.Insert; in != (v1alpha1.Insert{}) && in.Position != "first" {
		c := r.Contributions[len(r.Contributions)-1]
		g.p.At(r.Settings.InsertFrom.Object, "spec.insert", "a chain for which the waypoint's route %s (FilterPolicy %s, %s:%d) "+
			"has one of its own is at position beforeRouter or first: elsewhere, Istio's authentication may have dropped the "+
			"route's name", r.Route, c.Policy, c.Policy.File, c.Policy.LineOf(c.Path))
	}
}

// RouteNativeName returns the name of the filter of Envoy's own that requests of one route of a waypoint pass in place of
// the listener's.
func RouteNativeName(b *ProxyChain, r *RouteChain, n *RouteNative) string {
	return NativeName(routeFilter(b, r.Route), n.Of)
}

// routeFilter returns the name of the filter that requests of one route of a waypoint pass.
func routeFilter(b *ProxyChain, route string) string {
	return fmt.Sprintf("%s.%s.%s.%d.route.%s", policy.ChainFilter, proxyset.Waypoint, b.Proxies.Host, b.Proxies.Port, route)
}

// RoutesOf returns the routes of a waypoint's chain that have documents of their own, by name.
func (g *Plan) RoutesOf(b *ProxyChain) (all []*RouteChain) {
	if b.Proxies.Host == "" {
		return nil
	}
	for _, r := range g.RouteChains {
		if r.Waypoint && r.Proxies.Key() == b.Proxies.Key() {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *RouteChain) int { return cmp.Compare(a.Route, b.Route) })
	return all
}
