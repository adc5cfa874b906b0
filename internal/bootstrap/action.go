package bootstrap

import (
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Action is what becomes of the requests of a route when they have passed the plugins. At most one of upstream,
// weightedUpstreams, redirect and directResponse may be given; without any, requests go to the upstream of the file.
type Action struct {
	// Upstream is where requests go: a name of upstreams, or an address as for the file's upstream.
	Upstream string `json:"upstream"`
	// WeightedUpstreams are where shares of the requests go.
	WeightedUpstreams []WeightedUpstream `json:"weightedUpstreams" validate:"omitempty,min=1"`
	// Redirect sends clients elsewhere.
	Redirect *Redirect `json:"redirect"`
	// DirectResponse answers without an upstream.
	DirectResponse *DirectResponse `json:"directResponse"`
	// Rewrite changes path and host on the way to the upstream; plugins see them as they were.
	Rewrite *Rewrite `json:"rewrite"`
	// Retry sends failed requests again; by default, as the upstream says.
	Retry *Retry `json:"retry"`
	// UpstreamTimeout is how long the upstream may take for the whole response; by default, as the upstream says.
	UpstreamTimeout time.Duration `json:"upstreamTimeout" validate:"min=0"`
	// IdleTimeout takes the place of http.streamIdleTimeout for these requests.
	IdleTimeout time.Duration `json:"idleTimeout" validate:"min=0"`
}

// WeightedUpstream gets a share of a route's requests.
type WeightedUpstream struct {
	// Upstream is a name of upstreams, or an address.
	Upstream string `json:"upstream" validate:"required"`
	// Weight of the upstream; its share is this by the sum of all.
	Weight uint32 `json:"weight" validate:"max=1000000"`
}

// Redirect sends clients to what is left of their URL when these parts are replaced: Envoy's RedirectAction.
type Redirect struct {
	// HTTPSRedirect has the scheme be https.
	HTTPSRedirect bool `json:"httpsRedirect"`
	// HostRedirect is the host.
	HostRedirect string `json:"hostRedirect"`
	// PortRedirect is the port; with httpsRedirect, the scheme's own by default.
	PortRedirect uint32 `json:"portRedirect" validate:"max=65535"`
	// PathRedirect is the whole path, with a query or without.
	PathRedirect string `json:"pathRedirect"`
	// PrefixRewrite replaces what match.prefix or match.path has met.
	PrefixRewrite string `json:"prefixRewrite"`
	// StripQuery removes the query.
	StripQuery bool `json:"stripQuery"`
	// ResponseCode is the status.
	ResponseCode int `json:"responseCode" default:"301" enum:"301,302,303,307,308"`
}

// DirectResponse is an answer of Envoy's own.
type DirectResponse struct {
	// Status of the response.
	Status uint32 `json:"status" validate:"min=200,max=599"`
	// Body of the response, at most 4 KiB.
	Body string `json:"body" validate:"max=4096"`
	// ContentType is that of the body.
	ContentType string `json:"contentType" absent:"text/plain"`
}

// Rewrite changes requests on their way to the upstream. At most one of prefix and regex, and of host and autoHost, may
// be given.
type Rewrite struct {
	// Prefix replaces what match.prefix or match.path has met: Envoy's prefix_rewrite.
	Prefix string `json:"prefix"`
	// Regex replaces what it meets in the path: Envoy's regex_rewrite.
	Regex *RegexRewrite `json:"regex"`
	// Host is the host that the upstream sees: Envoy's host_rewrite_literal.
	Host string `json:"host"`
	// AutoHost has the upstream see the name of the endpoint: Envoy's auto_host_rewrite.
	AutoHost bool `json:"autoHost"`
}

// RegexRewrite replaces by a regular expression.
type RegexRewrite struct {
	// Pattern is a regular expression (RE2).
	Pattern string `json:"pattern" validate:"required"`
	// Substitution is what comes in place of each match; \1 is what the first group has met.
	Substitution string `json:"substitution"`
}

var redirectCodes = map[int]routev3.RedirectAction_RedirectResponseCode{
	301: routev3.RedirectAction_MOVED_PERMANENTLY, 302: routev3.RedirectAction_FOUND,
	303: routev3.RedirectAction_SEE_OTHER, 307: routev3.RedirectAction_TEMPORARY_REDIRECT,
	308: routev3.RedirectAction_PERMANENT_REDIRECT,
}

// action gives a route its action.
func (b *builder) action(r *routev3.Route, a Action) {
	switch {
	case a.Redirect != nil:
		r.Action = &routev3.Route_Redirect{Redirect: a.Redirect.build()}
	case a.DirectResponse != nil:
		d := a.DirectResponse
		response := &routev3.DirectResponseAction{Status: d.Status}
		if d.Body != "" {
			response.Body = &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: d.Body}}
		}
		r.Action = &routev3.Route_DirectResponse{DirectResponse: response}
		if d.ContentType != "" {
			r.ResponseHeadersToAdd = []*corev3.HeaderValueOption{{
				Header:       &corev3.HeaderValue{Key: "content-type", Value: d.ContentType},
				AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
			}}
		}
	default:
		r.Action = &routev3.Route_Route{Route: b.forward(a)}
	}
}

func (r *Redirect) build() *routev3.RedirectAction {
	action := &routev3.RedirectAction{
		HostRedirect: r.HostRedirect, PortRedirect: r.PortRedirect, StripQuery: r.StripQuery,
		ResponseCode: redirectCodes[r.ResponseCode],
	}
	if r.HTTPSRedirect {
		action.SchemeRewriteSpecifier = &routev3.RedirectAction_HttpsRedirect{HttpsRedirect: true}
	}
	switch {
	case r.PathRedirect != "":
		action.PathRewriteSpecifier = &routev3.RedirectAction_PathRedirect{PathRedirect: r.PathRedirect}
	case r.PrefixRewrite != "":
		action.PathRewriteSpecifier = &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: r.PrefixRewrite}
	}
	return action
}

// forward sends requests upstream. Without a timeout they go on for as long as something moves, which the stream's idle
// timeout sees to: streams and debuggers have no fifteen seconds.
func (b *builder) forward(a Action) *routev3.RouteAction {
	action := &routev3.RouteAction{Timeout: durationpb.New(a.UpstreamTimeout), IdleTimeout: limited(a.IdleTimeout)}
	retry := a.Retry
	if len(a.WeightedUpstreams) > 0 {
		action.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: b.weighted(a)}
	} else {
		name := a.Upstream
		if name == "" {
			name = b.o.Default
		}
		action.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: name}
		u := b.upstream(name)
		if a.UpstreamTimeout == 0 {
			action.Timeout = durationpb.New(u.Timeout)
		}
		if retry == nil {
			retry = u.Retry
		}
		if u.HostRewrite != "" {
			action.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: u.HostRewrite}
		}
		action.HashPolicy = u.hashPolicy()
	}
	action.RetryPolicy = retry.policy()
	a.Rewrite.apply(action)
	return action
}

func (b *builder) weighted(a Action) *routev3.WeightedCluster {
	all := &routev3.WeightedCluster{}
	for _, w := range a.WeightedUpstreams {
		c := &routev3.WeightedCluster_ClusterWeight{Name: w.Upstream, Weight: wrapperspb.UInt32(w.Weight)}
		if u := b.upstream(w.Upstream); u.HostRewrite != "" {
			c.HostRewriteSpecifier = &routev3.WeightedCluster_ClusterWeight_HostRewriteLiteral{
				HostRewriteLiteral: u.HostRewrite,
			}
		}
		all.Clusters = append(all.Clusters, c)
	}
	return all
}

// upstream returns the upstream of a name, which Check has found to be there.
func (b *builder) upstream(name string) *Upstream {
	return &b.o.Upstreams[slices.IndexFunc(b.o.Upstreams, func(u Upstream) bool { return u.Name == name })]
}

func (w *Rewrite) apply(action *routev3.RouteAction) {
	if w == nil {
		return
	}
	action.PrefixRewrite = w.Prefix
	if w.Regex != nil {
		action.RegexRewrite = &matcherv3.RegexMatchAndSubstitute{
			Pattern: &matcherv3.RegexMatcher{Regex: w.Regex.Pattern}, Substitution: w.Regex.Substitution,
		}
	}
	switch {
	case w.Host != "":
		action.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: w.Host}
	case w.AutoHost:
		action.HostRewriteSpecifier = &routev3.RouteAction_AutoHostRewrite{AutoHostRewrite: wrapperspb.Bool(true)}
	}
}
