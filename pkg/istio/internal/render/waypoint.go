package render

import (
	"fmt"

	"cel.dev/expr"
	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	typev3 "github.com/cncf/xds/go/xds/type/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	matchingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	actionv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/matcher/action/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	selectorv1beta1 "istio.io/api/type/v1beta1"

	"mosn.io/moe/pkg/istio/internal/mesh"
	"mosn.io/moe/pkg/istio/internal/plan"
	"mosn.io/moe/pkg/istio/internal/proxyset"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// waypointListener is the listener of a waypoint in which requests are, once they are out of their tunnel
// (pilot/pkg/networking/core/waypoint.go in Istio's repository). Those of tunnels are in another.
const waypointListener = "main_internal"

// waypointChain is the filter chain for HTTP at a port of a service; "" is all of them.
func waypointChain(s proxyset.Set) string {
	if s.Host == "" {
		return ""
	}
	return fmt.Sprintf("inbound-vip|%d|http|%s", s.Port, s.Host)
}

// waypointTarget returns what an EnvoyFilter for waypoints refers to: Istio selects them by name, or all by their class.
func waypointTarget(s proxyset.Set) *selectorv1beta1.PolicyTargetReference {
	if s.Namespace == "" {
		return &selectorv1beta1.PolicyTargetReference{Group: mesh.GatewayAPI, Kind: "GatewayClass", Name: mesh.WaypointClass}
	}
	return &selectorv1beta1.PolicyTargetReference{Group: mesh.GatewayAPI, Kind: "Gateway", Name: mesh.GatewayName(s)}
}

// waypointPatches returns those that give a part of a waypoint its chain, and the routes in it theirs. Each is a filter of
// its own: which of them a request passes is a matter of the name of its route.
func waypointPatches(b *plan.ProxyChain, routes []*plan.RouteChain, h *v1alpha1.Host) ([]*Patch, error) {
	var all []*Patch
	cluster, err := clusterPatch(b, h)
	if err != nil {
		return nil, err
	}
	if cluster != nil {
		all = append(all, cluster)
	}
	var chains []ownChain
	var others []*expr.Expr
	for _, r := range routes {
		if len(r.Filters) > 0 {
			others = append(others, routeName("_==_", r.Route))
		}
	}
	if len(b.Doc.Plugins) > 0 {
		skip, err := skipWhere(others...)
		if err != nil {
			return nil, err
		}
		chains = append(chains, ownChain{name: b.Filter, doc: &b.Doc.Document, skip: skip})
	}
	for _, r := range routes {
		if len(r.Filters) == 0 {
			continue // it has the service's chain
		}
		skip, err := skipWhere(routeName("_!=_", r.Route))
		if err != nil {
			return nil, err
		}
		chains = append(chains, ownChain{name: r.Filters[0], doc: &r.Doc.Document, skip: skip})
	}
	patches, err := chainPatches(b, routes, h, chains)
	return append(all, patches...), err
}

// nativeFilters returns the HTTP filters of a filter of Envoy's own: the listener's and, at a waypoint, those that take its
// place for routes with a configuration of their own. The requests of these routes, and of those that disable it, do not
// pass the listener's.
func nativeFilters(b *plan.ProxyChain, routes []*plan.RouteChain, n *plan.Native) (filters []*hcmv3.HttpFilter, err error) {
	add := func(name string, config proto.Message, exprs ...*expr.Expr) error {
		skip, err := skipWhere(exprs...)
		if err == nil && skip != nil {
			config, err = skipping(config, name, skip)
		}
		if err != nil {
			return err
		}
		packed, err := anypb.New(config)
		filters = append(filters, inListener(name, packed))
		return err
	}
	var others []*expr.Expr
	for _, r := range routes {
		if r.Native(n.EntryID()) != nil {
			others = append(others, routeName("_==_", r.Route))
		}
	}
	if err := add(plan.NativeName(b.Filter, n), n.Message(), others...); err != nil {
		return nil, err
	}
	for _, r := range routes {
		if own := r.Native(n.EntryID()); own != nil && !own.Disabled {
			if err := add(plan.RouteNativeName(b, r, own), own.Message(), routeName("_!=_", r.Route)); err != nil {
				return nil, err
			}
		}
	}
	return filters, nil
}

// skipping wraps the configuration of a filter, so that requests which skip matches do not pass it.
func skipping(config proto.Message, name string, skip *matcherv3.Matcher) (proto.Message, error) {
	packed, err := anypb.New(config)
	if err != nil {
		return nil, err
	}
	return &matchingv3.ExtensionWithMatcher{
		ExtensionConfig: &corev3.TypedExtensionConfig{Name: name, TypedConfig: packed}, XdsMatcher: skip,
	}, nil
}

// skipWhere returns what matches a request for which one of the expressions is true; nil if there are none. An expression
// that cannot be evaluated, as long as a request has no route, matches nothing: then the request passes the filter.
func skipWhere(exprs ...*expr.Expr) (*matcherv3.Matcher, error) {
	if len(exprs) == 0 {
		return nil, nil
	}
	input, err := anypb.New(&matcherv3.HttpAttributesCelMatchInput{})
	if err != nil {
		return nil, err
	}
	action, err := anypb.New(&actionv3.SkipFilter{})
	if err != nil {
		return nil, err
	}
	list := &matcherv3.Matcher_MatcherList{}
	for _, e := range exprs {
		matcher, err := anypb.New(&matcherv3.CelMatcher{ExprMatch: &typev3.CelExpression{
			CelExprParsed: &expr.ParsedExpr{Expr: e},
		}})
		if err != nil {
			return nil, err
		}
		list.Matchers = append(list.Matchers, &matcherv3.Matcher_MatcherList_FieldMatcher{
			Predicate: &matcherv3.Matcher_MatcherList_Predicate{
				MatchType: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
					SinglePredicate: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
						Input: &xdscorev3.TypedExtensionConfig{Name: "request", TypedConfig: input},
						Matcher: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_CustomMatch{
							CustomMatch: &xdscorev3.TypedExtensionConfig{Name: "route", TypedConfig: matcher},
						},
					},
				},
			},
			OnMatch: &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Action{
				Action: &xdscorev3.TypedExtensionConfig{Name: "skip", TypedConfig: action},
			}},
		})
	}
	return &matcherv3.Matcher{MatcherType: &matcherv3.Matcher_MatcherList_{MatcherList: list}}, nil
}

// routeName returns the CEL expression xds.route_name OPERATOR name, in the form that Envoy takes: parsed.
func routeName(operator, name string) *expr.Expr {
	return &expr.Expr{Id: 1, ExprKind: &expr.Expr_CallExpr{CallExpr: &expr.Expr_Call{
		Function: operator, Args: []*expr.Expr{
			{Id: 2, ExprKind: &expr.Expr_SelectExpr{SelectExpr: &expr.Expr_Select{
				Field: "route_name", Operand: &expr.Expr{
					Id: 3, ExprKind: &expr.Expr_IdentExpr{IdentExpr: &expr.Expr_Ident{Name: "xds"}},
				},
			}}},
			{Id: 4, ExprKind: &expr.Expr_ConstExpr{ConstExpr: &expr.Constant{
				ConstantKind: &expr.Constant_StringValue{StringValue: name},
			}}},
		},
	}}}
}
