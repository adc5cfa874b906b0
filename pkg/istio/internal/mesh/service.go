package mesh

import (
	"strconv"

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
}

func kubernetesService(o *manifest.Object, id Name, svc *serviceObject) *Service {
	s := &Service{Object: o, ID: id, Selector: svc.Spec.Selector, Ports: map[string]ServicePort{}}
	for _, p := range svc.Spec.Ports {
		sp := ServicePort{Number: uint32(p.Port), Target: uint32(p.TargetPort.number)}
		if sp.Target == 0 && p.TargetPort.name == "" {
			sp.Target = sp.Number
		}
		s.Ports[p.Name] = sp
		s.Ports[strconv.Itoa(int(p.Port))] = sp
	}
	return s
}

// Host returns the Service's domain name.
func (s *Service) Host() string { return s.ID.Name + "." + s.ID.Namespace + ".svc.cluster.local" }
