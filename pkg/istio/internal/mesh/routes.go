package mesh

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/pkg/istio/internal/manifest"
)

// Routes is a VirtualService or an HTTPRoute.
type Routes struct {
	*manifest.Object
	ID           Name
	Parents      []Parent
	Rules        []Rule
	VirtualHosts []VirtualHost // of gateways, in which it has routes
	SidecarHosts []string      // hosts that it routes in sidecars

	hosts []string // in full
}

// Parent is what a VirtualService or HTTPRoute attaches to.
type Parent struct {
	Gateway Name   // without a kind, the parent is sidecars
	Path    string // of the reference

	section string
	port    uint32
	service Name // that an HTTPRoute names
}

// Rule is one of the routes of a VirtualService or HTTPRoute.
type Rule struct {
	Path    string   // in the object
	Section string   // the name that its author gave it, by which policies refer to it
	Names   []string // of Envoy's routes; none if they have no name
	Paths   []string // what paths it takes that are not listed one by one: "/api/*", or a regular expression
}

// IsNamed reports whether a policy that says s means the rule.
func (r Rule) IsNamed(s string) bool {
	return s != "" && (r.Section == s || slices.Contains(r.Names, s))
}

// VirtualHost is a virtual host of a gateway's proxies.
type VirtualHost struct {
	Gateway *Gateway
	Port    uint32
	Host    string
}

func virtualService(o *manifest.Object, id Name, spec *networking.VirtualService) *Routes {
	r := &Routes{Object: o, ID: id}
	for _, h := range spec.Hosts {
		r.hosts = append(r.hosts, fullHost(h, id.Namespace))
	}
	gateways := spec.Gateways
	if len(gateways) == 0 {
		gateways = []string{"mesh"}
	}
	for i, g := range gateways {
		p := Parent{Path: config.Index("spec.gateways", i)}
		if g != "mesh" {
			ns, n, ok := strings.Cut(g, "/")
			if !ok {
				ns, n = id.Namespace, g
			} else if ns == "." {
				ns = id.Namespace
			}
			p.Gateway = Name{kindIstioGateway, ns, n}
		}
		r.Parents = append(r.Parents, p)
	}
	for i, h := range spec.Http {
		ru := Rule{Path: config.Index("spec.http", i), Section: h.GetName()}
		matches := h.GetMatch()
		if len(matches) == 0 {
			matches = []*networking.HTTPMatchRequest{nil}
		}
		for _, m := range matches {
			switch uri := m.GetUri().GetMatchType().(type) {
			case *networking.StringMatch_Prefix:
				ru.Paths = append(ru.Paths, uri.Prefix+"*")
			case *networking.StringMatch_Regex:
				ru.Paths = append(ru.Paths, uri.Regex)
			}
			n := ru.Section
			if match := m.GetName(); match != "" {
				n += "." + match
			}
			if n != "" && h.GetDelegate() == nil && !slices.Contains(ru.Names, n) {
				ru.Names = append(ru.Names, n)
			}
			if n == "" {
				ru.Names = nil
				break
			}
		}
		r.Rules = append(r.Rules, ru)
	}
	return r
}

// fullHost completes a short name as Istio does in VirtualServices.
func fullHost(host, ns string) string {
	host = strings.ToLower(host)
	if host == "*" || strings.Contains(host, ".") {
		return host
	}
	return host + "." + ns + ".svc.cluster.local"
}

func httpRoute(o *manifest.Object, id Name, route *httpRouteObject) *Routes {
	r := &Routes{Object: o, ID: id}
	for _, h := range route.Spec.Hostnames {
		r.hosts = append(r.hosts, strings.ToLower(h))
	}
	for i, ref := range route.Spec.ParentRefs {
		p := Parent{Path: config.Index("spec.parentRefs", i), section: ref.SectionName, port: uint32(ref.Port)}
		ns := cmp.Or(ref.Namespace, id.Namespace)
		switch cmp.Or(ref.Kind, "Gateway") {
		case "Gateway":
			p.Gateway = Name{kindGateway, ns, ref.Name}
			r.Parents = append(r.Parents, p)
		case "Service":
			p.service = Name{kindService, ns, ref.Name}
			r.Parents = append(r.Parents, p)
			r.SidecarHosts = append(r.SidecarHosts, ref.Name+"."+ns+".svc.cluster.local")
		case "ServiceEntry":
			p.service = Name{kindServiceEntry, ns, ref.Name}
			r.Parents = append(r.Parents, p)
		}
	}
	for i, h := range route.Spec.Rules {
		ru := Rule{Path: config.Index("spec.rules", i), Section: h.Name}
		ru.Names = []string{cmp.Or(ru.Section, id.Namespace+"."+id.Name+"."+strconv.Itoa(i))}
		for _, m := range h.Matches {
			switch m.Path.Type {
			case "", "PathPrefix":
				if m.Path.Value != "" {
					ru.Paths = append(ru.Paths, m.Path.Value+"*")
				}
			case "RegularExpression":
				ru.Paths = append(ru.Paths, m.Path.Value)
			}
		}
		r.Rules = append(r.Rules, ru)
	}
	return r
}

// ListNames lists the names of the routes for a message.
func (r *Routes) ListNames() string {
	var names []string
	for _, ru := range r.Rules {
		names = append(names, ru.Names...)
	}
	if len(names) == 0 {
		return "none with a name"
	}
	const most = 10
	if len(names) > most {
		names = append(names[:most:most], "…")
	}
	return strings.Join(names, ", ")
}

// bind finds the virtual hosts that have the routes.
func (w *Mesh) bind() {
	w.groupGateways()
	for _, r := range w.routes {
		for _, p := range r.Parents {
			if p.Gateway.Kind == "" {
				if r.ID.Kind == kindVirtualService {
					r.SidecarHosts = append(r.SidecarHosts, r.hosts...)
				} else if s := w.Services[p.service]; s != nil && p.service.Kind == kindServiceEntry {
					r.SidecarHosts = append(r.SidecarHosts, s.Hosts...)
				}
				continue
			}
			if g := w.Gateways[p.Gateway]; g != nil {
				r.bindTo(g, p)
			}
		}
		for _, h := range r.SidecarHosts {
			if !slices.Contains(w.Sidecars[h], r) {
				w.Sidecars[h] = append(w.Sidecars[h], r)
			}
		}
	}
}

func (r *Routes) bindTo(g *Gateway, p Parent) {
	for _, s := range g.Servers {
		if p.section != "" && p.section != s.Section || p.port != 0 && p.port != s.Port {
			continue
		}
		for _, host := range s.common(r) {
			at := VirtualHost{g, s.Port, host}
			if slices.Contains(r.VirtualHosts, at) {
				continue
			}
			r.VirtualHosts = append(r.VirtualHosts, at)
			ports := g.Group.VirtualHosts[host]
			if ports == nil {
				ports = map[uint32][]*Routes{}
				g.Group.VirtualHosts[host] = ports
			}
			if !slices.Contains(ports[s.Port], r) {
				ports[s.Port] = append(ports[s.Port], r)
			}
		}
	}
}

// common returns the hosts of both the server and the routes: where one is a wildcard, the narrower one.
func (s Server) common(r *Routes) (hosts []string) {
	own := r.hosts
	if len(own) == 0 {
		own = []string{"*"}
	}
	for _, sh := range s.Hosts {
		ns, host, _ := strings.Cut(sh, "/")
		if ns != "*" && ns != r.ID.Namespace {
			continue
		}
		for _, rh := range own {
			var both string
			switch {
			case Covers(host, rh):
				both = rh
			case Covers(rh, host):
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

// Covers reports whether a, which may be a wildcard such as *.example.com, stands for host b and, if b is a wildcard, for
// all of its hosts.
func Covers(a, b string) bool {
	if a == b || a == "*" {
		return true
	}
	suffix, ok := strings.CutPrefix(a, "*")
	return ok && b != "*" && strings.HasSuffix(strings.TrimPrefix(b, "*"), suffix)
}

// VirtualHostFor returns the domain of the virtual host in which Envoy looks for routes of a host: the host itself or the
// longest wildcard that covers it, among those that the proxies of a group (nil: sidecars) have at a port. It is "" if
// there is none.
func (w *Mesh) VirtualHostFor(f *GatewayGroup, port uint32, host string) (domain string) {
	consider := func(d string) {
		if Covers(d, host) && (domain == "" || d == host || domain != host && len(d) > len(domain)) {
			domain = d
		}
	}
	if f != nil {
		for d, ports := range f.VirtualHosts {
			if ports[port] != nil {
				consider(d)
			}
		}
		return domain
	}
	if w.HasSidecarHost(host) {
		return host
	}
	for d := range w.Sidecars {
		consider(d)
	}
	for d := range w.serviceEntryHosts {
		consider(d)
	}
	return domain
}

// RouteLocation is where Envoy has a route.
type RouteLocation struct {
	Host   string
	Port   uint32
	Routes *Routes
}

// RoutesByName returns where the proxies of a group (nil: sidecars) have routes of each name.
func (w *Mesh) RoutesByName(f *GatewayGroup) map[string][]RouteLocation {
	if names, ok := w.byRouteName[f]; ok {
		return names
	}
	names := map[string][]RouteLocation{}
	add := func(r *Routes, host string, port uint32) {
		for _, ru := range r.Rules {
			for _, n := range ru.Names {
				names[n] = append(names[n], RouteLocation{host, port, r})
			}
		}
	}
	if f == nil {
		for _, r := range w.routes {
			for _, h := range r.SidecarHosts {
				add(r, h, 0)
			}
		}
	} else {
		for _, host := range slices.Sorted(maps.Keys(f.VirtualHosts)) {
			for _, port := range slices.Sorted(maps.Keys(f.VirtualHosts[host])) {
				for _, r := range f.VirtualHosts[host][port] {
					add(r, host, port)
				}
			}
		}
	}
	w.byRouteName[f] = names
	return names
}
