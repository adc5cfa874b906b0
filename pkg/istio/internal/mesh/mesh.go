// Package mesh is what policies refer to: Gateways, routes, Services and workloads among the input. It derives from them
// which proxies a Gateway has and which virtual hosts and routes Istio will make in Envoy's configuration.
package mesh

import (
	"cmp"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	"sigs.k8s.io/yaml"

	"mosn.io/moe/pkg/istio/internal/manifest"
)

// The API groups of what policies target.
const (
	GatewayAPI = "gateway.networking.k8s.io"
	IstioAPI   = "networking.istio.io"
)

// The kinds of objects that are read, as Name.Kind has them: KIND.GROUP.
const (
	kindPolicy         = "FilterPolicy.moe.mosn.io"
	kindIstioGateway   = "Gateway." + IstioAPI
	kindGateway        = "Gateway." + GatewayAPI
	kindVirtualService = "VirtualService." + IstioAPI
	kindHTTPRoute      = "HTTPRoute." + GatewayAPI
	kindServiceEntry   = "ServiceEntry." + IstioAPI
	kindService        = "Service."
	kindNamespace      = "Namespace."
)

// Name identifies an object. Kind is KIND.GROUP.
type Name struct{ Kind, Namespace, Name string }

// String returns "KIND.GROUP NAMESPACE/NAME".
func (n Name) String() string { return n.Kind + " " + n.Namespace + "/" + n.Name }

// Slug returns the name in lower case, as a part of another object's name.
func (n Name) Slug() string {
	kind, _, _ := strings.Cut(n.Kind, ".")
	return strings.ToLower(kind) + "-" + n.Namespace + "-" + n.Name
}

func compareNames(a, b Name) int { return strings.Compare(a.String(), b.String()) }

// Mesh is the objects of the input, with what follows from them.
type Mesh struct {
	Gateways map[Name]*Gateway
	Routes   map[Name]*Routes
	Services map[Name]*Service              // and ServiceEntries
	Pods     map[string][]map[string]string // the labels of the workloads given, by namespace

	// Groups partitions Gateways by the proxies that they share.
	Groups []*GatewayGroup
	// DecodesSlashes is set if Istio's configuration is among the input and has proxies decode %2F and %5C in paths, so that
	// they choose the route of the path that an upstream sees.
	DecodesSlashes bool
	// Sidecars is the routes of sidecars, by host.
	Sidecars map[string][]*Routes

	routes            []*Routes // in the order of the input
	byRouteName       map[*GatewayGroup]map[string][]RouteLocation
	serviceEntryHosts map[string]bool
	pods              *podIndex
	namespaces        map[string]map[string]string // the labels of those given
	waypointClasses   map[string]string            // what waypoints of a gateway class are for
	deployedByHand    map[string]bool              // the keys of the proxies of Gateways that Istio made no pods for
}

// Read collects the objects of the input; namespace is that of objects that name none. What it needs of them is decoded
// into types, strictly but for unknown fields, which newer versions of Istio may have. Whether the objects make sense is
// for Istio to decide.
func Read(in *manifest.Input, namespace string, p *manifest.Problems) *Mesh {
	w := &Mesh{
		Gateways: map[Name]*Gateway{}, Routes: map[Name]*Routes{}, Services: map[Name]*Service{},
		Pods: map[string][]map[string]string{}, Sidecars: map[string][]*Routes{},
		byRouteName:    map[*GatewayGroup]map[string][]RouteLocation{},
		deployedByHand: map[string]bool{}, serviceEntryHosts: map[string]bool{},
		namespaces: map[string]map[string]string{}, waypointClasses: map[string]string{},
	}
	for _, obj := range in.Objects() {
		if obj.Kind() == "GatewayClass" && strings.HasPrefix(obj.APIVersion(), GatewayAPI+"/") {
			if o := (&labelledObject{}); decode(obj, o, p) {
				w.waypointClasses[obj.Name()] = o.Metadata.Labels[waypointForLabel]
			}
		}
	}
	seen := map[Name]*manifest.Object{}
	unique := []string{kindPolicy, kindIstioGateway, kindGateway, kindVirtualService, kindHTTPRoute, kindService, kindServiceEntry}
	for _, obj := range in.Objects() {
		group, _, ok := strings.Cut(obj.APIVersion(), "/")
		if !ok {
			group = ""
		}
		id := Name{obj.Kind() + "." + group, cmp.Or(obj.Namespace(), namespace), obj.Name()}
		if slices.Contains(unique, id.Kind) {
			if first := seen[id]; first != nil {
				p.At(obj, "metadata.name", "duplicate %s; the other is in %s:%d", id, first.File, first.Line)
				continue
			}
			seen[id] = obj
		}
		w.read(obj, id, p)
	}
	w.findAddressed()
	w.findWaypoints()
	w.bind()
	w.indexPods()
	return w
}

func (w *Mesh) read(obj *manifest.Object, id Name, p *manifest.Problems) {
	switch id.Kind {
	case kindIstioGateway:
		if spec := (&networking.Gateway{}); decodeProto(obj, spec, p) {
			w.Gateways[id] = istioGateway(obj, id, spec)
		}
	case kindGateway:
		if o := (&gatewayObject{}); decode(obj, o, p) {
			w.Gateways[id] = apiGateway(obj, id, o, w.waypointClasses)
		}
	case kindVirtualService:
		if spec := (&networking.VirtualService{}); decodeProto(obj, spec, p) {
			w.addRoutes(virtualService(obj, id, spec))
		}
	case kindHTTPRoute:
		if o := (&httpRouteObject{}); decode(obj, o, p) {
			w.addRoutes(httpRoute(obj, id, o))
		}
	case kindService:
		if o := (&serviceObject{}); decode(obj, o, p) {
			w.Services[id] = kubernetesService(obj, id, o)
		}
	case kindServiceEntry:
		spec, o := &networking.ServiceEntry{}, &labelledObject{}
		if decodeProto(obj, spec, p) && decode(obj, o, p) {
			w.Services[id] = serviceEntry(obj, id, o.Metadata, spec)
			for _, h := range spec.Hosts {
				w.serviceEntryHosts[strings.ToLower(h)] = true
			}
		}
	case kindNamespace:
		if o := (&labelledObject{}); decode(obj, o, p) {
			w.namespaces[obj.Name()] = o.Metadata.Labels
		}
	case "ConfigMap.":
		if o := (&configMapObject{}); id.Name == "istio" && decode(obj, o, p) {
			w.readMeshConfig(obj, o.Data["mesh"], p)
		}
	case "Pod.":
		if o := (&podObject{}); decode(obj, o, p) {
			w.Pods[id.Namespace] = append(w.Pods[id.Namespace], o.Metadata.Labels)
		}
	case "Deployment.apps", "StatefulSet.apps", "DaemonSet.apps", "ReplicaSet.apps", "Job.batch":
		if o := (&podTemplateObject{}); decode(obj, o, p) {
			w.Pods[id.Namespace] = append(w.Pods[id.Namespace], o.Spec.Template.Metadata.Labels)
		}
	}
}

func (w *Mesh) readMeshConfig(obj *manifest.Object, text string, p *manifest.Problems) {
	var c struct {
		PathNormalization struct {
			Normalization string `json:"normalization"`
		} `json:"pathNormalization"`
	}
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		p.At(obj, "data.mesh", "%v", err)
	}
	w.DecodesSlashes = w.DecodesSlashes || c.PathNormalization.Normalization == "DECODE_AND_MERGE_SLASHES"
}

func (w *Mesh) addRoutes(r *Routes) {
	w.Routes[r.ID] = r
	w.routes = append(w.routes, r)
}

// HasSidecarHost reports whether sidecars have a virtual host of that domain, according to the input.
func (w *Mesh) HasSidecarHost(host string) bool {
	if w.Sidecars[host] != nil || w.serviceEntryHosts[host] {
		return true
	}
	n, rest, _ := strings.Cut(host, ".")
	ns, domain, _ := strings.Cut(rest, ".")
	return domain == "svc.cluster.local" && w.Services[Name{kindService, ns, n}] != nil
}
