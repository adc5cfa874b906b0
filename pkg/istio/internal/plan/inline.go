package plan

import (
	"maps"
	"slices"
	"strings"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/pkg/istio/internal/mesh"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/internal/proxyset"
)

// candidates is where virtual hosts and routes are that the virtualHosts and routes of a policy may name.
type candidates struct {
	proxies proxyset.Set
	group   *mesh.GatewayGroup // nil: the sidecars
	gateway *mesh.Gateway      // nil: the sidecars
	section string             // of the gateway; "": all
	routes  *mesh.Routes       // nil: any
	hosts   []string           // nil: any

	waypoint *mesh.Gateway // whose services are the hosts; nil: gateways or sidecars
	ports    []uint32      // of the services; nil: any
}

func (in candidates) has(host string, port uint32, by *mesh.Routes) bool {
	if in.hosts != nil && !slices.Contains(in.hosts, host) || in.routes != nil && in.routes != by {
		return false
	}
	if in.group == nil {
		return true
	}
	return slices.ContainsFunc(by.VirtualHosts, func(s mesh.VirtualHost) bool {
		return s.Gateway == in.gateway && s.Port == port && s.Host == host && (in.section == "" ||
			slices.ContainsFunc(in.gateway.Servers, func(sv mesh.Server) bool { return sv.Section == in.section && sv.Port == port }))
	})
}

// inline attaches what a policy says about single virtual hosts and routes.
func (a *attachment) inline(pol *policy.Policy, rank level, where []candidates) {
	seen := map[[2]string]string{}
	twice := func(path, field string, key [2]string) bool {
		first, there := seen[key]
		if there {
			a.p.At(pol.Object, path+field, "duplicate; %s names it already", first)
		} else {
			seen[key] = path
		}
		return there
	}
	for i, vh := range pol.Spec.VirtualHosts {
		path := config.Index("spec.virtualHosts", i)
		host := strings.ToLower(vh.Host)
		c := Contribution{Policy: pol, Path: path, doc: pol.Document(path, a.p), level: ofHost, rank: rank}
		if !twice(path, ".host", [2]string{host}) && !a.toHost(c, host, where) {
			a.p.At(pol.Object, path+".host", "no gateway, sidecar or waypoint that the policy is for serves this host%s", listHosts(where))
		}
	}
	for i, ro := range pol.Spec.Routes {
		path := config.Index("spec.routes", i)
		host := strings.ToLower(ro.Host)
		c := Contribution{
			Policy: pol, Path: path, doc: pol.Document(path, a.p), natives: policy.RouteNatives(&ro), level: ofRoute, rank: rank,
			host: host != "",
		}
		if !twice(path, ".name", [2]string{host, "/" + ro.Name}) && !a.toRoute(c, ro.Name, host, where) {
			a.p.At(pol.Object, path+".name", "there is no route of this name where the policy applies, among the objects given")
		}
	}
}

func (a *attachment) toHost(c Contribution, host string, where []candidates) (found bool) {
	for _, r := range where {
		at := c
		at.Proxies = r.proxies
		if r.waypoint != nil {
			found = a.toWaypointHost(&at, host, r) || found
			continue
		}
		if r.group == nil {
			if a.mesh.HasSidecarHost(host) && (r.hosts == nil || slices.Contains(r.hosts, host)) {
				a.toVirtualHost(RoutePart{Host: host}, mesh.Name{Kind: "host", Name: host}, r.routes, &at)
				found = true
			}
			continue
		}
		for _, port := range slices.Sorted(maps.Keys(r.group.VirtualHosts[host])) {
			for _, by := range r.group.VirtualHosts[host][port] {
				if r.has(host, port, by) {
					a.toVirtualHost(RoutePart{Group: r.group, Host: host, Port: port}, by.ID, r.routes, &at)
					found = true
				}
			}
		}
	}
	return found
}

// toVirtualHost attaches c to a virtual host. If the virtual host has routes of others than only, it attaches c to the
// routes of only.
func (a *attachment) toVirtualHost(pl RoutePart, owner mesh.Name, only *mesh.Routes, c *Contribution) {
	if only == nil || a.alone(pl) {
		a.addAt(pl, owner, c)
		return
	}
	for _, ru := range only.Rules {
		a.addRule(c.Policy, pl, only, ru, c, c.Path+".host")
	}
}

func (a *attachment) toRoute(c Contribution, route, host string, where []candidates) (found bool) {
	for _, r := range where {
		if r.waypoint != nil {
			found = a.toWaypointRoute(&c, route, host, r) || found
			continue
		}
		for _, at := range a.mesh.RoutesByName(r.group)[route] {
			if host != "" && host != at.Host || !r.has(at.Host, at.Port, at.Routes) {
				continue
			}
			here := c
			here.Proxies = r.proxies
			a.addAt(RoutePart{Group: r.group, Host: at.Host, Port: at.Port, Route: route}, at.Routes.ID, &here)
			found = true
		}
	}
	return found
}

// listHosts lists the hosts of candidates for a message.
func listHosts(where []candidates) string {
	var hosts []string
	for _, r := range where {
		switch {
		case r.hosts != nil:
			hosts = append(hosts, r.hosts...)
		case r.waypoint != nil:
			for _, s := range r.waypoint.Serves {
				hosts = append(hosts, s.Hosts...)
			}
		case r.group != nil:
			hosts = append(hosts, slices.Collect(maps.Keys(r.group.VirtualHosts))...)
		}
		if len(hosts) > 1000 {
			break
		}
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	const most = 10
	if len(hosts) > most {
		hosts = append(hosts[:most:most], "…")
	}
	if len(hosts) == 0 {
		return ""
	}
	return "; there are " + strings.Join(hosts, ", ")
}
