package istio

import (
	"cmp"
	"slices"

	"mosn.io/moe/pkg/istio/internal/mesh"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/internal/proxyset"
)

// place is a part of Envoy's route configuration that can have a document of its own.
type place struct {
	fleet   *mesh.GatewayGroup // nil: the sidecars' outbound listeners
	gateway *mesh.Gateway      // of a whole route configuration with TLS; nil otherwise
	port    uint32             // 0: any; only of a sidecar's, or of a whole route configuration
	section string             // likewise
	host    string             // "": the whole route configuration
	route   string             // "": the whole virtual host
}

func (p place) traffic() proxyset.Traffic {
	if p.fleet == nil {
		return proxyset.Outbound
	}
	return proxyset.Gateway
}

// spot is a place with what policies contribute to it alone.
type spot struct {
	place
	owner mesh.Name // whose resource it goes with
	own   []*contribution
}

// places are all spots that have something.
type places struct {
	byPlace map[place]*spot
	order   []*spot
	rdsOf   map[*mesh.GatewayGroup][]*spot // whole route configurations
}

func (ps *places) add(at place, owner mesh.Name, c *contribution) {
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
	policy *policy.Policy
	path   string
	scope  string
	level  level
	rank   level
	host   bool
}

func (c *contribution) key() *contributionKey {
	return &contributionKey{c.policy, c.path, c.scope.Key(), c.level, c.rank, c.host}
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
	for _, sv := range s.gateway.Servers {
		if sv.Port == p.port && (s.section == "" || s.section == sv.Section) {
			for _, r := range s.fleet.VirtualHosts[p.host][p.port] {
				if slices.ContainsFunc(r.VirtualHosts, func(at mesh.VirtualHost) bool {
					return at.Gateway == s.gateway && at.Port == p.port && at.Host == p.host
				}) {
					return true
				}
			}
		}
	}
	return false
}

func comparePlaces(a, b place) int {
	return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.port, b.port), cmp.Compare(a.section, b.section),
		cmp.Compare(a.route, b.route))
}
