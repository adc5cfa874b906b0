package istio

// checkCollapsed refuses what Istio would mix up: it makes one virtual host of hosts that have the same routes.
func (g *generator) checkCollapsed() {
	type at struct {
		fleet *fleet
		port  uint32
		route string
		scope string
	}
	// The documents by router, and then by what of it they are for; only these can be made one.
	byRouter := map[*router]map[at]map[string]string{}
	for _, r := range g.spots {
		if r.fleet == nil || r.host == "" {
			continue
		}
		for _, router := range r.fleet.hosts[r.host][r.port] {
			if byRouter[router] == nil {
				byRouter[router] = map[at]map[string]string{}
			}
			k := at{r.fleet, r.port, r.route, r.scope.key()}
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
		routers := r.fleet.hosts[r.host][r.port]
		docs := byRouter[routers[0]][at{r.fleet, r.port, r.route, r.scope.key()}]
		for _, sv := range routers[0].served {
			if sv.port != r.port || sv.host == r.host || !sameRouters(routers, r.fleet.hosts[sv.host][sv.port]) {
				continue
			}
			if docs[sv.host] != docs[r.host] {
				c := r.all[len(r.all)-1]
				g.p.at(c.policy.Object, c.path, "Istio makes one virtual host of %s and %s, which have the same routes (%s:%d); "+
					"give both the same plugins, or put the hosts into different %ss", r.host, sv.host,
					routers[0].File, routers[0].Line, routers[0].Kind())
			}
		}
	}
}

func sameRouters(a, b []*router) bool {
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
