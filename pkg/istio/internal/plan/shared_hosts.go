package plan

import (
	"mosn.io/moe/pkg/istio/internal/mesh"
)

// checkSharedHosts refuses different documents for hosts of which Istio makes one virtual host, because they have the same
// routes.
func (g *planner) checkSharedHosts() {
	type at struct {
		group   *mesh.GatewayGroup
		port    uint32
		route   string
		proxies string
	}
	// The documents by router, and then by what of it they are for; only these can be made one.
	byRouter := map[*mesh.Routes]map[at]map[string]string{}
	for _, r := range g.routeChains {
		if r.Group == nil || r.Host == "" {
			continue
		}
		for _, router := range r.Group.VirtualHosts[r.Host][r.Port] {
			if byRouter[router] == nil {
				byRouter[router] = map[at]map[string]string{}
			}
			k := at{r.Group, r.Port, r.Route, r.Proxies.Key()}
			if byRouter[router][k] == nil {
				byRouter[router][k] = map[string]string{}
			}
			byRouter[router][k][r.Host] = digest("", r.raw, r.nativesData())
		}
	}
	for _, r := range g.routeChains {
		if r.Group == nil || r.Host == "" {
			continue
		}
		routers := r.Group.VirtualHosts[r.Host][r.Port]
		docs := byRouter[routers[0]][at{r.Group, r.Port, r.Route, r.Proxies.Key()}]
		for _, sv := range routers[0].VirtualHosts {
			if sv.Port != r.Port || sv.Host == r.Host || !sameRouters(routers, r.Group.VirtualHosts[sv.Host][sv.Port]) {
				continue
			}
			if docs[sv.Host] != docs[r.Host] {
				c := r.Contributions[len(r.Contributions)-1]
				g.p.At(c.Policy.Object, c.Path, "Istio makes one virtual host of %s and %s, which have the same routes (%s:%d); "+
					"give both the same plugins and filters, or put the hosts into different %ss", r.Host, sv.Host,
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
