package plan

import (
	"slices"
	"strings"

	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/mesh"
)

// Warnings returns what works and is likely not meant: guards that do not see all requests of what they are for, and routes
// that disable a guard for a range of paths. By default, Istio
// has Envoy choose a route with %2F and %5C in a path left as they are. So a request for /public/..%2fadmin takes the route
// of /public/, and an upstream that decodes its path serves /admin.
func (g *Plan) Warnings() manifest.Errors {
	var warnings manifest.Problems
	for _, e := range g.warnings {
		warnings.Add(e)
	}
	if g.Mesh.DecodesSlashes {
		return warnings.Sorted()
	}
	for _, r := range g.RouteChains {
		if r.Route == "" {
			continue
		}
		paths := g.pathsOf(r.RoutePart)
		if len(paths) == 0 {
			continue
		}
		chain := g.chainOf[r.Proxies.Key()]
		around, all := slices.Clone(chain.Contributions), slices.Clone(chain.Contributions)
		for _, c := range r.Contributions {
			all = append(all, c)
			if c.level < ofRoute {
				around = append(around, c)
			}
		}
		with := Merge(around, true, &manifest.Problems{})
		without := Merge(all, true, &manifest.Problems{})
		for i := range with.Plugins {
			guard := &with.Plugins[i]
			reg := filter.Lookup(guard.Name)
			if guard.Off() || reg == nil || reg.Stage > filter.Authz {
				continue
			}
			j := slices.IndexFunc(without.Plugins, func(p document.Plugin) bool { return p.EntryID() == guard.EntryID() })
			if j < 0 || !without.Plugins[j].Off() {
				continue
			}
			from, path := without.Find(pluginPath(j) + ".disabled")
			warnUnguarded(&warnings, from.From.Policy.Object, path, r, paths, guard.EntryID())
		}
		for i := range r.Natives {
			if n := &r.Natives[i]; n.disarms() {
				warnUnguarded(&warnings, n.From.Object, n.path, r, paths, n.EntryID())
			}
		}
	}
	return warnings.Sorted()
}

// warnUnguarded warns of a route that takes ranges of paths without a guard, as object says at path.
func warnUnguarded(warnings *manifest.Problems, object *manifest.Object, path string, r *RouteChain, paths []string, guard string) {
	warnings.At(object, path, "route %s of %s takes %s without %s, even if what "+
		"follows is ..%%2f and the path of another route, which an upstream may decode; match exact paths, or set "+
		"pathNormalization.normalization of Istio's mesh configuration to DECODE_AND_MERGE_SLASHES and add its "+
		"ConfigMap to the input", r.Route, r.Host, strings.Join(paths, " and "), guard)
}

// nativeGuards are the filters of Envoy's own that refuse requests by who sends them or what they are, with what switches each off for
// a route.
var nativeGuards = map[string]func(route map[string]any) bool{
	"envoy.filters.http.api_key_auth": nil,
	"envoy.filters.http.basic_auth":   nil,
	"envoy.filters.http.csrf":         nil,
	"envoy.filters.http.ext_authz":    off("disabled"),
	"envoy.filters.http.jwt_authn":    off("disabled"),
	"envoy.filters.http.oauth2":       nil,
	"envoy.filters.http.rbac":         withoutRules,
}

// withoutRules reports whether a route's configuration of rbac has nothing that is enforced.
func withoutRules(route map[string]any) bool {
	rbac, _ := route["rbac"].(map[string]any)
	return rbac["rules"] == nil && rbac["matcher"] == nil
}

// off reports whether a field of a route's configuration is true.
func off(field string) func(map[string]any) bool {
	return func(route map[string]any) bool { return route[field] == true }
}

// disarms reports whether a route does without a guard of Envoy's own.
func (n *RouteNative) disarms() bool {
	switchedOff, guard := nativeGuards[n.Of.Name]
	return guard && (n.Disabled || switchedOff != nil && switchedOff(n.Config))
}

// pathsOf returns the ranges of paths of the rules that have made a route.
func (g *Plan) pathsOf(part RoutePart) (paths []string) {
	for _, at := range g.Mesh.RoutesByName(part.Group)[part.Route] {
		switch {
		case part.Waypoint && !g.atWaypoint(at.Routes, part):
			continue
		case !part.Waypoint && (at.Host != part.Host || part.Group != nil && at.Port != part.Port):
			continue
		}
		for _, rule := range at.Routes.Rules {
			if slices.Contains(rule.Names, part.Route) {
				paths = append(paths, rule.Paths...)
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// atWaypoint reports whether the routes are among those of a part of a waypoint.
func (g *Plan) atWaypoint(r *mesh.Routes, part RoutePart) bool {
	for _, h := range r.SidecarHosts {
		hosts, _ := g.Mesh.WaypointHosts(r, h)
		if slices.ContainsFunc(hosts, func(w mesh.WaypointHost) bool {
			return w.Host == part.Host && r.Reaches(w.Service, part.Port)
		}) {
			return true
		}
	}
	return false
}
