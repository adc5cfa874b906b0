package mesh

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"mosn.io/moe/pkg/istio/internal/manifest"
)

// Service is a Service of Kubernetes, or a ServiceEntry.
type Service struct {
	*manifest.Object
	Enrolment
	ID       Name
	Hosts    []string // one, unless it is a ServiceEntry
	Selector map[string]string
	Ports    map[string]ServicePort // by name and by number

	labels     map[string]string
	resolution string // of a ServiceEntry
	noAddress  string // why it has no address of its own, by which a waypoint would know it; "" if it has
}

// ServicePort is a port of a Service.
type ServicePort struct {
	Number uint32
	Target uint32 // of the pods; 0 if the Service refers to it by name
	// NotHTTP is the protocol that the Service gives the port, if proxies then run no HTTP filters for it: "TCP" of a port
	// called tcp-admin. It is "" for a port without a protocol, where proxies detect HTTP.
	NotHTTP string
	// Detected is set if nothing tells the protocol, so that proxies look at what a connection begins with.
	Detected bool
}

func kubernetesService(o *manifest.Object, id Name, svc *serviceObject) *Service {
	s := &Service{
		Object: o, ID: id, Selector: svc.Spec.Selector, Ports: map[string]ServicePort{}, labels: svc.Metadata.Labels,
		Hosts: []string{id.Name + "." + id.Namespace + ".svc.cluster.local"},
	}
	switch {
	case svc.Spec.Type == "ExternalName":
		s.noAddress = "a Service of type ExternalName has no address by which a waypoint would know it"
	case svc.Spec.ClusterIP == "None":
		s.noAddress = "a headless Service has no address by which a waypoint would know it: requests go to its pods' own addresses"
	}
	for _, p := range svc.Spec.Ports {
		sp := ServicePort{
			Number: uint32(p.Port), Target: uint32(p.TargetPort.number),
		}
		sp.NotHTTP, sp.Detected = portProtocol(p.Port, p.Name, p.Protocol, p.AppProtocol)
		if sp.Target == 0 && p.TargetPort.name == "" {
			sp.Target = sp.Number
		}
		s.Ports[p.Name] = sp
		s.Ports[strconv.Itoa(int(p.Port))] = sp
	}
	return s
}

// wellKnownPorts are the ports that Istio takes for TCP if nothing tells their protocol: of SMTP, DNS, MySQL and MongoDB.
var wellKnownPorts = []int32{25, 53, 3306, 27017}

// serviceEntry reads a ServiceEntry as a service.
func serviceEntry(o *manifest.Object, id Name, meta objectMeta, spec *networking.ServiceEntry) *Service {
	s := &Service{
		Object: o, ID: id, Selector: spec.GetWorkloadSelector().GetLabels(), Ports: map[string]ServicePort{},
		labels: meta.Labels, resolution: spec.Resolution.String(),
	}
	for _, h := range spec.Hosts {
		s.Hosts = append(s.Hosts, strings.ToLower(h))
	}
	if spec.Resolution == networking.ServiceEntry_NONE && len(spec.Addresses) == 0 {
		s.noAddress = "a ServiceEntry with resolution NONE and without addresses has no address by which a waypoint would know it"
	}
	for _, p := range spec.Ports {
		sp := ServicePort{Number: p.GetNumber(), Target: p.GetTargetPort()}
		switch protocol := strings.ToUpper(p.GetProtocol()); {
		case slices.Contains(otherProtocols, protocol):
			sp.NotHTTP = protocol
		case !slices.Contains(httpProtocols, protocol):
			sp.Detected = true
		}
		s.Ports[p.GetName()] = sp
		s.Ports[strconv.Itoa(int(p.GetNumber()))] = sp
	}
	return s
}

// The protocols that Istio knows by name.
var (
	httpProtocols  = []string{"HTTP", "HTTP2", "HTTP_PROXY", "GRPC", "GRPC-WEB"}
	otherProtocols = []string{"TCP", "UDP", "HTTPS", "TLS", "MONGO", "REDIS", "MYSQL"}
)

// portProtocol selects a port's protocol as Istio does (pkg/config/kube in its repository) and returns it unless it is
// HTTP; or that nothing tells it.
func portProtocol(port int32, name, transport, appProtocol string) (notHTTP string, detected bool) {
	if transport == "UDP" {
		return transport, false
	}
	switch appProtocol {
	case "":
	case "kubernetes.io/h2c", "kubernetes.io/ws":
		return "", false
	case "kubernetes.io/wss":
		return "HTTPS", false
	default:
		name = appProtocol
	}
	name = strings.ToUpper(name)
	if strings.HasPrefix(name, "GRPC-WEB") {
		return "", false
	}
	protocol, _, _ := strings.Cut(name, "-")
	switch {
	case slices.Contains(httpProtocols, protocol):
		return "", false
	case slices.Contains(otherProtocols, protocol):
		return protocol, false
	case slices.Contains(wellKnownPorts, port):
		return "TCP", false
	}
	return "", true
}

// InOrder returns the ports by number.
func (s *Service) InOrder() []ServicePort {
	ports := slices.SortedFunc(maps.Values(s.Ports), func(a, b ServicePort) int { return cmp.Compare(a.Number, b.Number) })
	return slices.Compact(ports)
}

// Unguarded describes the ports at which what is not HTTP passes no HTTP filter; "" if there are none.
func (s *Service) Unguarded() string {
	var parts []string
	for _, p := range s.InOrder() {
		switch {
		case p.NotHTTP != "" && p.NotHTTP != "UDP":
			parts = append(parts, fmt.Sprintf("%d is %s", p.Number, p.NotHTTP))
		case p.Detected:
			parts = append(parts, fmt.Sprintf("%d takes what does not look like HTTP as TCP, since nothing tells its protocol", p.Number))
		}
	}
	return strings.Join(parts, "; ")
}

// NotHTTP explains why no port of the Service takes HTTP requests; "" if one does.
func (s *Service) NotHTTP() string {
	var reasons []string
	for _, p := range s.InOrder() {
		if p.NotHTTP == "" {
			return ""
		}
		if reason := fmt.Sprintf("%d is %s", p.Number, p.NotHTTP); !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	return strings.Join(reasons, ", ")
}
