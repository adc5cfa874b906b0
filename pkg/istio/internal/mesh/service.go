package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mosn.io/moe/pkg/istio/internal/manifest"
)

// Service is a Service of Kubernetes.
type Service struct {
	*manifest.Object
	ID       Name
	Selector map[string]string
	Ports    map[string]ServicePort // by name and by number
}

// ServicePort is a port of a Service.
type ServicePort struct {
	Number uint32
	Target uint32 // of the pods; 0 if the Service refers to it by name
	// NotHTTP is the protocol that the Service gives the port, if proxies then run no HTTP filters for it: "TCP" of a port
	// called tcp-admin. It is "" for a port without a protocol, where proxies detect HTTP.
	NotHTTP string
}

func kubernetesService(o *manifest.Object, id Name, svc *serviceObject) *Service {
	s := &Service{Object: o, ID: id, Selector: svc.Spec.Selector, Ports: map[string]ServicePort{}}
	for _, p := range svc.Spec.Ports {
		sp := ServicePort{
			Number: uint32(p.Port), Target: uint32(p.TargetPort.number),
			NotHTTP: notHTTP(p.Port, p.Name, p.Protocol, p.AppProtocol),
		}
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

// notHTTP selects a port's protocol as Istio does (pkg/config/kube in its repository) and returns it unless it is HTTP.
func notHTTP(port int32, name, transport, appProtocol string) string {
	if transport == "UDP" {
		return transport
	}
	switch appProtocol {
	case "":
	case "kubernetes.io/h2c", "kubernetes.io/ws":
		return ""
	case "kubernetes.io/wss":
		return "HTTPS"
	default:
		name = appProtocol
	}
	name = strings.ToUpper(name)
	if strings.HasPrefix(name, "GRPC-WEB") {
		return ""
	}
	switch protocol, _, _ := strings.Cut(name, "-"); protocol {
	case "HTTP", "HTTP2", "HTTP_PROXY", "GRPC":
		return ""
	case "TCP", "UDP", "HTTPS", "TLS", "MONGO", "REDIS", "MYSQL":
		return protocol
	}
	if slices.Contains(wellKnownPorts, port) {
		return "TCP"
	}
	return ""
}

// NotHTTP explains why no port of the Service takes HTTP requests; "" if one does.
func (s *Service) NotHTTP() string {
	var reasons []string
	for _, key := range slices.Sorted(maps.Keys(s.Ports)) {
		p := s.Ports[key]
		if p.NotHTTP == "" {
			return ""
		}
		if reason := fmt.Sprintf("%d is %s", p.Number, p.NotHTTP); !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	return strings.Join(reasons, ", ")
}

// Host returns the Service's domain name.
func (s *Service) Host() string { return s.ID.Name + "." + s.ID.Namespace + ".svc.cluster.local" }
