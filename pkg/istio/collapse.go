package istio

import (
	"mosn.io/moe/pkg/istio/internal/mesh"
)

// checkCollapsed refuses what Istio would mix up: it makes one virtual host of hosts that have the same routes.
func (g *generator) checkCollapsed() {
	type at struct {
		fleet *mesh.GatewayGroup
		port  uint32
		route string
		scope string
	}
	// The documents by router, and then by what of it they are for; only these can be made one.
	byRouter := map[*mesh.Routes]map[at]map[string]string{}
	for _, r := range g.spots {
		if r.fleet == nil || r.host == "" {
			continue
		}
		for _, router := range r.fleet.VirtualHosts[r.host][r.port] {
			if byRouter[router] == nil {
				byRouter[router] = map[at]map[string]string{}
			}
			k := at{r.fleet, r.port, r.route, r.scope.Key()}
			if byRouter[router][k] == nil {
				byRouter[router][k] = map[string]string{}
			}
			byRouter[router][k][r.host] = digest("", r.raw)
		}
	}
	for _, r := range g.spots {
		if r.fleet == nil || r.host == "" {
			continue
		}
		routers := r.fleet.VirtualHosts[r.host][r.port]
		docs := byRouter[routers[0]][at{r.fleet, r.port, r.route, r.scope.Key()}]
		for _, sv := range routers[0].VirtualHosts {
			if sv.Port != r.port || sv.Host == r.host || !sameRouters(routers, r.fleet.VirtualHosts[sv.Host][sv.Port]) {
				continue
			}
			if docs[sv.Host] != docs[r.host] {
				c := r.all[len(r.all)-1]
				g.p.At(c.policy.Object, c.path, "Istio makes one virtual host of %s and %s, which have the same routes (%s:%d); "+
					"give both the same plugins, or put the hosts into different %ss", r.host, sv.Host,
					routers[0].File, routers[0].Line, routers[0].Kind())
			}
		}
	}
}

func sameRouters(a, b []*mesh.Routes) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
