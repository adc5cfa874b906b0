package verify

import "slices"

// waypointClass is the gateway class of waypoints.
const waypointClass = "istio-waypoint"

// isWaypoint reports whether o is a Gateway whose proxies are waypoints of an ambient mesh.
func isWaypoint(o Object) bool {
	return o.is("gateway.networking.k8s.io", "Gateway") && text(dig(o, "spec", "gatewayClassName")) == waypointClass
}

// waypointLabels returns the labels that Istio gives to the pods and the Service of a waypoint.
func waypointLabels(name string) map[string]string {
	labels := gatewayLabels(name)
	labels["gateway.istio.io/managed"] = "istio.io-mesh-controller"
	return labels
}

// waypointService returns the Service that Istio makes for a waypoint.
func waypointService(o Object) Object {
	return Object{
		"apiVersion": "v1", "kind": "Service",
		"metadata": map[string]any{"name": o.Name(), "namespace": o.Namespace(), "labels": anyMap(waypointLabels(o.Name()))},
		"spec": map[string]any{
			"selector": anyMap(gatewayLabels(o.Name())),
			"ports":    []any{map[string]any{"name": "mesh", "port": 15008.0, "targetPort": 15008.0, "protocol": "TCP", "appProtocol": "hbone"}},
		},
	}
}

// targetRefs returns the targetRefs of an EnvoyFilter.
func targetRefs(o Object) []any { return list(dig(o, "spec", "targetRefs")) }

// selects reports whether an EnvoyFilter applies to a proxy. Like Istio, it decides by targetRefs if there are any, and
// otherwise by labels, which never select a waypoint. References to Services select nothing: Istio ignores them in
// EnvoyFilters.
func selects(o Object, p Proxy, root string) bool {
	refs := targetRefs(o)
	if len(refs) == 0 {
		return p.Role != Waypoint && (o.Namespace() == root || p.Namespace == o.Namespace()) && covers(p.Labels, selector(o))
	}
	return slices.ContainsFunc(refs, func(r any) bool {
		switch name := text(dig(r, "name")); text(dig(r, "kind")) {
		case "Gateway":
			return p.Namespace == o.Namespace() && covers(p.Labels, gatewayLabels(name))
		case "GatewayClass":
			return p.Role == Waypoint && o.Namespace() == root && name == waypointClass
		}
		return false
	})
}

// ambient reports whether the cluster has a waypoint.
func (c *Cluster) ambient() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.objects {
		if isWaypoint(o) {
			return true
		}
	}
	return false
}
