package istio

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mosn.io/moe/framework/config"
)

// The API groups of what policies target.
const (
	gatewayAPI = "gateway.networking.k8s.io"
	istioAPI   = "networking.istio.io"
)

// gatewayLabel is on the pods of a Gateway of the Gateway API.
const gatewayLabel = gatewayAPI + "/gateway-name"

// name tells objects apart.
type name struct{ kind, ns, name string }

func (n name) String() string { return n.kind + " " + n.ns + "/" + n.name }

// world is what policies refer to: the objects of Istio and Kubernetes among the input.
type world struct {
	gateways map[name]*gatewayObject
	routers  map[name]*router
	services map[name]*service
	pods     map[string][]map[string]string // labels of pods by namespace
	fleets   []*fleet

	order []*router // as they were read

	mesh  map[string][]*router            // by the host that they route in sidecars
	names map[*fleet]map[string][]routeAt // see routeNames

	entries   map[string]bool // hosts of ServiceEntries
	index     *podIndex
	unmanaged map[string]bool // scopes of gateways whose pods others may share
}

// gatewayObject is a Gateway, of Istio or of the Gateway API.
type gatewayObject struct {
	*Object
	id      name
	api     string
	scope   scope // its proxies
	servers []server
	fleet   *fleet
}

// server is a port of a gateway: a server of Istio's Gateway, or a listener.
type server struct {
	section  string // by which a policy names it
	portName string
	port     uint32
	https    bool
	hosts    []string // NAMESPACE/HOST, as in Istio's Gateway
}

// service is a Service of Kubernetes.
type service struct {
	*Object
	id       name
	selector map[string]string
	ports    map[string]servicePort
}

type servicePort struct {
	number uint32
	target any
}

const (
	kindIstioGateway = "Gateway." + istioAPI
	kindGateway      = "Gateway." + gatewayAPI
)

// newWorld reads the objects. It takes from them what it needs; whether they are right is for Istio to say.
func newWorld(in *Input, o Options, p *problems) *world {
	w := &world{
		gateways: map[name]*gatewayObject{}, routers: map[name]*router{}, services: map[name]*service{},
		pods: map[string][]map[string]string{}, names: map[*fleet]map[string][]routeAt{},
		mesh: map[string][]*router{}, unmanaged: map[string]bool{}, entries: map[string]bool{},
	}
	seen := map[name]*Object{}
	for _, obj := range in.objects {
		group, _, _ := strings.Cut(obj.APIVersion(), "/")
		if !strings.Contains(obj.APIVersion(), "/") {
			group = ""
		}
		id := name{obj.Kind() + "." + group, cmp.Or(obj.Namespace(), o.Namespace), obj.Name()}
		switch id.kind {
		case "FilterPolicy.moe.mosn.io", kindIstioGateway, kindGateway, "VirtualService." + istioAPI, "HTTPRoute." + gatewayAPI,
			"Service.":
			if first := seen[id]; first != nil {
				p.at(obj, "metadata.name", "%s is there twice, also in %s:%d", id, first.File, first.Line)
				continue
			}
			seen[id] = obj
		}
		switch id.kind {
		case kindIstioGateway:
			w.gateways[id] = istioGateway(obj, id)
		case kindGateway:
			w.gateways[id] = apiGateway(obj, id)
		case "VirtualService." + istioAPI:
			w.addRouter(virtualService(obj, id))
		case "HTTPRoute." + gatewayAPI:
			w.addRouter(httpRoute(obj, id))
		case "Service.":
			w.services[id] = kubeService(obj, id)
		case "ServiceEntry." + istioAPI:
			for _, h := range list(dig(obj.Data, "spec", "hosts")) {
				w.entries[strings.ToLower(str(h))] = true
			}
		case "Pod.":
			w.pods[id.ns] = append(w.pods[id.ns], texts(dig(obj.Data, "metadata", "labels")))
		case "Deployment.apps", "StatefulSet.apps", "DaemonSet.apps", "ReplicaSet.apps", "Job.batch":
			w.pods[id.ns] = append(w.pods[id.ns], texts(dig(obj.Data, "spec", "template", "metadata", "labels")))
		}
	}
	w.addresses()
	w.bind()
	w.index = w.indexPods()
	return w
}

func (w *world) addRouter(r *router) {
	w.routers[r.id] = r
	w.order = append(w.order, r)
}

func istioGateway(o *Object, id name) *gatewayObject {
	g := &gatewayObject{Object: o, id: id, api: istioAPI}
	// Istio takes proxies of all namespaces, unless it was told otherwise.
	g.scope = scope{traffic: gateway, labels: texts(dig(o.Data, "spec", "selector"))}
	for _, s := range list(dig(o.Data, "spec", "servers")) {
		protocol := strings.ToUpper(str(dig(s, "port", "protocol")))
		mode := str(dig(s, "tls", "mode"))
		if mode == "PASSTHROUGH" || mode == "AUTO_PASSTHROUGH" || !slices.Contains(
			[]string{"HTTP", "HTTP2", "HTTPS", "GRPC", "GRPC-WEB"}, protocol) {
			continue
		}
		sv := server{
			portName: str(dig(s, "port", "name")), port: number(dig(s, "port", "number")),
			https: protocol == "HTTPS",
		}
		sv.section = cmp.Or(str(dig(s, "name")), sv.portName)
		for _, h := range list(dig(s, "hosts")) {
			ns, host, ok := strings.Cut(str(h), "/")
			switch {
			case !ok:
				ns, host = "*", ns
			case ns == ".":
				ns = id.ns
			}
			sv.hosts = append(sv.hosts, ns+"/"+strings.ToLower(host))
		}
		g.servers = append(g.servers, sv)
	}
	return g
}

func apiGateway(o *Object, id name) *gatewayObject {
	g := &gatewayObject{Object: o, id: id, api: gatewayAPI}
	g.scope = scope{traffic: gateway, ns: id.ns, labels: map[string]string{gatewayLabel: id.name}}
	for _, l := range list(dig(o.Data, "spec", "listeners")) {
		protocol := strings.ToUpper(str(dig(l, "protocol")))
		if protocol != "HTTP" && protocol != "HTTPS" || str(dig(l, "tls", "mode")) == "Passthrough" {
			continue
		}
		ns := id.ns
		switch str(dig(l, "allowedRoutes", "namespaces", "from")) {
		case "All", "Selector":
			ns = "*"
		}
		g.servers = append(g.servers, server{
			section: str(dig(l, "name")), portName: "default", port: number(dig(l, "port")), https: protocol == "HTTPS",
			hosts: []string{ns + "/" + strings.ToLower(cmp.Or(str(dig(l, "hostname")), "*"))},
		})
	}
	return g
}

func kubeService(o *Object, id name) *service {
	s := &service{Object: o, id: id, selector: texts(dig(o.Data, "spec", "selector")), ports: map[string]servicePort{}}
	for _, p := range list(dig(o.Data, "spec", "ports")) {
		n := number(dig(p, "port"))
		sp := servicePort{number: n, target: dig(p, "targetPort")}
		if sp.target == nil {
			sp.target = int64(n)
		}
		s.ports[str(dig(p, "name"))] = sp
		s.ports[strconv.Itoa(int(n))] = sp
	}
	return s
}

func (s *service) host() string { return s.id.name + "." + s.id.ns + ".svc.cluster.local" }

// list, str, texts and number read data whose form is Istio's to check.
func list(v any) []any { l, _ := v.([]any); return l }

func str(v any) string { s, _ := v.(string); return s }

func texts(v any) map[string]string {
	m, _ := v.(map[string]any)
	t := make(map[string]string, len(m))
	for k, e := range m {
		t[k] = fmt.Sprint(e)
	}
	return t
}

func number(v any) uint32 {
	switch n := v.(type) {
	case int64:
		if n > 0 && n < 1<<16 {
			return uint32(n)
		}
	case float64:
		if n > 0 && n < 1<<16 {
			return uint32(n)
		}
	}
	return 0
}

// router is a VirtualService or an HTTPRoute.
type router struct {
	*Object
	id      name
	hosts   []string // as Istio completes them
	parents []parent
	rules   []rule
	served  []served // by which virtual hosts, once it is bound
	mesh    []string // hosts that it routes in sidecars
}

// parent is where a router wants to be: at a gateway, or at sidecars.
type parent struct {
	gateway name // of no kind: the mesh
	section string
	port    uint32
	path    string
}

// rule is a route of a router.
type rule struct {
	path    string   // in the object
	section string   // by which a policy names it: what its author called it
	names   []string // what Envoy's routes are called; none if they have no name
}

// called tells whether the rule is the one that a policy means by s.
func (r rule) called(s string) bool {
	return s != "" && (r.section == s || slices.Contains(r.names, s))
}

func virtualService(o *Object, id name) *router {
	r := &router{Object: o, id: id}
	for _, h := range list(dig(o.Data, "spec", "hosts")) {
		r.hosts = append(r.hosts, complete(str(h), id.ns))
	}
	gateways := list(dig(o.Data, "spec", "gateways"))
	if len(gateways) == 0 {
		gateways = []any{"mesh"}
	}
	for i, g := range gateways {
		p := parent{path: config.Index("spec.gateways", i)}
		if g := str(g); g != "mesh" {
			ns, n, ok := strings.Cut(g, "/")
			if !ok {
				ns, n = id.ns, g
			} else if ns == "." {
				ns = id.ns
			}
			p.gateway = name{kindIstioGateway, ns, n}
		}
		r.parents = append(r.parents, p)
	}
	for i, h := range list(dig(o.Data, "spec", "http")) {
		ru := rule{path: config.Index("spec.http", i), section: str(dig(h, "name"))}
		matches := list(dig(h, "match"))
		if len(matches) == 0 {
			matches = []any{nil}
		}
		for _, m := range matches {
			n := ru.section
			if match := str(dig(m, "name")); match != "" {
				n += "." + match
			}
			if n != "" && dig(h, "delegate") == nil && !slices.Contains(ru.names, n) {
				ru.names = append(ru.names, n)
			}
			if n == "" {
				ru.names = nil
				break
			}
		}
		r.rules = append(r.rules, ru)
	}
	return r
}

// complete makes a full name of a short one, as Istio does in VirtualServices.
func complete(host, ns string) string {
	host = strings.ToLower(host)
	if host == "*" || strings.Contains(host, ".") {
		return host
	}
	return host + "." + ns + ".svc.cluster.local"
}

func httpRoute(o *Object, id name) *router {
	r := &router{Object: o, id: id}
	for _, h := range list(dig(o.Data, "spec", "hostnames")) {
		r.hosts = append(r.hosts, strings.ToLower(str(h)))
	}
	for i, ref := range list(dig(o.Data, "spec", "parentRefs")) {
		p := parent{
			path: config.Index("spec.parentRefs", i), section: str(dig(ref, "sectionName")), port: number(dig(ref, "port")),
		}
		ns := cmp.Or(str(dig(ref, "namespace")), id.ns)
		switch cmp.Or(str(dig(ref, "kind")), "Gateway") {
		case "Gateway":
			p.gateway = name{kindGateway, ns, str(dig(ref, "name"))}
			r.parents = append(r.parents, p)
		case "Service":
			r.parents = append(r.parents, p)
			r.mesh = append(r.mesh, str(dig(ref, "name"))+"."+ns+".svc.cluster.local")
		}
	}
	for i, h := range list(dig(o.Data, "spec", "rules")) {
		ru := rule{path: config.Index("spec.rules", i), section: str(dig(h, "name"))}
		ru.names = []string{cmp.Or(ru.section, id.ns+"."+id.name+"."+strconv.Itoa(i))}
		r.rules = append(r.rules, ru)
	}
	return r
}
