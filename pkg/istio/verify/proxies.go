package verify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Proxies derives from the objects the proxies to try in a mesh with that root namespace:
//
//   - a gateway for each selector of Istio's Gateways,
//   - a gateway, or a waypoint, for each Gateway of the Gateway API,
//   - a sidecar for each Service, WorkloadEntry and ServiceEntry with a selector, if an EnvoyFilter for sidecars selects
//     its workloads,
//   - for each EnvoyFilter that selects none of those, one proxy of each role that it patches, with the labels that it
//     selects.
//
// Each proxy has its own address, which no workload should have: in 192.0.2.0/24, or above 198.51.100.0 when there are
// more than 250 proxies.
func Proxies(objects []Object, rootNamespace string) []Proxy {
	d := derivation{objects: objects, root: rootNamespace, have: map[string]bool{}}
	for _, o := range objects {
		switch {
		case o.is("networking.istio.io", "Gateway"):
			labels := stringMap(dig(o, "spec", "selector"))
			d.add(Gateway, d.gatewayNamespace(o, labels), labels)
		case isWaypoint(o):
			if p := d.add(Waypoint, o.Namespace(), waypointLabels(o.Name())); p != nil {
				p.ServiceAccount = o.Name()
			}
		case o.is("gateway.networking.k8s.io", "Gateway"):
			if p := d.add(Gateway, o.Namespace(), gatewayLabels(o.Name())); p != nil {
				p.ServiceAccount = madeFor(o)
			}
		}
	}
	for _, o := range objects {
		if o.is("networking.istio.io", "EnvoyFilter") {
			d.envoyFilter(o)
		}
	}
	return d.proxies
}

// madeFor returns the name that Istio gives to the Deployment, the Service and the service account of a Gateway of the
// Gateway API.
func madeFor(gateway Object) string {
	return gateway.Name() + "-" + text(dig(gateway, "spec", "gatewayClassName"))
}

// gatewayLabels returns the labels that Istio gives to the pods of a Gateway of the Gateway API.
func gatewayLabels(name string) map[string]string {
	return map[string]string{"gateway.networking.k8s.io/gateway-name": name}
}

type derivation struct {
	objects []Object
	root    string
	proxies []Proxy
	have    map[string]bool
}

// add adds a proxy and returns it. It returns nil if an equal one exists.
func (d *derivation) add(role Role, namespace string, labels map[string]string) *Proxy {
	key := fmt.Sprint(role, " ", namespace, " ", labelText(labels))
	if d.have[key] {
		return nil
	}
	d.have[key] = true
	n := len(d.proxies)
	network := "192.0.2"
	if n >= 250 {
		network = fmt.Sprintf("198.51.%d", 100+n/250)
	}
	d.proxies = append(d.proxies, Proxy{
		Role: role, Name: fmt.Sprintf("verify-%d", n+1), Namespace: namespace, Labels: maps.Clone(labels),
		IP: fmt.Sprintf("%s.%d", network, n%250+1), Metadata: map[string]any{markKey: plain},
	})
	return &d.proxies[n]
}

// gatewayNamespace guesses the namespace of the pods that one of Istio's Gateways selects: that of a Service that selects
// them, else that of an EnvoyFilter that does, else that of the Gateway.
func (d *derivation) gatewayNamespace(gw Object, labels map[string]string) string {
	for _, w := range d.workloads() {
		if covers(w.labels, labels) {
			return w.namespace
		}
	}
	for _, o := range d.objects {
		if o.is("networking.istio.io", "EnvoyFilter") && (contexts(o)["GATEWAY"] || contexts(o)["ANY"]) {
			if s := selector(o); len(s) > 0 && covers(labels, s) {
				return o.Namespace()
			}
		}
	}
	return gw.Namespace()
}

func (d *derivation) envoyFilter(o Object) {
	in, want := contexts(o), selector(o)
	reaches := func(role Role) bool {
		return slices.ContainsFunc(d.proxies, func(p Proxy) bool { return p.Role == role && selects(o, p, d.root) })
	}
	if refs := targetRefs(o); len(refs) > 0 {
		for _, r := range refs {
			name := text(dig(r, "name"))
			switch kind := text(dig(r, "kind")); {
			case reaches(Waypoint) || reaches(Gateway):
			case kind == "GatewayClass":
				d.add(Waypoint, o.Namespace(), waypointLabels("waypoint"))
			case kind == "Gateway" && in["SIDECAR_INBOUND"]:
				d.add(Waypoint, o.Namespace(), waypointLabels(name))
			case kind == "Gateway":
				d.add(Gateway, o.Namespace(), gatewayLabels(name))
			}
		}
		return
	}
	sidecars, gateways := in["SIDECAR_INBOUND"] || in["SIDECAR_OUTBOUND"], in["GATEWAY"]
	if sidecars || in["ANY"] {
		for _, w := range d.workloads() {
			if (o.Namespace() == d.root || w.namespace == o.Namespace()) && !contradicts(w.labels, want) {
				labels := maps.Clone(w.labels)
				maps.Copy(labels, want)
				d.add(Sidecar, w.namespace, labels)
			}
		}
	}
	if (sidecars || in["ANY"]) && reaches(Sidecar) || (gateways || in["ANY"]) && reaches(Gateway) {
		return
	}
	if sidecars {
		d.add(Sidecar, o.Namespace(), want)
	}
	if gateways || !sidecars {
		d.add(Gateway, o.Namespace(), want)
	}
}

type workload struct {
	namespace string
	labels    map[string]string
}

func (d *derivation) workloads() []workload {
	var all []workload
	for _, o := range d.objects {
		var labels map[string]string
		switch {
		case o.is("", "Service"):
			labels = stringMap(dig(o, "spec", "selector"))
		case o.is("networking.istio.io", "ServiceEntry"):
			labels = stringMap(dig(o, "spec", "workloadSelector", "labels"))
		case o.is("networking.istio.io", "WorkloadEntry"):
			labels = stringMap(dig(o, "spec", "labels"))
		}
		if len(labels) > 0 {
			all = append(all, workload{o.Namespace(), labels})
		}
	}
	return all
}

func selector(o Object) map[string]string {
	return stringMap(dig(o, "spec", "workloadSelector", "labels"))
}

// contexts returns the set of contexts of an EnvoyFilter's patches.
func contexts(o Object) map[string]bool {
	in := map[string]bool{}
	for _, p := range list(dig(o, "spec", "configPatches")) {
		c := text(dig(p, "match", "context"))
		if c == "" {
			c = "ANY"
		}
		in[strings.ToUpper(c)] = true
	}
	return in
}

// covers reports whether labels include all of want.
func covers(labels, want map[string]string) bool {
	for k, v := range want {
		if have, ok := labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}

// contradicts reports whether labels and want have different values for the same key.
func contradicts(labels, want map[string]string) bool {
	for k, v := range want {
		if have, ok := labels[k]; ok && have != v {
			return true
		}
	}
	return false
}

// gatewayServices returns the Services that Istio would create for Gateways of the Gateway API if it could write to the
// cluster. It leaves out those that are among the objects.
func gatewayServices(objects []Object) []Object {
	var made []Object
	for _, o := range objects {
		if !o.is("gateway.networking.k8s.io", "Gateway") || dig(o, "spec", "addresses") != nil {
			continue
		}
		if isWaypoint(o) {
			if s := waypointService(o); !slices.ContainsFunc(objects, func(o Object) bool { return o.key() == s.key() }) {
				made = append(made, s)
			}
			continue
		}
		var ports []any
		seen := map[any]bool{}
		for _, l := range list(dig(o, "spec", "listeners")) {
			if port := dig(l, "port"); !seen[port] {
				seen[port] = true
				ports = append(ports, map[string]any{
					"name": fmt.Sprintf("p-%v", port), "port": port, "targetPort": port, "protocol": "TCP", "appProtocol": "http",
				})
			}
		}
		s := Object{
			"apiVersion": "v1", "kind": "Service",
			"metadata": map[string]any{"name": madeFor(o), "namespace": o.Namespace()},
			"spec":     map[string]any{"selector": anyMap(gatewayLabels(o.Name())), "ports": ports},
		}
		if !slices.ContainsFunc(objects, func(o Object) bool { return o.key() == s.key() }) {
			made = append(made, s)
		}
	}
	return made
}

// secretRef names a Secret that holds a gateway's certificate.
type secretRef struct{ namespace, name string }

// secretRefs returns the Secrets that gateways refer to and the objects lack.
func secretRefs(objects []Object, proxies []Proxy) []secretRef {
	var refs []secretRef
	add := func(namespace, name string) {
		r := secretRef{namespace, name}
		if name == "" || slices.Contains(refs, r) || slices.ContainsFunc(objects, func(o Object) bool {
			return o.is("", "Secret") && o.Namespace() == namespace && o.Name() == name
		}) {
			return
		}
		refs = append(refs, r)
	}
	for _, o := range objects {
		switch {
		case o.is("networking.istio.io", "Gateway"):
			for _, s := range list(dig(o, "spec", "servers")) {
				names := append([]any{dig(s, "tls", "credentialName")}, list(dig(s, "tls", "credentialNames"))...)
				for _, p := range proxies {
					// Istio looks in the namespace of the gateway's pods.
					if p.Role == Gateway && covers(p.Labels, stringMap(dig(o, "spec", "selector"))) {
						for _, name := range names {
							add(p.Namespace, text(name))
						}
					}
				}
			}
		case o.is("gateway.networking.k8s.io", "Gateway"):
			for _, l := range list(dig(o, "spec", "listeners")) {
				for _, r := range list(dig(l, "tls", "certificateRefs")) {
					add(cmp.Or(text(dig(r, "namespace")), o.Namespace()), text(dig(r, "name")))
				}
			}
		}
	}
	return refs
}
