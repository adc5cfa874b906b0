package envoyfilter

import (
	"encoding/json"
	"regexp"
	"slices"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/internal/protocheck"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/render"
)

// Validate checks every EnvoyFilter of the input, whoever wrote it: it is decoded strictly, down to the last field of
// every patch's value, and held against what Istio asks of it and what Envoy's definitions do. Istio itself leaves out
// fields that it does not know, with a warning or without a word. The error is an [Errors]; warnings are about what works
// and is likely not meant.
func Validate(in *manifest.Input) (warnings manifest.Errors, err error) {
	v := &validator{}
	for _, o := range in.Objects() {
		if o.Kind() == "EnvoyFilter" {
			v.object = o
			v.filter()
		}
	}
	return v.warn.Sorted(), v.p.Err()
}

type validator struct {
	object *manifest.Object
	p      manifest.Problems
	warn   manifest.Problems
}

func (v *validator) fail(path, format string, args ...any) { v.p.At(v.object, path, format, args...) }

var envoyFilterVersions = []string{"networking.istio.io/v1alpha3"}

func (v *validator) filter() {
	if !slices.Contains(envoyFilterVersions, v.object.APIVersion()) {
		v.fail("apiVersion", "expected %s for an EnvoyFilter", envoyFilterVersions[0])
		return
	}
	spec, ok := v.object.Data["spec"].(map[string]any)
	if !ok {
		v.fail("spec", "is required")
		return
	}
	for k := range v.object.Data {
		if !slices.Contains([]string{"apiVersion", "kind", "metadata", "spec", "status"}, k) {
			v.fail(config.Key("", k), "unknown field; an EnvoyFilter has metadata and spec")
		}
	}
	ef := &networking.EnvoyFilter{}
	if !v.decode("spec", spec, ef) {
		return
	}
	if text, err := json.Marshal(v.object.Data); err == nil && len(text) > render.MaxResource {
		v.fail("", "has %d bytes, and Kubernetes takes %d", len(text), render.MaxResource)
	}
	if len(ef.TargetRefs) > 0 && ef.WorkloadSelector != nil {
		v.fail("spec.targetRefs", "an EnvoyFilter has a workloadSelector or targetRefs, not both")
	}
	for i, ref := range ef.TargetRefs {
		if kind := ref.GetKind(); kind == "Service" || kind == "ServiceEntry" {
			v.warn.At(v.object, config.Index("spec.targetRefs", i), "Istio applies no EnvoyFilter by a reference to a %s; refer to "+
				"the Gateway of its waypoint, and match the filter chain inbound-vip|PORT|http|HOST", kind)
		}
	}
	if s := ef.WorkloadSelector; s != nil && len(s.Labels) == 0 {
		v.warn.At(v.object, "spec.workloadSelector", "has no labels, and so is for every workload of the namespace")
	}
	relative := false
	for i, p := range ef.ConfigPatches {
		at := config.Index("spec.configPatches", i)
		if p == nil {
			v.fail(at, "expected an object, got null")
			continue
		}
		v.patch(at, p)
		op := p.GetPatch().GetOperation()
		relative = relative || slices.Contains([]render.Operation{
			networking.EnvoyFilter_Patch_INSERT_BEFORE, networking.EnvoyFilter_Patch_INSERT_AFTER,
			networking.EnvoyFilter_Patch_REPLACE, networking.EnvoyFilter_Patch_MERGE,
		}, op)
	}
	if len(ef.ConfigPatches) == 0 {
		v.warn.At(v.object, "spec", "has no configPatches, and so does nothing")
	}
	if relative && ef.Priority == 0 {
		v.warn.At(v.object, "spec", "has patches that refer to something else and no priority, so that what they find depends on "+
			"the ages of EnvoyFilters; set priority")
	}
}

// patch makes the checks that Istio's own validation makes.
func (v *validator) patch(at string, p *render.Patch) {
	m := p.Match
	if m != nil && m.Context == networking.EnvoyFilter_WAYPOINT {
		v.warn.At(v.object, at+".match.context", "Istio accepts WAYPOINT and applies nothing of it yet; a waypoint's listeners are "+
			"patched in SIDECAR_INBOUND")
		v.value(at, p)
		return
	}
	switch {
	case p.ApplyTo == networking.EnvoyFilter_INVALID:
		v.fail(at+".applyTo", "is required")
		return
	case p.Patch == nil:
		v.fail(at+".patch", "is required")
		return
	case p.Patch.Operation == networking.EnvoyFilter_Patch_INVALID:
		v.fail(at+".patch.operation", "is required")
		return
	case p.Patch.Operation != networking.EnvoyFilter_Patch_REMOVE && p.Patch.Value == nil:
		v.fail(at+".patch.value", "is required for every operation but REMOVE")
		return
	}
	if version := m.GetProxy().GetProxyVersion(); version != "" {
		if len(version) > 1024 {
			v.fail(at+".match.proxy.proxyVersion", "has more than 1024 characters, and Istio then takes no proxy for a match")
		} else if _, err := regexp.Compile(version); err != nil {
			v.fail(at+".match.proxy.proxyVersion", "%v", err)
		}
	}
	v.match(at+".match", p)
	v.value(at, p)
}

func (v *validator) match(at string, p *render.Patch) {
	m := p.Match
	if m.GetObjectTypes() == nil {
		return
	}
	expected, ok := "", false
	switch p.ApplyTo {
	case networking.EnvoyFilter_LISTENER, networking.EnvoyFilter_FILTER_CHAIN, networking.EnvoyFilter_NETWORK_FILTER,
		networking.EnvoyFilter_HTTP_FILTER, networking.EnvoyFilter_LISTENER_FILTER:
		expected, ok = "listener", m.GetListener() != nil
	case networking.EnvoyFilter_ROUTE_CONFIGURATION, networking.EnvoyFilter_VIRTUAL_HOST, networking.EnvoyFilter_HTTP_ROUTE:
		expected, ok = "routeConfiguration", m.GetRouteConfiguration() != nil
	case networking.EnvoyFilter_CLUSTER:
		expected, ok = "cluster", m.GetCluster() != nil
	default:
		return
	}
	if !ok {
		v.fail(at, "%v matches a %s, nothing else", p.ApplyTo, expected)
		return
	}
	f := m.GetListener().GetFilterChain().GetFilter()
	at += ".listener.filterChain.filter"
	switch sub := f.GetSubFilter(); {
	case f == nil:
	case p.ApplyTo == networking.EnvoyFilter_LISTENER || p.ApplyTo == networking.EnvoyFilter_FILTER_CHAIN:
		v.warn.At(v.object, at, "is not looked at for %v", p.ApplyTo)
	case f.Name == "":
		v.fail(at+".name", "is required")
	case sub == nil:
	case p.ApplyTo != networking.EnvoyFilter_HTTP_FILTER:
		v.fail(at+".subFilter", "is for HTTP_FILTER only")
	case f.Name != render.ConnectionManager && f.Name != "envoy.http_connection_manager":
		v.fail(at+".name", "expected %s above a subFilter", render.ConnectionManager)
	case sub.Name == "":
		v.fail(at+".subFilter.name", "is required")
	}
}

// object returns what a patch's value is.
func patched(to networking.EnvoyFilter_ApplyTo) proto.Message {
	switch to {
	case networking.EnvoyFilter_LISTENER:
		return &listenerv3.Listener{}
	case networking.EnvoyFilter_FILTER_CHAIN:
		return &listenerv3.FilterChain{}
	case networking.EnvoyFilter_NETWORK_FILTER:
		return &listenerv3.Filter{}
	case networking.EnvoyFilter_HTTP_FILTER:
		return &hcmv3.HttpFilter{}
	case networking.EnvoyFilter_LISTENER_FILTER:
		return &listenerv3.ListenerFilter{}
	case networking.EnvoyFilter_ROUTE_CONFIGURATION:
		return &routev3.RouteConfiguration{}
	case networking.EnvoyFilter_VIRTUAL_HOST:
		return &routev3.VirtualHost{}
	case networking.EnvoyFilter_HTTP_ROUTE:
		return &routev3.Route{}
	case networking.EnvoyFilter_CLUSTER:
		return &clusterv3.Cluster{}
	case networking.EnvoyFilter_EXTENSION_CONFIG:
		return &corev3.TypedExtensionConfig{}
	case networking.EnvoyFilter_BOOTSTRAP:
		return &bootstrapv3.Bootstrap{}
	}
	return nil
}

func (v *validator) value(at string, p *render.Patch) {
	into := patched(p.ApplyTo)
	if p.GetPatch().GetValue() == nil || into == nil {
		return
	}
	at += ".patch.value"
	raw, _ := v.object.At(at).(map[string]any)
	if !v.decode(at, raw, into) {
		return
	}
	switch p.Patch.Operation {
	case networking.EnvoyFilter_Patch_MERGE, networking.EnvoyFilter_Patch_MERGE_AND_REPLACE_LIST,
		networking.EnvoyFilter_Patch_REMOVE:
		return // a part of something
	}
	if err := protocheck.Refused(into.ProtoReflect()); err != nil {
		v.fail(at, "Envoy would refuse it: %v", err)
	}
	if f, ok := into.(*hcmv3.HttpFilter); ok && f.ConfigType == nil {
		v.fail(at+".typed_config", "is required: Envoy does not find filters by their name")
	}
}

// decode reads raw strictly into m, and reports each field that is wrong with its own path.
func (v *validator) decode(at string, raw map[string]any, m proto.Message) bool {
	c := &protocheck.Checker{Fail: v.fail, Visit: v.chain}
	return c.Decode(at, raw, m)
}
