package istio

import (
	"cmp"
	"maps"
	"slices"
)

// place is a part of Envoy's route configuration that can have a document of its own.
type place struct {
	fleet   *fleet         // nil: the sidecars' outbound listeners
	gateway *gatewayObject // of a whole route configuration with TLS; nil otherwise
	port    uint32         // 0: any; only of a sidecar's, or of a whole route configuration
	section string         // likewise
	host    string         // "": the whole route configuration
	route   string         // "": the whole virtual host
}

func (p place) traffic() traffic {
	if p.fleet == nil {
		return outbound
	}
	return gateway
}

// spot is a place with what policies contribute to it alone.
type spot struct {
	place
	owner name // whose resource it goes with
	own   []*contribution
}

// places are all spots that have something.
type places struct {
	byPlace map[place]*spot
	order   []*spot
	rdsOf   map[*fleet][]*spot // whole route configurations
}

func (ps *places) add(at place, owner name, c *contribution) {
	s := ps.byPlace[at]
	if s == nil {
		s = &spot{place: at, owner: owner}
		ps.byPlace[at] = s
		ps.order = append(ps.order, s)
		if at.host == "" {
			ps.rdsOf[at.fleet] = append(ps.rdsOf[at.fleet], s)
		}
	}
	if !slices.ContainsFunc(s.own, func(o *contribution) bool { return *c.key() == *o.key() }) {
		s.own = append(s.own, c)
	}
}

// contributionKey tells contributions apart.
type contributionKey struct {
	policy *policy
	path   string
	scope  string
	level  level
	rank   level
	host   bool
}

func (c *contribution) key() *contributionKey {
	return &contributionKey{c.policy, c.path, c.scope.key(), c.level, c.rank, c.host}
}

// all returns what is contributed to s, with what wider places have: Envoy hands a plugin the most specific
// configuration only. It comes in the order of compareContributions.
func (ps *places) all(s *spot) []*contribution {
	all := slices.Clone(s.own)
	if s.host != "" {
		for _, rds := range ps.rdsOf[s.fleet] {
			if rds.holds(s.place) {
				all = append(all, rds.own...)
			}
		}
	}
	if s.route != "" {
		host := s.place
		host.route = ""
		if h := ps.byPlace[host]; h != nil {
			all = append(all, h.own...)
		}
	}
	slices.SortStableFunc(all, compareContributions)
	return slices.Compact(all)
}

// holds tells whether a whole route configuration has the virtual host of p.
func (s *spot) holds(p place) bool {
	if s.port != 0 && s.port != p.port {
		return false
	}
	if s.gateway == nil {
		return true
	}
	for _, sv := range s.gateway.servers {
		if sv.port == p.port && (s.section == "" || s.section == sv.section) {
			for _, r := range s.fleet.hosts[p.host][p.port] {
				if slices.ContainsFunc(r.served, func(at served) bool {
					return at.gateway == s.gateway && at.port == p.port && at.host == p.host
				}) {
					return true
				}
			}
		}
	}
	return false
}

// routeAt is a route that Envoy has by that name.
type routeAt struct {
	host   string
	port   uint32
	router *router
}

// routeNames returns where a fleet (nil: the sidecars) has routes of every name.
func (w *world) routeNames(f *fleet) map[string][]routeAt {
	if names, ok := w.names[f]; ok {
		return names
	}
	names := map[string][]routeAt{}
	add := func(r *router, host string, port uint32) {
		for _, ru := range r.rules {
			for _, n := range ru.names {
				names[n] = append(names[n], routeAt{host, port, r})
			}
		}
	}
	if f == nil {
		for _, r := range w.order {
			for _, h := range r.mesh {
				add(r, h, 0)
			}
		}
	} else {
		for _, host := range slices.Sorted(maps.Keys(f.hosts)) {
			for _, port := range slices.Sorted(maps.Keys(f.hosts[host])) {
				for _, r := range f.hosts[host][port] {
					add(r, host, port)
				}
			}
		}
	}
	w.names[f] = names
	return names
}

func comparePlaces(a, b place) int {
	return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.port, b.port), cmp.Compare(a.section, b.section),
		cmp.Compare(a.route, b.route))
}
