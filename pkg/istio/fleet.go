package istio

import (
	"maps"
	"slices"
	"strings"
)

// fleet is all gateways that may share proxies, and so listeners and virtual hosts.
type fleet struct {
	gateways []*gatewayObject
	hosts    map[string]map[uint32][]*router // which routers a virtual host has, by its domain and port
}

// served says that a router has routes in a virtual host.
type served struct {
	gateway *gatewayObject
	port    uint32
	host    string
}

// bind finds out which virtual hosts the routers come to be in.
func (w *world) bind() {
	w.makeFleets()
	for _, r := range w.order {
		for _, p := range r.parents {
			if p.gateway.kind == "" {
				if r.id.kind == "VirtualService."+istioAPI {
					r.mesh = append(r.mesh, r.hosts...)
				}
				continue
			}
			if g := w.gateways[p.gateway]; g != nil {
				r.bindTo(g, p)
			}
		}
		for _, h := range r.mesh {
			if !slices.Contains(w.mesh[h], r) {
				w.mesh[h] = append(w.mesh[h], r)
			}
		}
	}
}

func (r *router) bindTo(g *gatewayObject, p parent) {
	for _, s := range g.servers {
		if p.section != "" && p.section != s.section || p.port != 0 && p.port != s.port {
			continue
		}
		for _, host := range s.common(r) {
			at := served{g, s.port, host}
			if slices.Contains(r.served, at) {
				continue
			}
			r.served = append(r.served, at)
			ports := g.fleet.hosts[host]
			if ports == nil {
				ports = map[uint32][]*router{}
				g.fleet.hosts[host] = ports
			}
			if !slices.Contains(ports[s.port], r) {
				ports[s.port] = append(ports[s.port], r)
			}
		}
	}
}

// common returns the hosts that server and router both have, of two the narrower one.
func (s server) common(r *router) (hosts []string) {
	routerHosts := r.hosts
	if len(routerHosts) == 0 {
		routerHosts = []string{"*"}
	}
	for _, sh := range s.hosts {
		ns, host, _ := strings.Cut(sh, "/")
		if ns != "*" && ns != r.id.ns {
			continue
		}
		for _, rh := range routerHosts {
			var both string
			switch {
			case covers(host, rh):
				both = rh
			case covers(rh, host):
				both = host
			default:
				continue
			}
			if !slices.Contains(hosts, both) {
				hosts = append(hosts, both)
			}
		}
	}
	return hosts
}

// covers tells whether host b is one of those that a stands for.
func covers(a, b string) bool {
	if a == b || a == "*" {
		return true
	}
	suffix, ok := strings.CutPrefix(a, "*")
	return ok && b != "*" && strings.HasSuffix(strings.TrimPrefix(b, "*"), suffix)
}

// makeFleets puts gateways together whose proxies may be the same.
func (w *world) makeFleets() {
	var selectors []scope
	byScope := map[string][]*gatewayObject{}
	for _, id := range slices.SortedFunc(maps.Keys(w.gateways), compareNames) {
		g := w.gateways[id]
		if g.managed() {
			g.fleet = &fleet{gateways: []*gatewayObject{g}, hosts: map[string]map[uint32][]*router{}}
			w.fleets = append(w.fleets, g.fleet)
			continue
		}
		w.unmanaged[g.scope.key()] = true
		k := g.scope.key()
		if byScope[k] == nil {
			selectors = append(selectors, g.scope)
		}
		byScope[k] = append(byScope[k], g)
	}
	// Union of what meets, by the closure: a scope that is not given belongs to all that hold it.
	root := map[string]string{}
	var find func(string) string
	find = func(k string) string {
		if r := root[k]; r != "" && r != k {
			root[k] = find(r)
			return root[k]
		}
		return k
	}
	c, _ := closure(selectors, nil)
	for _, s := range c.sorted() {
		for _, o := range c.around(s) {
			root[find(o.key())] = find(s.key())
		}
	}
	fleets := map[string]*fleet{}
	for _, s := range selectors {
		k := find(s.key())
		f := fleets[k]
		if f == nil {
			f = &fleet{hosts: map[string]map[uint32][]*router{}}
			fleets[k] = f
			w.fleets = append(w.fleets, f)
		}
		for _, g := range byScope[s.key()] {
			g.fleet = f
			f.gateways = append(f.gateways, g)
		}
	}
}

func compareNames(a, b name) int { return strings.Compare(a.String(), b.String()) }

// managed tells that Istio has made pods for g alone.
func (g *gatewayObject) managed() bool { return g.scope.labels[gatewayLabel] != "" }

// mayHave tells whether g's pods may have the labels. Those that Istio has made have what the Gateway says.
func (g *gatewayObject) mayHave(labels map[string]string) bool {
	if !g.managed() {
		return true
	}
	own := g.ownLabels()
	for k, v := range labels {
		if w, ok := own[k]; !ok || w != v {
			return false
		}
	}
	return true
}

// addresses finds the pods of Gateways of the Gateway API that are deployed by hand: their address is that of a Service.
func (w *world) addresses() {
	for _, g := range w.gateways {
		addresses := list(dig(g.Data, "spec", "addresses"))
		if g.api != gatewayAPI || len(addresses) == 0 {
			continue
		}
		g.scope.labels = nil
		n, rest, _ := strings.Cut(str(dig(addresses[0], "value")), ".")
		ns, _, _ := strings.Cut(rest, ".")
		if ns == "" {
			ns = g.id.ns
		}
		if s := w.services[name{"Service.", ns, n}]; s != nil && len(s.selector) > 0 {
			g.scope.ns, g.scope.labels = ns, s.selector
		}
	}
}

// apart tells that no proxy is in both scopes, although their labels would allow it: pods that Istio makes for a Gateway
// of the Gateway API are not those of an Istio Gateway.
//
// Neither are there any, as far as the input tells, if it has pods with either's labels and none with both.
func (w *world) apart(a, b scope) bool {
	if w.index.disjoint(a, b) {
		return true
	}
	if a.traffic != gateway {
		return false
	}
	if a.labels[gatewayLabel] == "" {
		a, b = b, a
	}
	return a.labels[gatewayLabel] != "" && b.labels[gatewayLabel] == "" && w.unmanaged[b.key()]
}
