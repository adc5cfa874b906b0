package verify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// Options tell what to verify, and with what. Objects are required.
type Options struct {
	Mounts  []Mount   // files of the proxies, which Envoy finds here in folders of its own
	Objects []Object  // Istio's kinds, the Gateway API's, Services and whatever else discovery reads
	Pilot   string    // path of Istio's discovery server; "" means what FindPilot("") returns
	Envoy   string    // path of Envoy; "" means that of the checkout, or of PATH
	Module  string    // path of libmoe.so for Envoy; "" has patches that need it refused
	Log     io.Writer // the logs of all processes; nil drops them

	RootNamespace string // of Istio; "" is istio-system
}

// NeedsModule reports whether an EnvoyFilter among the objects has the proxy load a dynamic module.
func NeedsModule(objects []Object) bool {
	return slices.ContainsFunc(objects, func(o Object) bool {
		return o.is("networking.istio.io", "EnvoyFilter") && mentions(map[string]any(o), moduleTypes)
	})
}

// moduleTypes begins the names of the filter's types.
const moduleTypes = "envoy.extensions.filters.http.dynamic_modules."

// hereModule has a patch load the module of this machine where it names a file of the proxy's.
func hereModule(v any, path string) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range []string{"dynamic_module_config", "dynamicModuleConfig"} {
			if local, ok := dig(v, key, "module", "local").(map[string]any); ok && local["filename"] != nil {
				local["filename"] = path
			}
		}
		for _, e := range v {
			hereModule(e, path)
		}
	case []any:
		for _, e := range v {
			hereModule(e, path)
		}
	}
}

// Verify runs Istio's discovery server on the objects, and an Envoy for each of [Proxies], and reports what became of
// every object. The error is about what kept it from doing so; what is wrong with objects is in the report.
func Verify(ctx context.Context, o Options) (*Report, error) {
	path, err := FindPilot(o.Pilot)
	if err != nil {
		return nil, err
	}
	o.RootNamespace = cmp.Or(o.RootNamespace, DefaultRootNamespace)
	binary, err := inspect(ctx, o.Envoy)
	if err != nil {
		return nil, err
	}
	c, err := NewCluster(o.RootNamespace)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	agent, err := NewAgent()
	if err != nil {
		return nil, err
	}
	defer agent.Close()
	o.Log = &syncWriter{w: o.Log}
	v := verification{Options: o, envoy: binary, agent: agent}
	v.report = &Report{Envoy: binary.version, Pilot: path, root: o.RootNamespace}
	dir, err := os.MkdirTemp("", "moe-mounts-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if v.mounts, err = newMounts(dir, o.Mounts, o.Objects); err != nil {
		return nil, err
	}
	objects := v.sort()
	if err := v.apply(c, objects); err != nil {
		return nil, err
	}
	if v.pilot, err = StartPilot(ctx, path, c, o.Log); err != nil {
		return nil, err
	}
	defer func() { v.pilot.Stop() }()
	admitted, err := v.admit(ctx)
	if err != nil {
		return nil, err
	}
	if len(admitted) < len(objects) {
		// What is refused never gets into a cluster.
		for _, r := range v.report.Resources {
			if r.Refused != "" {
				c.Delete(r.Object)
			}
		}
		v.pilot.Stop()
		if v.pilot, err = StartPilot(ctx, path, c, o.Log); err != nil {
			return nil, err
		}
	}
	for _, proxy := range Proxies(admitted, o.RootNamespace) {
		if err := v.try(ctx, proxy); err != nil {
			return nil, err
		}
	}
	v.report.settle()
	return v.report, nil
}

type verification struct {
	Options
	pilot  *Pilot
	agent  *Agent
	envoy  *binary
	mounts *mounts
	report *Report
}

// sort makes the report's resources of the objects, and returns those that discovery reads, each once.
func (v *verification) sort() []Object {
	var known []Object
	seen := map[string]Object{}
	for _, o := range v.Objects {
		r := &Resource{Object: o}
		v.report.Resources = append(v.report.Resources, r)
		if r.Ignored = !Known(o); r.Ignored {
			continue
		}
		o = clone(o)
		if o.Namespace() == "" && !clusterScoped(o) {
			o["metadata"].(map[string]any)["namespace"] = "default"
		}
		r.Object = o
		if first := seen[o.key()]; first != nil {
			r.Repeated = sameSpec(first, o)
			if !r.Repeated {
				r.Conflict = "another object of the same kind, namespace and name has a different spec; keep one"
				if generated(first) && generated(o) {
					r.Conflict = "the policies come to a different spec; generate it again, or leave it out of the input"
				}
			}
			continue
		}
		seen[o.key()] = o
		known = append(known, o)
	}
	return known
}

// admit asks Istio's admission about all objects and returns those that have passed.
func (v *verification) admit(ctx context.Context) ([]Object, error) {
	var admitted []Object
	for _, r := range v.report.Resources {
		o := r.Object
		if r.Ignored || r.Repeated || r.Conflict != "" || r.Refused != "" {
			continue
		}
		if strings.HasSuffix(o.Group(), ".istio.io") {
			var err error
			r.Warnings, err = v.pilot.Admit(ctx, o)
			var refused *RefusedError
			if errors.As(err, &refused) {
				r.Refused = refused.Reason
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", o, err)
			}
		}
		if o.is("networking.istio.io", "EnvoyFilter") {
			for i, p := range list(dig(o, "spec", "configPatches")) {
				r.Patches = append(r.Patches, v.patch(o, i, p))
			}
		}
		admitted = append(admitted, o)
	}
	return admitted, nil
}

// sameSpec reports whether two objects are alike in all that matters.
func sameSpec(a, b Object) bool {
	for _, field := range []string{"spec", "data", "stringData"} {
		x, errX := json.Marshal(a[field])
		y, errY := json.Marshal(b[field])
		if errX != nil || errY != nil || !bytes.Equal(x, y) {
			return false
		}
	}
	return true
}

// generated reports whether `moe istio generate` has made the object.
func generated(o Object) bool { return o.Labels()["app.kubernetes.io/managed-by"] == "moe" }

func clusterScoped(o Object) bool {
	return slices.Contains([]string{"Namespace", "Node", "GatewayClass"}, o.Kind())
}

func (v *verification) patch(o Object, i int, p any) *Patch {
	patch := &Patch{
		Index: i, ApplyTo: text(dig(p, "applyTo")), Operation: text(dig(p, "patch", "operation")),
		Context: text(dig(p, "match", "context")), mark: markID(o, i), name: text(dig(p, "patch", "value", "name")),
	}
	if m, ok := p.(map[string]any); ok && v.withheld(m) {
		patch.Withheld = fmt.Sprintf("%s has no envoy.filters.http.golang, so it was not given the patch", v.envoy.version)
	}
	return patch
}

// withheld reports whether the patch needs a filter that this Envoy lacks.
func (v *verification) withheld(patch map[string]any) bool {
	return !v.envoy.golang && mentions(patch["patch"], "envoy.extensions.filters.http.golang.")
}

// mentions reports whether a type whose name begins so is named anywhere in v.
func mentions(v any, prefix string) bool {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if s, ok := e.(string); ok && (k == "@type" || k == "type_url" || k == "typeUrl") &&
				strings.Contains(s, "/"+prefix) {
				return true
			}
			if mentions(e, prefix) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return mentions(e, prefix) })
	}
	return false
}

// apply gives the objects to the cluster, with marks.
func (v *verification) apply(c *Cluster, admitted []Object) error {
	all := Loopback(v.RootNamespace)
	for _, o := range admitted {
		if o.is("networking.istio.io", "EnvoyFilter") {
			o = mark(o, v.withheld)
			if v.Module != "" {
				hereModule(map[string]any(o), v.Module)
			}
			made, err := v.mounts.redirect(map[string]any(o))
			if err != nil {
				return err
			}
			v.report.addPlaceholders(made)
		}
		all = append(all, o)
	}
	all = append(all, gatewayServices(admitted)...)
	for _, r := range secretRefs(admitted, Proxies(admitted, v.RootNamespace)) {
		all = append(all, v.agent.Secret(r.namespace, r.name))
	}
	return c.Apply(all...)
}

// try is the part for one proxy: what the discovery server sends to it, and what Envoy says to that.
func (v *verification) try(ctx context.Context, proxy Proxy) error {
	marked := proxy
	marked.Metadata = maps.Clone(proxy.Metadata)
	marked.Metadata[markKey] = markValue
	s, err := Capture(ctx, v.pilot.Address(), marked)
	if err != nil {
		return err
	}
	r := &ProxyReport{Proxy: proxy}
	v.report.Proxies = append(v.report.Proxies, r)
	for _, name := range s.MissingExtensions {
		r.Refusals = append(r.Refusals, Refusal{"extension configuration", name, "a filter asks for it, and no EnvoyFilter " +
			"that reaches the proxy adds one of that name: requests are answered with status 500"})
	}
	for _, name := range s.MissingRoutes {
		r.Refusals = append(r.Refusals, Refusal{"routes", name, "a listener asks for them, and Istio has none of that name"})
	}
	marks := s.marks()
	for _, p := range v.report.patches() {
		for _, place := range marks[p.mark] {
			r.patches = append(r.patches, placed{p, place})
			p.Places = append(p.Places, Place{proxy, place})
		}
		if _, ok := s.Extensions[p.name]; ok && p.ApplyTo == "EXTENSION_CONFIG" {
			place := "extension configuration " + p.name
			r.patches = append(r.patches, placed{p, place})
			p.Places = append(p.Places, Place{proxy, place})
		}
	}
	if len(r.Refusals) > 0 {
		return nil // Envoy would wait for what never comes
	}
	return v.envoy.try(ctx, v, r)
}
