package istio

import (
	"maps"
	"slices"
	"strings"

	"mosn.io/moe/framework/config"
)

// reach is where the virtualHosts and routes of a policy may be.
type reach struct {
	scope   scope
	fleet   *fleet         // nil: the sidecars
	gateway *gatewayObject // nil: the sidecars
	section string         // of the gateway; "": all
	router  *router        // nil: any
	hosts   []string       // nil: any
}

func (r reach) has(host string, port uint32, by *router) bool {
	if r.hosts != nil && !slices.Contains(r.hosts, host) || r.router != nil && r.router != by {
		return false
	}
	if r.fleet == nil {
		return true
	}
	return slices.ContainsFunc(by.served, func(s served) bool {
		return s.gateway == r.gateway && s.port == port && s.host == host && (r.section == "" ||
			slices.ContainsFunc(r.gateway.servers, func(sv server) bool { return sv.section == r.section && sv.port == port }))
	})
}

// inline attaches what a policy says of single virtual hosts and routes.
func (a *attachment) inline(pol *policy, rank level, reaches []reach) {
	seen := map[[2]string]string{}
	twice := func(path, field string, key [2]string) bool {
		first, there := seen[key]
		if there {
			a.p.at(pol.Object, path+field, "is there twice; %s names it, too", first)
		} else {
			seen[key] = path
		}
		return there
	}
	for i, vh := range pol.spec.VirtualHosts {
		path := config.Index("spec.virtualHosts", i)
		host := strings.ToLower(vh.Host)
		c := contribution{policy: pol, path: path, doc: pol.document(path, a.p), level: ofHost, rank: rank}
		if !twice(path, ".host", [2]string{host}) && !a.toHost(c, host, reaches) {
			a.p.at(pol.Object, path+".host", "no gateway or sidecar that the policy is for serves this host%s", listHosts(reaches))
		}
	}
	for i, ro := range pol.spec.Routes {
		path := config.Index("spec.routes", i)
		host := strings.ToLower(ro.Host)
		c := contribution{
			policy: pol, path: path, doc: pol.document(path, a.p), level: ofRoute, rank: rank, host: host != "",
		}
		if !twice(path, ".name", [2]string{host, "/" + ro.Name}) && !a.toRoute(c, ro.Name, host, reaches) {
			a.p.at(pol.Object, path+".name", "there is no route of this name where the policy applies, among the objects given")
		}
	}
}

func (a *attachment) toHost(c contribution, host string, reaches []reach) (found bool) {
	for _, r := range reaches {
		at := c
		at.scope = r.scope
		if r.fleet == nil {
			if a.meshHost(host) && (r.hosts == nil || slices.Contains(r.hosts, host)) {
				a.toVirtualHost(place{host: host}, name{"host", "", host}, r.router, &at)
				found = true
			}
			continue
		}
		for _, port := range slices.Sorted(maps.Keys(r.fleet.hosts[host])) {
			for _, by := range r.fleet.hosts[host][port] {
				if r.has(host, port, by) {
					a.toVirtualHost(place{fleet: r.fleet, host: host, port: port}, by.id, r.router, &at)
					found = true
				}
			}
		}
	}
	return found
}

// toVirtualHost attaches c to a virtual host, or to the routes that only has of it, where it has others' too.
func (a *attachment) toVirtualHost(pl place, owner name, only *router, c *contribution) {
	if only == nil || a.alone(pl) {
		a.addAt(pl, owner, c)
		return
	}
	for _, ru := range only.rules {
		a.addRule(c.policy, pl, only, ru, c, c.path+".host")
	}
}

// meshHost tells whether sidecars have a virtual host for it, as far as the input tells.
func (a *attachment) meshHost(host string) bool {
	if a.world.mesh[host] != nil || a.world.entries[host] {
		return true
	}
	n, rest, _ := strings.Cut(host, ".")
	ns, domain, _ := strings.Cut(rest, ".")
	return domain == "svc.cluster.local" && a.world.services[name{"Service.", ns, n}] != nil
}

func (a *attachment) toRoute(c contribution, route, host string, reaches []reach) (found bool) {
	for _, r := range reaches {
		for _, at := range a.world.routeNames(r.fleet)[route] {
			if host != "" && host != at.host || !r.has(at.host, at.port, at.router) {
				continue
			}
			here := c
			here.scope = r.scope
			a.addAt(place{fleet: r.fleet, host: at.host, port: at.port, route: route}, at.router.id, &here)
			found = true
		}
	}
	return found
}

// listHosts names the hosts that there are, for a message.
func listHosts(reaches []reach) string {
	var hosts []string
	for _, r := range reaches {
		switch {
		case r.hosts != nil:
			hosts = append(hosts, r.hosts...)
		case r.fleet != nil:
			hosts = append(hosts, slices.Collect(maps.Keys(r.fleet.hosts))...)
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
