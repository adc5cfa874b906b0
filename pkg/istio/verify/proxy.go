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

// The roles, as written at the start of a node's ID.
const (
	Gateway Role = "router"
	Sidecar Role = "sidecar"
	// Waypoint is the role of a proxy that gets the requests for services of an ambient mesh from ztunnels.
	Waypoint Role = "waypoint"
)

// Proxy is a proxy that asks the discovery server for its configuration.
type Proxy struct {
	Role      Role
	Name      string // of the pod
	Namespace string
	Labels    map[string]string // of the pod, which workload selectors match
	IP        string            // of the pod
	Metadata  map[string]any    // further metadata of the node

	ServiceAccount string // of the pod; "" means default
}

// ID returns the node's ID, as Istio writes it.
func (p Proxy) ID() string {
	return fmt.Sprintf("%s~%s~%s.%s~%s.svc.cluster.local", p.Role, p.IP, p.Name, p.Namespace, p.Namespace)
}

// token returns the token that identifies the proxy to the discovery server, which sends Secrets only to proxies that
// it has identified.
func (p Proxy) token() string { return p.Namespace + ":" + cmp.Or(p.ServiceAccount, "default") }

// String returns the role, the namespace and the labels.
func (p Proxy) String() string {
	role := string(p.Role)
	if p.Role == Gateway {
		role = "gateway"
	}
	labels := labelText(p.Labels)
	if labels == "" {
		labels = "no labels"
	}
	return fmt.Sprintf("%s in %s (%s)", role, p.Namespace, labels)
}

// node returns the node in the form that Envoy's bootstrap configuration and xDS use.
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

// Bootstrap returns the bootstrap configuration, as JSON, that makes an Envoy this proxy. The Envoy gets its
// configuration from the discovery server at pilot and its certificates from the [Agent] at agent, each a host:port. Its
// admin listener uses a free port of 127.0.0.1.
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
	bootstrap := m{
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
	}
	if p.Role == Waypoint {
		bootstrap["bootstrap_extensions"] = []any{m{
			"name": "envoy.bootstrap.internal_listener", "typed_config": m{
				"@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
			},
		}}
	}
	return json.MarshalIndent(bootstrap, "", " ")
}

func socket(host string, port int) map[string]any {
	return map[string]any{"socket_address": map[string]any{"address": host, "port_value": port}}
}

// Loopback returns EnvoyFilters for the whole mesh, in rootNamespace, that let an Envoy on a shared machine be any of
// its proxies. They move the listeners that a proxy binds to free ports of 127.0.0.1 and keep the listeners' names. They
// remove the filters of waypoints that only Istio's own proxy has. They let listeners of sidecars accept the PROXY
// protocol (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt), whose destination replaces the original
// destination that a redirection in the kernel would provide.
func Loopback(rootNamespace string) []Object {
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
	remove := func(name string) m {
		return m{
			"applyTo": "HTTP_FILTER", "match": m{"context": "SIDECAR_INBOUND", "listener": m{"filterChain": m{"filter": m{
				"name": "envoy.filters.network.http_connection_manager", "subFilter": m{"name": name},
			}}}}, "patch": m{"operation": "REMOVE"},
		}
	}
	drop := func(listener string) m {
		return m{
			"applyTo": "LISTENER", "match": m{"context": "SIDECAR_INBOUND", "listener": m{"name": listener}},
			"patch": m{"operation": "REMOVE"},
		}
	}
	// Envoy finds the destination of a tunnel by these two. The other state that Istio keeps has types that only its proxy
	// has.
	state := func(key, value string) m {
		return m{
			"object_key": key, "shared_with_upstream": "ONCE",
			"format_string": m{"text_format_source": m{"inline_string": value}},
		}
	}
	tunnel := remove("connect_authority")
	tunnel["patch"] = m{"operation": "REPLACE", "value": m{
		"name": "connect_authority", "typed_config": m{
			"@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
			"on_request_headers": []any{
				state("envoy.filters.listener.original_dst.local_ip", "%REQ(:AUTHORITY)%"),
				state("envoy.filters.listener.original_dst.remote_ip", "%DOWNSTREAM_REMOTE_ADDRESS%"),
			},
		},
	}}
	filter := func(name string, spec m) Object {
		spec["priority"] = -1000.0
		return Object{
			"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
			"metadata": m{"name": name, "namespace": rootNamespace}, "spec": spec,
		}
	}
	return []Object{
		filter("moe-verify-loopback", m{"configPatches": []any{
			move("GATEWAY", ""),
			move("SIDECAR_OUTBOUND", "virtualOutbound"), original("SIDECAR_OUTBOUND", "virtualOutbound"),
			move("SIDECAR_INBOUND", "virtualInbound"), original("SIDECAR_INBOUND", "virtualInbound"),
		}}),
		filter("moe-verify-waypoints", m{
			"targetRefs": []any{m{"group": "gateway.networking.k8s.io", "kind": "GatewayClass", "name": waypointClass}},
			"configPatches": []any{
				move("SIDECAR_INBOUND", "connect_terminate"),
				drop("inner_connect_originate"), drop("outer_connect_originate"), // for other networks
				remove("waypoint_downstream_peer_metadata"), remove("waypoint_upstream_peer_metadata"), tunnel,
			},
		}),
	}
}
