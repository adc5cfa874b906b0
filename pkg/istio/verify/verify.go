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

// Options say what to verify, and with what. Only Objects is required.
type Options struct {
	Mounts  []Mount   // Secrets that the proxies mount; Envoy finds their files in temporary folders
	Objects []Object  // of Istio's kinds, the Gateway API's, and others that discovery reads, such as Services
	Pilot   string    // path of Istio's discovery server; "" means what FindPilot("") returns
	Envoy   string    // path of Envoy; "" means the one in the checkout, or in PATH
	Module  string    // path of libmoe.so for Envoy; without it, Envoy refuses patches that need it
	Log     io.Writer // gets the logs of all processes; nil discards them

	RootNamespace string // of Istio; "" is istio-system
}

// NeedsModule reports whether an EnvoyFilter among the objects makes the proxy load a dynamic module.
func NeedsModule(objects []Object) bool {
	return slices.ContainsFunc(objects, func(o Object) bool {
		return o.is("networking.istio.io", "EnvoyFilter") && mentions(map[string]any(o), moduleTypes)
	})
}

// moduleTypes is the prefix of the names of the dynamic module filter's types.
const moduleTypes = "envoy.extensions.filters.http.dynamic_modules."

// hereModule makes a patch load the module at path wherever it names a file in the proxy.
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

// Verify runs Istio's discovery server on the objects, and an Envoy for each of [Proxies], and reports the result for
// every object. Problems of objects are in the report; the error says what kept Verify from trying them.
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
		// A refused object never gets into a cluster.
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

// sort adds each object to the report, and returns those that discovery reads, without repetitions.
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
					r.Conflict = "differs from what the policies generate; generate it again, or remove it from the input"
				}
			}
			continue
		}
		seen[o.key()] = o
		known = append(known, o)
	}
	return known
}

// admit submits all objects to Istio's admission and returns the admitted ones.
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

// sameSpec reports whether two objects have equal specs and data.
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

// generated reports whether `moe istio generate` made the object.
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
		patch.Withheld = fmt.Sprintf("%s lacks envoy.filters.http.golang, which the patch needs", v.envoy.version)
	}
	return patch
}

// withheld reports whether the patch needs a filter that this Envoy lacks.
func (v *verification) withheld(patch map[string]any) bool {
	return !v.envoy.golang && mentions(patch["patch"], "envoy.extensions.filters.http.golang.")
}

// mentions reports whether v names, at any depth, a type with that prefix.
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

// apply adds the objects to the cluster, with marks, along with the EnvoyFilters of [Loopback] and missing Services and
// Secrets.
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

// try reports on one proxy: what the discovery server sends to it, and whether Envoy accepts that.
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
		r.Refusals = append(r.Refusals, Refusal{"extension configuration", name, "a filter refers to it, but no EnvoyFilter " +
			"for this proxy adds it: requests are answered with status 500"})
	}
	for _, name := range s.MissingRoutes {
		r.Refusals = append(r.Refusals, Refusal{"routes", name, "a listener refers to them, but Istio does not send them"})
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
		return nil // Envoy would wait for ever for what is missing
	}
	return v.envoy.try(ctx, v, r)
}
