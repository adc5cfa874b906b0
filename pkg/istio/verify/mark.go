package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// Istio silently skips a patch of an EnvoyFilter that matches nothing. To show where a patch takes effect, Verify adds a
// companion with the same match, which leaves a mark in what it matches. Companions apply only to proxies with node
// metadata that Verify passes to [Capture]: Envoys get the patches alone.
const (
	markKey   = "MOE_VERIFY"
	markValue = "mark"  // for proxies that get the marks
	plain     = "plain" // for Envoys
	markName  = "moe.verify/"
)

// mark returns a copy of an EnvoyFilter with a companion for each patch that can have one. Envoys do not get the
// patches for which withhold returns true.
func mark(o Object, withhold func(patch map[string]any) bool) Object {
	o = clone(o)
	spec, _ := o["spec"].(map[string]any)
	var patches []any
	for i, p := range list(spec["configPatches"]) {
		patch, ok := p.(map[string]any)
		if !ok {
			continue
		}
		if c := companion(patch, markID(o, i)); c != nil {
			patches = append(patches, c)
		}
		if withhold(patch) {
			demand(patch, markValue)
		}
		patches = append(patches, patch)
	}
	if spec != nil {
		spec["configPatches"] = patches
	}
	return o
}

// markID returns the name of a patch's mark.
func markID(o Object, index int) string {
	return fmt.Sprintf("%s%s/%s/%d", markName, o.Namespace(), o.Name(), index)
}

// companion returns the companion of a patch. It returns nil if a mark is impossible: for a configuration that proxies
// ask for by name, and for Envoy's bootstrap, which the discovery server does not send.
func companion(patch map[string]any, id string) map[string]any {
	c := clone(patch)
	operation := text(dig(c, "patch", "operation"))
	var value map[string]any
	switch applyTo := text(c["applyTo"]); applyTo {
	case "HTTP_FILTER", "NETWORK_FILTER", "LISTENER_FILTER":
		value = map[string]any{"name": id}
		if !strings.HasPrefix(operation, "INSERT") && operation != "ADD" {
			operation = "INSERT_BEFORE"
		}
	case "LISTENER", "FILTER_CHAIN", "ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE", "CLUSTER":
		value = map[string]any{}
		if strings.HasPrefix(operation, "INSERT") || operation == "ADD" {
			if v, ok := dig(c, "patch", "value").(map[string]any); ok {
				value = v
			}
			value["name"] = id
		} else {
			operation = "MERGE"
		}
		value["metadata"] = map[string]any{"filter_metadata": map[string]any{id: map[string]any{}}}
	default:
		return nil
	}
	c["patch"] = map[string]any{"operation": operation, "value": value}
	demand(c, markValue)
	return c
}

// demand limits a patch to proxies whose node metadata has that value for markKey.
func demand(patch map[string]any, value string) {
	sub := func(m map[string]any, key string) map[string]any {
		v, ok := m[key].(map[string]any)
		if !ok {
			v = map[string]any{}
			m[key] = v
		}
		return v
	}
	sub(sub(sub(patch, "match"), "proxy"), "metadata")[markKey] = value
}

// marks returns the places of each mark in the snapshot, by the name of the mark.
func (s *Snapshot) marks() map[string][]string {
	found := map[string][]string{}
	note := func(m *corev3.Metadata, name, place string) {
		if strings.HasPrefix(name, markName) {
			found[name] = append(found[name], place)
		}
		for _, id := range slices.Sorted(maps.Keys(m.GetFilterMetadata())) {
			if strings.HasPrefix(id, markName) && id != name {
				found[id] = append(found[id], place)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Listeners)) {
		l, place := s.Listeners[name], "listener "+name
		note(l.Metadata, "", place)
		for _, f := range l.ListenerFilters {
			note(nil, f.Name, place)
		}
		for _, chain := range chains(l) {
			note(chain.Metadata, "", place+chainText(chain.Name))
			for _, f := range chain.Filters {
				note(nil, f.Name, place+chainText(chain.Name))
			}
		}
	}
	for _, h := range s.HTTP() {
		for _, f := range h.Manager.HttpFilters {
			note(nil, f.Name, "listener "+h.Listener+chainText(h.FilterChain))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Routes)) {
		r, place := s.Routes[name], "routes "+name
		note(r.Metadata, "", place)
		for _, host := range r.VirtualHosts {
			place := place + ", virtual host " + host.Name
			note(host.Metadata, host.Name, place)
			for _, route := range host.Routes {
				note(route.Metadata, route.Name, place+", route "+route.Name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Clusters)) {
		note(s.Clusters[name].Metadata, name, "cluster "+name)
	}
	return found
}

func chainText(name string) string {
	if name == "" {
		return ""
	}
	return ", filter chain " + name
}
