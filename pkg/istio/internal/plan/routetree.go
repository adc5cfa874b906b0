package plan

import (
	"cmp"
	"slices"

	"mosn.io/moe/pkg/istio/internal/mesh"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/internal/proxyset"
)

// RoutePart is a part of Envoy's route configuration that can have a document of its own.
type RoutePart struct {
	Group   *mesh.GatewayGroup // whose proxies; nil: sidecars, for what they send
	Gateway *mesh.Gateway      // only of a whole route configuration with TLS
	Port    uint32             // 0: any port, of sidecars or of a whole route configuration
	Section string             // of Gateway; "": any
	Host    string             // "": the whole route configuration
	Route   string             // "": the whole virtual host
	// Waypoint is set for a route of the service Host at a waypoint.
	Waypoint bool
}

// Traffic returns the traffic whose routes the part is about.
func (p RoutePart) Traffic() proxyset.Traffic {
	switch {
	case p.Waypoint:
		return proxyset.Waypoint
	case p.Group == nil:
		return proxyset.Outbound
	}
	return proxyset.Gateway
}

// routeNode is a part of the route configuration together with what policies contribute to it alone.
type routeNode struct {
	RoutePart
	Owner mesh.Name // the object that the resource of its patches is named after
	own   []*Contribution
}

// routeTree is the parts of route configurations to which policies contribute.
type routeTree struct {
	byPart         map[RoutePart]*routeNode
	order          []*routeNode
	configurations map[*mesh.GatewayGroup][]*routeNode // the nodes of whole route configurations
}

// add adds a contribution to a part; owner is the object that the patches are for.
func (ps *routeTree) add(at RoutePart, owner mesh.Name, c *Contribution) {
	s := ps.byPart[at]
	if s == nil {
		s = &routeNode{RoutePart: at, Owner: owner}
		ps.byPart[at] = s
		ps.order = append(ps.order, s)
		if at.Host == "" {
			ps.configurations[at.Group] = append(ps.configurations[at.Group], s)
		}
	}
	if !slices.ContainsFunc(s.own, func(o *Contribution) bool { return *c.key() == *o.key() }) {
		s.own = append(s.own, c)
	}
}

// contributionKey identifies a contribution.
type contributionKey struct {
	policy  *policy.Policy
	path    string
	proxies string
	level   level
	rank    level
	host    bool
}

func (c *Contribution) key() *contributionKey {
	return &contributionKey{c.Policy, c.Path, c.Proxies.Key(), c.level, c.rank, c.host}
}

// all returns the contributions to s and to the parts around it, since Envoy gives a filter only the most specific
// configuration. They are in the order of compareContributions.
func (ps *routeTree) all(s *routeNode) []*Contribution {
	all := slices.Clone(s.own)
	if s.Host != "" {
		for _, rds := range ps.configurations[s.Group] {
			if rds.contains(s.RoutePart) {
				all = append(all, rds.own...)
			}
		}
	}
	if s.Route != "" {
		host := s.RoutePart
		host.Route = ""
		if h := ps.byPart[host]; h != nil {
			all = append(all, h.own...)
		}
	}
	slices.SortStableFunc(all, compareContributions)
	return slices.Compact(all)
}

// contains reports whether s, a whole route configuration, has the virtual host of p.
func (s *routeNode) contains(p RoutePart) bool {
	if s.Port != 0 && s.Port != p.Port {
		return false
	}
	if s.Gateway == nil {
		return true
	}
	for _, sv := range s.Gateway.Servers {
		if sv.Port == p.Port && (s.Section == "" || s.Section == sv.Section) {
			for _, r := range s.Group.VirtualHosts[p.Host][p.Port] {
				if slices.ContainsFunc(r.VirtualHosts, func(at mesh.VirtualHost) bool {
					return at.Gateway == s.Gateway && at.Port == p.Port && at.Host == p.Host
				}) {
					return true
				}
			}
		}
	}
	return false
}

// CompareRouteParts orders parts by host, port, section and route.
func CompareRouteParts(a, b RoutePart) int {
	return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Section, b.Section),
		cmp.Compare(a.Route, b.Route))
}
