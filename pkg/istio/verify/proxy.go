package verify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
)

const (
	clusterID    = "Kubernetes"
	istioVersion = "1.31.0"
)

// Role is what a proxy does in the mesh.
type Role string

// The roles, as they begin a node's identity.
const (
	Gateway Role = "router"
	Sidecar Role = "sidecar"
)

// Proxy is a proxy that asks the discovery server for its configuration.
type Proxy struct {
	Role      Role
	Name      string // of the pod
	Namespace string
	Labels    map[string]string // of the pod: workload selectors look at them
	IP        string            // of the pod
	Metadata  map[string]any    // further metadata of the node

	ServiceAccount string // of the pod; "" is default
}

// ID returns the node's identity.
func (p Proxy) ID() string {
	return fmt.Sprintf("%s~%s~%s.%s~%s.svc.cluster.local", p.Role, p.IP, p.Name, p.Namespace, p.Namespace)
}

// token is what the proxy shows to the discovery server, which hands out Secrets to nobody that it does not know.
func (p Proxy) token() string { return p.Namespace + ":" + cmp.Or(p.ServiceAccount, "default") }

// String tells the role, the namespace and the labels.
func (p Proxy) String() string {
	role := "gateway"
	if p.Role == Sidecar {
		role = "sidecar"
	}
	labels := labelText(p.Labels)
	if labels == "" {
		labels = "no labels"
	}
	return fmt.Sprintf("%s in %s (%s)", role, p.Namespace, labels)
}

// node returns the node as Envoy's bootstrap configuration and xDS write it.
func (p Proxy) node() map[string]any {
	metadata := map[string]any{
		"NAMESPACE": p.Namespace, "CLUSTER_ID": clusterID, "ISTIO_VERSION": istioVersion,
		"LABELS": anyMap(p.Labels), "NAME": p.Name, "INSTANCE_IPS": p.IP,
	}
	for k, v := range p.Metadata {
		metadata[k] = v
	}
	return map[string]any{"id": p.ID(), "cluster": p.Name + "." + p.Namespace, "metadata": metadata}
}

// Bootstrap returns Envoy's bootstrap configuration, as JSON, with which an Envoy is this proxy: it gets its
// configuration from the discovery server at pilot and its certificates from the [Agent] at agent, each a host:port.
// Its admin listener is on a free port of 127.0.0.1.
func (p Proxy) Bootstrap(pilot, agent string) ([]byte, error) {
	type m = map[string]any
	var clusters []any
	for _, c := range []struct{ name, address string }{{"xds-grpc", pilot}, {"sds-grpc", agent}} {
		host, text, err := net.SplitHostPort(c.address)
		if err != nil {
			return nil, err
		}
		port, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		clusters = append(clusters, m{
			"name": c.name, "type": "STATIC", "connect_timeout": "5s",
			"load_assignment": m{"cluster_name": c.name, "endpoints": []any{m{"lb_endpoints": []any{m{
				"endpoint": m{"address": socket(host, port)},
			}}}}},
			"typed_extension_protocol_options": m{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": m{
				"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
				"explicit_http_config": m{"http2_protocol_options": m{}},
			}},
		})
	}
	ads := m{"ads": m{}, "resource_api_version": "V3"}
	return json.MarshalIndent(m{
		"node":                 p.node(),
		"admin":                m{"address": socket("127.0.0.1", 0)},
		"stats_flush_interval": "0.1s",
		"dynamic_resources": m{
			"lds_config": ads, "cds_config": ads,
			"ads_config": m{
				"api_type": "DELTA_GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
				"grpc_services": []any{m{
					"envoy_grpc":       m{"cluster_name": "xds-grpc"},
					"initial_metadata": []any{m{"key": "authorization", "value": "Bearer " + p.token()}},
				}},
			},
		},
		"static_resources": m{"clusters": clusters},
	}, "", " ")
}

func socket(host string, port int) map[string]any {
	return map[string]any{"socket_address": map[string]any{"address": host, "port_value": port}}
}

// Loopback returns an EnvoyFilter for the whole mesh, which belongs in its root namespace. It moves the listeners that
// a proxy binds to free ports of 127.0.0.1, under their own names: an Envoy that is not alone on its machine can be that
// proxy. Listeners of sidecars take the PROXY protocol
// (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt), whose destination stands for the original destination
// that a redirection in the kernel leaves behind.
func Loopback(rootNamespace string) Object {
	type m = map[string]any
	move := func(context, name string) m {
		match := m{"context": context}
		if name != "" {
			match["listener"] = m{"name": name}
		}
		return m{"applyTo": "LISTENER", "match": match, "patch": m{"operation": "MERGE", "value": m{
			"address": socket("127.0.0.1", 0),
		}}}
	}
	original := func(context, name string) m {
		return m{
			"applyTo": "LISTENER_FILTER", "match": m{"context": context, "listener": m{"name": name}},
			"patch": m{"operation": "INSERT_FIRST", "value": m{
				"name": "moe.verify.proxy_protocol",
				"typed_config": m{
					"@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",

					"allow_requests_without_proxy_protocol": true,
				},
			}},
		}
	}
	return Object{
		"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
		"metadata": m{"name": "moe-verify-loopback", "namespace": rootNamespace},
		"spec": m{"priority": -1000.0, "configPatches": []any{
			move("GATEWAY", ""),
			move("SIDECAR_OUTBOUND", "virtualOutbound"), original("SIDECAR_OUTBOUND", "virtualOutbound"),
			move("SIDECAR_INBOUND", "virtualInbound"), original("SIDECAR_INBOUND", "virtualInbound"),
		}},
	}
}
