package mosn

import (
	"context"
	"time"

	"mosn.io/api"
	"mosn.io/moe/framework/filter"
)

// route is the route of a stream, and its rule. It asks Envoy when it is asked: the route may change.
type route struct{ st *stream }

// RouteRule returns the rule.
func (r *route) RouteRule() api.RouteRule { return routeRule{r.st} }

// DirectResponseRule returns nil: Envoy answers by itself, after the filters.
func (r *route) DirectResponseRule() api.DirectResponseRule { return nil }

// RedirectRule returns nil, as DirectResponseRule does.
func (r *route) RedirectRule() api.RedirectRule { return nil }

type routeRule struct{ st *stream }

// VirtualHost returns the route's virtual host.
func (r routeRule) VirtualHost() api.VirtualHost { return virtualHost(r) }

// ClusterName returns the cluster that the route leads to, or "" where it leads to none.
func (r routeRule) ClusterName(context.Context) string { return r.st.attr(filter.AttrClusterName) }

// UpstreamProtocol returns "": a cluster of Envoy's knows its protocol, and does not tell filters.
func (r routeRule) UpstreamProtocol() string { return "" }

// GlobalTimeout returns 0: Envoy does not tell filters.
func (r routeRule) GlobalTimeout() time.Duration { return 0 }

// Policy returns policies that do nothing: those of the route are Envoy's.
func (r routeRule) Policy() api.Policy { return noPolicy{} }

// MetadataMatchCriteria returns no criteria: those of the route are Envoy's.
func (r routeRule) MetadataMatchCriteria(string) api.MetadataMatchCriteria { return noCriteria{} }

// PerFilterConfig returns per_filter_config as the plugin has it on this route, by the filters' types. It is not to be
// changed.
func (r routeRule) PerFilterConfig() map[string]any { return r.st.plugin.PerFilterConfig }

// FinalizeRequestHeaders does nothing: Envoy changes the headers as the route has it.
func (r routeRule) FinalizeRequestHeaders(context.Context, api.HeaderMap, api.RequestInfo) {}

// FinalizeResponseHeaders does nothing: Envoy changes the headers as the route has it.
func (r routeRule) FinalizeResponseHeaders(context.Context, api.HeaderMap, api.RequestInfo) {}

// PathMatchCriterion returns api.None: Envoy does not tell filters how a route matches.
func (r routeRule) PathMatchCriterion() api.PathMatchCriterion { return noMatch{} }

// HeaderMatchCriteria returns none: Envoy does not tell filters how a route matches.
func (r routeRule) HeaderMatchCriteria() api.KeyValueMatchCriteria { return noMatch{} }

type virtualHost struct{ st *stream }

// Name returns the name of the virtual host.
func (v virtualHost) Name() string { return v.st.attr(filter.AttrVirtualHostName) }

// GetRouteFromEntries returns the stream's route, which is what Envoy has found for it.
func (v virtualHost) GetRouteFromEntries(context.Context, api.HeaderMap) api.Route { return &v.st.ways }

// GetAllRoutesFromEntries returns the stream's route: Envoy finds one.
func (v virtualHost) GetAllRoutesFromEntries(context.Context, api.HeaderMap) []api.Route {
	return []api.Route{&v.st.ways}
}

// GetRouteFromHeaderKV returns nil: a filter cannot look up Envoy's routes.
func (v virtualHost) GetRouteFromHeaderKV(string, string) api.Route {
	_ = v.st.unsupported("VirtualHost.GetRouteFromHeaderKV", ownsRoutes)
	return nil
}

// AddRoute returns an UnsupportedError.
func (v virtualHost) AddRoute(api.RouteBase) error {
	return v.st.unsupported("VirtualHost.AddRoute", ownsRoutes)
}

// RemoveAllRoutes is unsupported.
func (v virtualHost) RemoveAllRoutes() {
	_ = v.st.unsupported("VirtualHost.RemoveAllRoutes", ownsRoutes)
}

// PerFilterConfig returns that of the route, over which Envoy has put nothing else: the most specific one holds.
func (v virtualHost) PerFilterConfig() map[string]any { return v.st.plugin.PerFilterConfig }

// FinalizeRequestHeaders does nothing: Envoy changes the headers as the virtual host has it.
func (v virtualHost) FinalizeRequestHeaders(context.Context, api.HeaderMap, api.RequestInfo) {}

// FinalizeResponseHeaders does nothing: Envoy changes the headers as the virtual host has it.
func (v virtualHost) FinalizeResponseHeaders(context.Context, api.HeaderMap, api.RequestInfo) {}

// noPolicy stands for policies that are Envoy's: none of them is the filter's to carry out.
type noPolicy struct{}

func (noPolicy) RetryPolicy() api.RetryPolicy        { return noPolicy{} }
func (noPolicy) ShadowPolicy() api.ShadowPolicy      { return noPolicy{} }
func (noPolicy) HashPolicy() api.HashPolicy          { return noPolicy{} }
func (noPolicy) MirrorPolicy() api.MirrorPolicy      { return noPolicy{} }
func (noPolicy) RetryOn() bool                       { return false }
func (noPolicy) TryTimeout() time.Duration           { return 0 }
func (noPolicy) NumRetries() uint32                  { return 0 }
func (noPolicy) RetryableStatusCodes() []uint32      { return nil }
func (noPolicy) ClusterName() string                 { return "" }
func (noPolicy) RuntimeKey() string                  { return "" }
func (noPolicy) GenerateHash(context.Context) uint64 { return 0 }
func (noPolicy) IsMirror() bool                      { return false }

type noCriteria struct{}

func (noCriteria) MetadataMatchCriteria() []api.MetadataMatchCriterion { return nil }
func (noCriteria) MergeMatchCriteria(map[string]string) api.MetadataMatchCriteria {
	return noCriteria{}
}

type noMatch struct{}

func (noMatch) MatchType() api.PathMatchType                { return api.None }
func (noMatch) Matcher() string                             { return "" }
func (noMatch) Get(int) api.KeyValueMatchCriterion          { return nil }
func (noMatch) Len() int                                    { return 0 }
func (noMatch) Range(func(api.KeyValueMatchCriterion) bool) {}
