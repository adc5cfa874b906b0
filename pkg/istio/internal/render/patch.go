package render

import (
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	networking "istio.io/api/networking/v1alpha3"

	"mosn.io/moe/framework/document"
	"mosn.io/moe/internal/bootstrap"
	"mosn.io/moe/pkg/istio/internal/plan"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/internal/proxyset"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// Names in Envoy's configuration.
const (
	PlaceFilter       = "moe.place"                     // keeps the filter's place while patches are applied; Envoy never sees it
	AuthnEnd          = "envoy.filters.http.grpc_stats" // the first filter behind Istio's authentication and authorization
	ConnectionManager = "envoy.filters.network.http_connection_manager"
)

type (
	Patch       = networking.EnvoyFilter_EnvoyConfigObjectPatch
	objectMatch = networking.EnvoyFilter_EnvoyConfigObjectMatch
	Operation   = networking.EnvoyFilter_Patch_Operation
)

func patchContext(t proxyset.Traffic) networking.EnvoyFilter_PatchContext {
	switch t {
	case proxyset.Inbound, proxyset.Waypoint: // Istio takes a waypoint's listeners for those of a sidecar
		return networking.EnvoyFilter_SIDECAR_INBOUND
	case proxyset.Outbound:
		return networking.EnvoyFilter_SIDECAR_OUTBOUND
	}
	return networking.EnvoyFilter_GATEWAY
}

// structOf returns m as a patch holds it, by Envoy's own field names.
func structOf(m proto.Message) (*structpb.Struct, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	s := &structpb.Struct{}
	return s, protojson.Unmarshal(text, s)
}

func newPatch(to networking.EnvoyFilter_ApplyTo, m *objectMatch, op Operation, value proto.Message) (*Patch, error) {
	p := &Patch{ApplyTo: to, Match: m, Patch: &networking.EnvoyFilter_Patch{Operation: op}}
	if value != nil {
		v, err := structOf(value)
		if err != nil {
			return nil, err
		}
		p.Patch.Value = v
	}
	return p, nil
}

// matchProxy returns a match for a context and a host's proxies.
func matchProxy(t proxyset.Traffic, h *v1alpha1.Host) *objectMatch {
	m := &objectMatch{Context: patchContext(t)}
	if h.ProxyVersion != "" {
		m.Proxy = &networking.EnvoyFilter_ProxyMatch{ProxyVersion: h.ProxyVersion}
	}
	return m
}

// httpMatch matches the HTTP filter of a name ("": the connection manager) in the listeners of the proxies.
func httpMatch(s proxyset.Set, h *v1alpha1.Host, name string) *objectMatch {
	m := matchProxy(s.Traffic, h)
	f := &networking.EnvoyFilter_ListenerMatch_FilterMatch{Name: ConnectionManager}
	if name != "" {
		f.SubFilter = &networking.EnvoyFilter_ListenerMatch_SubFilterMatch{Name: name}
	}
	l := &networking.EnvoyFilter_ListenerMatch{
		PortNumber: s.Port, FilterChain: &networking.EnvoyFilter_ListenerMatch_FilterChainMatch{Filter: f},
	}
	if s.Traffic == proxyset.Waypoint {
		l.Name, l.PortNumber, l.FilterChain.Name = waypointListener, 0, waypointChain(s)
	}
	m.ObjectTypes = &networking.EnvoyFilter_EnvoyConfigObjectMatch_Listener{Listener: l}
	return m
}

// insertion returns the patches that put filters into their place, in the order in which Istio applies them.
//
// Istio passes over an insertion before or after a filter that a listener does not have. So the place is marked first,
// where it should be and right before the router, which every listener has; then the last filter takes the first of the
// marks, and the others go. What marks is a filter that denies every request: should it ever stay, nothing gets past it. The
// other filters come right before the last.
func insertion(
	s proxyset.Set, h *v1alpha1.Host, in v1alpha1.Insert, wider []string, filters []*hcmv3.HttpFilter,
) ([]*Patch, error) {
	last := filters[len(filters)-1]
	var all []*Patch
	var failed error
	add := func(op Operation, at string, value proto.Message) {
		p, err := newPatch(networking.EnvoyFilter_HTTP_FILTER, httpMatch(s, h, at), op, value)
		if err != nil {
			failed = err
		}
		all = append(all, p)
	}
	const (
		before  = networking.EnvoyFilter_Patch_INSERT_BEFORE
		after   = networking.EnvoyFilter_Patch_INSERT_AFTER
		first   = networking.EnvoyFilter_Patch_INSERT_FIRST
		replace = networking.EnvoyFilter_Patch_REPLACE
		remove  = networking.EnvoyFilter_Patch_REMOVE
	)
	for _, name := range wider { // whose patches Istio has applied before
		add(remove, name, nil)
	}
	switch {
	case in.Position == "first":
		add(first, "", last)
	case in == v1alpha1.Insert{} || in.Position == "beforeRouter":
		for _, f := range filters {
			add(before, policy.RouterFilter, f)
		}
		return all, failed
	default:
		place, err := deniesAll()
		if err != nil {
			return nil, err
		}
		switch {
		case in.Position == "afterAuthn":
			add(before, AuthnEnd, place)
		case in.Before != "":
			add(before, in.Before, place)
		default:
			add(after, in.After, place)
		}
		add(before, policy.RouterFilter, place)
		add(replace, PlaceFilter, last)
		add(remove, PlaceFilter, nil)
	}
	for _, f := range filters[:len(filters)-1] {
		add(before, last.Name, f)
	}
	return all, failed
}

// deniesAll marks a place.
func deniesAll() (*hcmv3.HttpFilter, error) {
	config, err := anypb.New(&rbacv3.RBAC{Rules: &rbacconfigv3.RBAC{Action: rbacconfigv3.RBAC_ALLOW}})
	if err != nil {
		return nil, err
	}
	return &hcmv3.HttpFilter{Name: PlaceFilter, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: config}}, nil
}

// discovered is a filter whose configuration comes by ECDS, under the filter's own name.
func discovered(name, typeURL string) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{
		ConfigDiscovery: &corev3.ExtensionConfigSource{
			ConfigSource: &corev3.ConfigSource{
				ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
				ResourceApiVersion:    corev3.ApiVersion_V3,
			},
			TypeUrls: []string{typeURL},
		},
	}}
}

// basePatches returns those that give the proxies of b its chain.
func basePatches(b *plan.ProxyChain, h *v1alpha1.Host) ([]*Patch, error) {
	cluster, err := clusterPatch(b, h)
	if err != nil {
		return nil, err
	}
	all, err := chainPatches(b, nil, h, []ownChain{{name: b.Filter, doc: &b.Sent.Document}})
	if cluster != nil {
		all = append([]*Patch{cluster}, all...)
	}
	return all, err
}

// ownChain is one of the chains that the listeners of some proxies have, and its filter's name.
type ownChain struct {
	name string
	doc  *document.Document
	skip *matcherv3.Matcher // which requests do not pass it; nil: none
}

// chainPatches returns the patches that put chains in their place, with filters of Envoy's own around them and between
// their parts, for the filters of wider sets. routes are those of a waypoint.
func chainPatches(b *plan.ProxyChain, routes []*plan.RouteChain, h *v1alpha1.Host, chains []ownChain) ([]*Patch, error) {
	var all []*Patch
	var filters []*hcmv3.HttpFilter
	for boundary := range len(document.Stages) + 1 {
		for i := range b.Settings.Natives {
			if n := &b.Settings.Natives[i]; n.Boundary() == boundary {
				made, err := nativeFilters(b, routes, n)
				if err != nil {
					return nil, err
				}
				filters = append(filters, made...)
			}
		}
		for _, c := range chains {
			parts := b.Settings.Parts(c.name)
			for i := range parts {
				if parts[i].First() != boundary {
					continue
				}
				f, discovery, err := partFilter(b, h, c, &parts[i])
				if err != nil {
					return nil, err
				}
				filters = append(filters, f)
				if discovery != nil {
					all = append(all, discovery)
				}
			}
		}
	}
	if len(filters) == 0 {
		return all, nil
	}
	inserted, err := insertion(b.Proxies, h, b.Settings.Insert, b.Wider, filters)
	return append(all, inserted...), err
}

// partFilter returns the filter with a part of a chain, and the patch that has its configuration discovered, if it is.
func partFilter(b *plan.ProxyChain, h *v1alpha1.Host, c ownChain, part *bootstrap.Part) (*hcmv3.HttpFilter, *Patch, error) {
	config, err := filterConfig(h, c.doc, part)
	if err == nil && c.skip != nil {
		config, err = skipping(config, part.Name, c.skip)
	}
	if err != nil {
		return nil, nil, err
	}
	packed, err := anypb.New(config)
	if err != nil {
		return nil, nil, err
	}
	if h.ExtProc != nil || b.Settings.Inline {
		return inListener(part.Name, packed), nil, nil
	}
	extension := &corev3.TypedExtensionConfig{Name: part.Name, TypedConfig: packed}
	m := matchProxy(b.Proxies.Traffic, h)
	discovery, err := newPatch(networking.EnvoyFilter_EXTENSION_CONFIG, m, networking.EnvoyFilter_Patch_ADD, extension)
	return discovered(part.Name, packed.TypeUrl), discovery, err
}

// inListener is a filter whose configuration the listener has.
func inListener(name string, config *anypb.Any) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: config}}
}

// clusterPatch returns the patch that adds the cluster of a host's server; nil if it has none.
func clusterPatch(b *plan.ProxyChain, h *v1alpha1.Host) (*Patch, error) {
	if h.ExtProc == nil {
		return nil, nil
	}
	cluster, err := extProcCluster(h.ExtProc)
	if err != nil {
		return nil, err
	}
	return newPatch(networking.EnvoyFilter_CLUSTER, matchCluster(b.Proxies.Traffic, h), networking.EnvoyFilter_Patch_ADD, cluster)
}

// matchCluster: a sidecar's own clusters are all made for outbound traffic, and a waypoint's for inbound.
func matchCluster(t proxyset.Traffic, h *v1alpha1.Host) *objectMatch {
	if t == proxyset.Inbound {
		t = proxyset.Outbound
	}
	return matchProxy(t, h)
}

// routePatch returns the patch that gives a route, virtual host or route configuration its document, and what it has for
// filters of Envoy's own. Port 0 is any.
func routePatch(r *plan.RouteChain, h *v1alpha1.Host, port uint32) (*Patch, error) {
	per := map[string]*anypb.Any{}
	add := func(names []string, config proto.Message) error {
		packed, err := anypb.New(config)
		for _, name := range names {
			per[name] = packed
		}
		return err
	}
	if len(r.Filters) > 0 {
		doc := r.Doc
		if h.Golang != nil {
			doc = r.Own
		}
		config, err := routeConfig(h, &doc.Document)
		if err == nil {
			err = add(r.Filters, config)
		}
		if err != nil {
			return nil, err
		}
	}
	for i := range r.Natives {
		if err := add(r.Natives[i].Names, r.Natives[i].Message()); err != nil {
			return nil, err
		}
	}
	rm := &networking.EnvoyFilter_RouteConfigurationMatch{PortNumber: port}
	m := matchProxy(r.Traffic(), h)
	m.ObjectTypes = &networking.EnvoyFilter_EnvoyConfigObjectMatch_RouteConfiguration{RouteConfiguration: rm}
	const merge = networking.EnvoyFilter_Patch_MERGE
	switch {
	case r.Host == "":
		if g := r.Gateway; g != nil {
			rm.PortName, rm.Gateway = g.PortName(r.Section), g.InternalName(r.Section)
		}
		return newPatch(networking.EnvoyFilter_ROUTE_CONFIGURATION, m, merge,
			&routev3.RouteConfiguration{TypedPerFilterConfig: per})
	case r.Route == "":
		rm.Vhost = &networking.EnvoyFilter_RouteConfigurationMatch_VirtualHostMatch{DomainName: r.Host}
		return newPatch(networking.EnvoyFilter_VIRTUAL_HOST, m, merge, &routev3.VirtualHost{TypedPerFilterConfig: per})
	}
	rm.Vhost = &networking.EnvoyFilter_RouteConfigurationMatch_VirtualHostMatch{
		DomainName: r.Host, Route: &networking.EnvoyFilter_RouteConfigurationMatch_RouteMatch{Name: r.Route},
	}
	return newPatch(networking.EnvoyFilter_HTTP_ROUTE, m, merge, &routev3.Route{TypedPerFilterConfig: per})
}
