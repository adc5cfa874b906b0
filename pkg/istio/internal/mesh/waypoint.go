package mesh

import (
	"fmt"
	"maps"
	"slices"

	"mosn.io/moe/pkg/istio/internal/proxyset"
)

// WaypointClass is the gateway class of waypoints.
const WaypointClass = "istio-waypoint"

// Labels that enrol services with a waypoint (https://istio.io/latest/docs/ambient/usage/waypoint/).
const (
	useWaypointLabel          = "istio.io/use-waypoint"
	useWaypointNamespaceLabel = "istio.io/use-waypoint-namespace"
	waypointForLabel          = "istio.io/waypoint-for"
	ingressUseWaypointLabel   = "istio.io/ingress-use-waypoint"
	managedLabel              = "gateway.istio.io/managed"
	namespaceNameLabel        = "kubernetes.io/metadata.name"
)

// waypoint is what of a Gateway matters only if it is a waypoint.
type waypoint struct {
	traffic  string            // what it is for: service, workload, all or none
	listener string            // of HBONE, 15008; "" means that it has none
	from     string            // the namespaces whose services may use it: Same, All or Selector
	selector map[string]string // the labels that Selector asks for
	complex  bool              // the selector has matchExpressions, too
}

// Enrolment is how a Service or ServiceEntry stands to waypoints.
type Enrolment struct {
	Waypoint *Gateway // that takes its requests; nil if none does
	// Refused is why the waypoint that labels name does not take its requests; "" if they name none.
	Refused string
	// OptedOut is set if the object's own label is none.
	OptedOut bool
}

// HasHBONE reports whether a waypoint has a listener at which ztunnels reach it.
func (g *Gateway) HasHBONE() bool { return g.waypoint.listener != "" }

// HBONEListener returns the name of that listener.
func (g *Gateway) HBONEListener() string { return g.waypoint.listener }

// WaypointFor returns what a waypoint takes requests for: "service", "workload", "all" or "none".
func (g *Gateway) WaypointFor() string { return g.waypoint.traffic }

// ForServices reports whether a waypoint takes requests for services.
func (g *Gateway) ForServices() bool {
	return g.waypoint.traffic == "service" || g.waypoint.traffic == "all"
}

// ServedBy returns the proxies of a waypoint, as far as they serve a port of a host.
func (g *Gateway) ServedBy(host string, port uint32) proxyset.Set {
	s := g.Proxies
	s.Host, s.Port = host, port
	return s
}

// readWaypoint takes up what of a Gateway matters if it is a waypoint.
func (g *Gateway) readWaypoint(gw *gatewayObject, classes map[string]string) {
	g.waypoint = waypoint{traffic: "service", from: "Same"}
	for _, v := range []string{classes[gw.Spec.GatewayClassName], gw.Metadata.Labels[waypointForLabel]} {
		if v != "" {
			g.waypoint.traffic = v
		}
	}
	for _, l := range gw.Spec.Listeners {
		if l.Protocol != "HBONE" || l.Port != 15008 {
			continue
		}
		g.waypoint.listener = l.Name
		ns := l.AllowedRoutes.Namespaces
		if ns.From != "" {
			g.waypoint.from = ns.From
		}
		g.waypoint.selector, g.waypoint.complex = ns.Selector.MatchLabels, len(ns.Selector.MatchExpressions) > 0
		return
	}
}

// admits explains why a waypoint takes no requests for services of a namespace; "" if it does.
func (w *Mesh) admits(g *Gateway, ns string) string {
	at := fmt.Sprintf("waypoint %s/%s (%s:%d)", g.ID.Namespace, g.ID.Name, g.File, g.Line)
	own := ns == g.ID.Namespace
	switch g.waypoint.from {
	case "All":
		return ""
	case "Selector":
		labels := maps.Clone(w.namespaces[ns])
		if labels == nil {
			labels = map[string]string{}
		}
		labels[namespaceNameLabel] = ns
		if g.waypoint.complex {
			return "" // left to Istio
		}
		for k, v := range g.waypoint.selector {
			if labels[k] != v {
				return fmt.Sprintf("%s admits only namespaces with the label %s: %s, by allowedRoutes of its listener %s", at, k,
					v, g.waypoint.listener)
			}
		}
		return ""
	}
	if own {
		return ""
	}
	return fmt.Sprintf("%s is in another namespace, and allowedRoutes of its listener do not admit namespace %s", at, ns)
}

// findWaypoints finds the waypoint of every service.
func (w *Mesh) findWaypoints() {
	for _, s := range w.Services {
		s.Enrolment = w.enrolment(s)
	}
	for _, id := range slices.SortedFunc(maps.Keys(w.Services), compareNames) {
		if s := w.Services[id]; s.Waypoint != nil {
			s.Waypoint.Serves = append(s.Waypoint.Serves, s)
		}
	}
}

func (w *Mesh) enrolment(s *Service) (e Enrolment) {
	if s.labels[managedLabel] != "" {
		return e // it is the Service of a waypoint
	}
	labels := s.labels
	name := labels[useWaypointLabel]
	if name == "" {
		labels = w.namespaces[s.ID.Namespace]
		name = labels[useWaypointLabel]
	}
	switch name {
	case "":
		return e
	case "none":
		e.OptedOut = s.labels[useWaypointLabel] == "none"
		return e
	}
	id := Name{kindGateway, s.ID.Namespace, name}
	if ns := labels[useWaypointNamespaceLabel]; ns != "" {
		id.Namespace = ns
	}
	g := w.Gateways[id]
	switch {
	case g == nil:
		e.Refused = fmt.Sprintf("the label %s names Gateway %s/%s, which is not among the objects given", useWaypointLabel,
			id.Namespace, id.Name)
	case !g.Waypoint:
		e.Refused = fmt.Sprintf("the label %s names Gateway %s/%s (%s:%d), whose class is not %s", useWaypointLabel,
			id.Namespace, id.Name, g.File, g.Line, WaypointClass)
	case !g.ForServices():
		e.Refused = fmt.Sprintf("waypoint %s/%s (%s:%d) takes no requests for services, because its label %s is %s",
			id.Namespace, id.Name, g.File, g.Line, waypointForLabel, g.waypoint.traffic)
	default:
		if e.Refused = w.admits(g, s.ID.Namespace); e.Refused == "" {
			e.Waypoint = g
		}
	}
	return e
}

// IngressUsesWaypoint reports whether gateways send requests for a service through its waypoint.
func (w *Mesh) IngressUsesWaypoint(s *Service) bool {
	v, ok := s.labels[ingressUseWaypointLabel]
	if !ok {
		v = w.namespaces[s.ID.Namespace][ingressUseWaypointLabel]
	}
	return v == "true"
}

// Waypoints returns the waypoints of a namespace, or all if ns is "", by name.
func (w *Mesh) Waypoints(ns string) (all []*Gateway) {
	for _, id := range slices.SortedFunc(maps.Keys(w.Gateways), compareNames) {
		if g := w.Gateways[id]; g.Waypoint && (ns == "" || ns == id.Namespace) {
			all = append(all, g)
		}
	}
	return all
}

// WaypointHost is a host that a waypoint serves.
type WaypointHost struct {
	*Service
	Host string
}

// WaypointHosts returns the hosts of services behind waypoints that a host of routes stands for. Istio gives a waypoint
// the routes of the service's namespace and of its own; so refused is those of other namespaces.
func (w *Mesh) WaypointHosts(r *Routes, host string) (hosts, refused []WaypointHost) {
	for _, id := range slices.SortedFunc(maps.Keys(w.Services), compareNames) {
		s := w.Services[id]
		if s.Waypoint == nil {
			continue
		}
		for _, h := range s.Hosts {
			switch {
			case !Covers(host, h):
			case r.ID.Namespace == s.ID.Namespace || r.ID.Namespace == s.Waypoint.ID.Namespace:
				hosts = append(hosts, WaypointHost{s, h})
			default:
				refused = append(refused, WaypointHost{s, h})
			}
		}
	}
	return hosts, refused
}

// WithoutWaypoint returns the services that a host of routes stands for whose waypoint does not take their requests.
func (w *Mesh) WithoutWaypoint(host string) (all []*Service) {
	for _, id := range slices.SortedFunc(maps.Keys(w.Services), compareNames) {
		s := w.Services[id]
		if s.Refused != "" && slices.ContainsFunc(s.Hosts, func(h string) bool { return Covers(host, h) }) {
			all = append(all, s)
		}
	}
	return all
}

// MayBeEnrolled reports whether a label of the service's Namespace, which is not among the input, may enrol it with a
// waypoint that is.
func (w *Mesh) MayBeEnrolled(s *Service) bool {
	_, known := w.namespaces[s.ID.Namespace]
	return !known && s.labels[useWaypointLabel] == "" && s.labels[managedLabel] == "" && len(w.Waypoints(s.ID.Namespace)) > 0
}

// WaypointRoutes returns the VirtualServices and HTTPRoutes whose routes a waypoint has for a port of a service's host, in
// the order of the input.
func (w *Mesh) WaypointRoutes(at WaypointHost, port uint32) (all []*Routes) {
	for _, r := range w.routes {
		if r.Reaches(at.Service, port) && slices.ContainsFunc(r.SidecarHosts, func(h string) bool {
			hosts, _ := w.WaypointHosts(r, h)
			return slices.Contains(hosts, at)
		}) {
			all = append(all, r)
		}
	}
	return all
}

// Reaches reports whether requests at a port of a service take the routes: an HTTPRoute may name one port.
func (r *Routes) Reaches(s *Service, port uint32) bool {
	return slices.ContainsFunc(r.Parents, func(p Parent) bool {
		return p.Gateway.Kind == "" && (p.service == Name{} || p.service == s.ID) && (p.port == 0 || p.port == port)
	})
}

// NotReached explains why requests for a host of the service never reach its chains in a waypoint; "" if they do.
func (s *Service) NotReached(host string) string {
	switch {
	case s.noAddress != "":
		return s.noAddress
	case len(host) > 0 && host[0] == '*' && s.resolution != "DYNAMIC_DNS":
		return "a waypoint serves the wildcard " + host + " only with resolution: DYNAMIC_DNS"
	}
	return ""
}
