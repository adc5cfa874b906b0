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

// candidates is where the virtualHosts and routes of a policy may be.
type candidates struct {
	proxies proxyset.Set
	fleet   *mesh.GatewayGroup // nil: the sidecars
	gateway *mesh.Gateway      // nil: the sidecars
	section string             // of the gateway; "": all
	router  *mesh.Routes       // nil: any
	hosts   []string           // nil: any
}

func (r candidates) has(host string, port uint32, by *mesh.Routes) bool {
	if r.hosts != nil && !slices.Contains(r.hosts, host) || r.router != nil && r.router != by {
		return false
	}
	if r.fleet == nil {
		return true
	}
	return slices.ContainsFunc(by.VirtualHosts, func(s mesh.VirtualHost) bool {
		return s.Gateway == r.gateway && s.Port == port && s.Host == host && (r.section == "" ||
			slices.ContainsFunc(r.gateway.Servers, func(sv mesh.Server) bool { return sv.Section == r.section && sv.Port == port }))
	})
}

// inline attaches what a policy says of single virtual hosts and routes.
func (a *attachment) inline(pol *policy.Policy, rank level, reaches []candidates) {
	seen := map[[2]string]string{}
	twice := func(path, field string, key [2]string) bool {
		first, there := seen[key]
		if there {
			a.p.At(pol.Object, path+field, "is there twice; %s names it, too", first)
		} else {
			seen[key] = path
		}
		return there
	}
	for i, vh := range pol.Spec.VirtualHosts {
		path := config.Index("spec.virtualHosts", i)
		host := strings.ToLower(vh.Host)
		c := Contribution{Policy: pol, Path: path, doc: pol.Document(path, a.p), level: ofHost, rank: rank}
		if !twice(path, ".host", [2]string{host}) && !a.toHost(c, host, reaches) {
			a.p.At(pol.Object, path+".host", "no gateway or sidecar that the policy is for serves this host%s", listHosts(reaches))
		}
	}
	for i, ro := range pol.Spec.Routes {
		path := config.Index("spec.routes", i)
		host := strings.ToLower(ro.Host)
		c := Contribution{
			Policy: pol, Path: path, doc: pol.Document(path, a.p), level: ofRoute, rank: rank, host: host != "",
		}
		if !twice(path, ".name", [2]string{host, "/" + ro.Name}) && !a.toRoute(c, ro.Name, host, reaches) {
			a.p.At(pol.Object, path+".name", "there is no route of this name where the policy applies, among the objects given")
		}
	}
}

func (a *attachment) toHost(c Contribution, host string, reaches []candidates) (found bool) {
	for _, r := range reaches {
		at := c
		at.Proxies = r.proxies
		if r.fleet == nil {
			if a.mesh.HasSidecarHost(host) && (r.hosts == nil || slices.Contains(r.hosts, host)) {
				a.toVirtualHost(RoutePart{Host: host}, mesh.Name{Kind: "host", Name: host}, r.router, &at)
				found = true
			}
			continue
		}
		for _, port := range slices.Sorted(maps.Keys(r.fleet.VirtualHosts[host])) {
			for _, by := range r.fleet.VirtualHosts[host][port] {
				if r.has(host, port, by) {
					a.toVirtualHost(RoutePart{Group: r.fleet, Host: host, Port: port}, by.ID, r.router, &at)
					found = true
				}
			}
		}
	}
	return found
}

// toVirtualHost attaches c to a virtual host, or to the routes that only has of it, where it has others' too.
func (a *attachment) toVirtualHost(pl RoutePart, owner mesh.Name, only *mesh.Routes, c *Contribution) {
	if only == nil || a.alone(pl) {
		a.addAt(pl, owner, c)
		return
	}
	for _, ru := range only.Rules {
		a.addRule(c.Policy, pl, only, ru, c, c.Path+".host")
	}
}

func (a *attachment) toRoute(c Contribution, route, host string, reaches []candidates) (found bool) {
	for _, r := range reaches {
		for _, at := range a.mesh.RoutesByName(r.fleet)[route] {
			if host != "" && host != at.Host || !r.has(at.Host, at.Port, at.Routes) {
				continue
			}
			here := c
			here.Proxies = r.proxies
			a.addAt(RoutePart{Group: r.fleet, Host: at.Host, Port: at.Port, Route: route}, at.Routes.ID, &here)
			found = true
		}
	}
	return found
}

// listHosts names the hosts that there are, for a message.
func listHosts(reaches []candidates) string {
	var hosts []string
	for _, r := range reaches {
		switch {
		case r.hosts != nil:
			hosts = append(hosts, r.hosts...)
		case r.fleet != nil:
			hosts = append(hosts, slices.Collect(maps.Keys(r.fleet.VirtualHosts))...)
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
