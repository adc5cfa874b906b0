package istio

import (
	"cmp"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/mesh"
	"mosn.io/moe/pkg/istio/internal/proxyset"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// policy is a FilterPolicy that has been read.
type policy struct {
	*manifest.Object
	ns, name string
	created  time.Time // zero: not known
	spec     *v1alpha1.FilterPolicySpec
	traffic  []proxyset.Traffic
	doc      map[string]any // the chain's document, for all requests of the policy
}

func (p *policy) String() string { return p.ns + "/" + p.name }

// older orders policies of one rank: the older first, then by namespace and name. One without a time is the youngest.
func older(a, b *policy) int {
	switch {
	case a.created.IsZero() != b.created.IsZero():
		if a.created.IsZero() {
			return 1
		}
		return -1
	case !a.created.Equal(b.created):
		return a.created.Compare(b.created)
	}
	return cmp.Or(cmp.Compare(a.ns, b.ns), cmp.Compare(a.name, b.name))
}

// metadataFields are those of Metadata; Kubernetes adds more to what it gives out.
var metadataFields = []string{"name", "namespace", "creationTimestamp", "labels", "annotations"}

// readPolicy decodes a FilterPolicy; nil if it cannot be used.
func readPolicy(o *manifest.Object, namespace string, p *manifest.Problems) *policy {
	raw := maps.Clone(o.Data)
	delete(raw, "status")
	if m, ok := raw["metadata"].(map[string]any); ok {
		m = maps.Clone(m)
		maps.DeleteFunc(m, func(k string, _ any) bool { return !slices.Contains(metadataFields, k) })
		raw["metadata"] = m
	}
	var fp v1alpha1.FilterPolicy
	before := p.Len()
	p.AddConfig(o, "", config.Decode(raw, &fp))
	if p.Len() > before {
		return nil
	}
	pol := &policy{
		Object: o, name: fp.Metadata.Name, ns: cmp.Or(fp.Metadata.Namespace, namespace),
		created: fp.Metadata.CreationTimestamp, spec: &fp.Spec,
	}
	if !validName(pol.name) {
		p.At(o, "metadata.name", "expected up to 253 lower-case letters, digits, - and .")
	}
	pol.check(p)
	pol.doc = pol.document("spec", p)
	for i := range fp.Spec.VirtualHosts {
		pol.document(config.Index("spec.virtualHosts", i), p)
	}
	for i := range fp.Spec.Routes {
		pol.document(config.Index("spec.routes", i), p)
	}
	if p.Len() > before {
		return nil
	}
	return pol
}

var dnsName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

func validName(s string) bool { return len(s) <= 253 && dnsName.MatchString(s) }

// check looks at what the decoder cannot know.
func (pol *policy) check(p *manifest.Problems) {
	s := pol.spec
	if s.Selector != nil && s.TargetRefs != nil {
		p.At(pol.Object, "spec.targetRefs", "a policy has a selector or targetRefs, not both")
	}
	for _, t := range s.Traffic {
		pol.traffic = append(pol.traffic, proxyset.Traffic(t))
	}
	seen := map[v1alpha1.TargetRef]bool{}
	for i, ref := range s.TargetRefs {
		at := config.Index("spec.targetRefs", i)
		if seen[ref] {
			p.At(pol.Object, at, "is there twice")
		}
		seen[ref] = true
		if want := groups[ref.Kind]; !slices.Contains(want, ref.Group) && (ref.Group != "" || ref.Kind == "Gateway") {
			p.At(pol.Object, at+".group", "expected %s for a %s", strings.Join(want, " or "), ref.Kind)
		}
	}
	if s.TargetRefs != nil && len(s.TargetRefs) == 0 {
		p.At(pol.Object, "spec.targetRefs", "the list is empty; name a target, or leave it out for the whole namespace")
	}
	pol.checkHosts(p)
	if in := s.Insert; in != nil {
		given := 0
		for _, v := range []string{in.Position, in.Before, in.After} {
			if v != "" {
				given++
			}
		}
		if given > 1 {
			p.At(pol.Object, "spec.insert", "give one of position, before and after")
		}
		if in.After == routerFilter {
			p.At(pol.Object, "spec.insert.after", "nothing runs behind the router")
		}
		for field, name := range map[string]string{"before": in.Before, "after": in.After} {
			if name == filterName || strings.HasPrefix(name, filterName+".") {
				p.At(pol.Object, "spec.insert."+field, "%s is the chain itself", name)
			}
		}
	}
	for i, m := range s.SecretMounts {
		if m.MountPath != "" && !path.IsAbs(m.MountPath) {
			p.At(pol.Object, config.Index("spec.secretMounts", i)+".mountPath", "expected an absolute path")
		}
	}
}

var groups = map[string][]string{
	"Gateway":        {mesh.GatewayAPI, mesh.IstioAPI},
	"HTTPRoute":      {mesh.GatewayAPI},
	"VirtualService": {mesh.IstioAPI},
	"Service":        {""},
}

func (pol *policy) checkHosts(p *manifest.Problems) {
	for i, h := range pol.spec.Hosts {
		at := config.Index("spec.hosts", i)
		given := 0
		for _, there := range []bool{h.DynamicModules != nil, h.Golang != nil, h.ExtProc != nil} {
			if there {
				given++
			}
		}
		if given != 1 {
			p.At(pol.Object, at, "give exactly one of dynamicModules, golang and extProc")
		}
		if _, err := regexp.Compile(h.ProxyVersion); err != nil {
			p.At(pol.Object, at+".proxyVersion", "%v", err)
		}
		if len(pol.spec.Hosts) > 1 && h.ProxyVersion == "" {
			p.At(pol.Object, at+".proxyVersion", "is required where there is more than one host")
		}
		if h.ExtProc != nil {
			if _, err := extProcServer(h.ExtProc).Cluster("x"); err != nil {
				p.At(pol.Object, at+".extProc.address", "%v", err)
			}
			if t := h.ExtProc.TLS; t != nil && (t.CertFile == "") != (t.KeyFile == "") {
				p.At(pol.Object, at+".extProc.tls", "certFile and keyFile belong together")
			}
		}
		if d := h.DynamicModules; d != nil && d.LibraryPath != "" && !path.IsAbs(d.LibraryPath) {
			p.At(pol.Object, at+".dynamicModules.libraryPath", "expected an absolute path")
		}
	}
}

// documentFields are those of the document that package assembly reads.
var documentFields = append([]string{"plugins", "consumers", "order", "timeout"}, otherFields...)

// otherFields are taken over as they are, from the most specific policy that has them.
var otherFields = []string{"authentication", "consumerHeader", "consumerSource", genericSecrets}

// genericSecrets is the document's list of Envoy's secrets.
const genericSecrets = "generic_secrets"

// policyField is how a policy calls a field of the document.
func policyField(f string) string {
	if f == genericSecrets {
		return "genericSecrets" // as Kubernetes writes names
	}
	return f
}

// document returns what the policy says at path as a document, with references to Secrets made files; nil if it says
// nothing.
func (pol *policy) document(path string, p *manifest.Problems) map[string]any {
	from, _ := pol.At(path).(map[string]any)
	doc := map[string]any{}
	for _, f := range documentFields {
		if v := from[policyField(f)]; v != nil {
			doc[f] = pol.secrets(path+"."+policyField(f), config.Clone(v), p)
		}
	}
	if len(doc) == 0 {
		return nil
	}
	return doc
}

// secrets replaces every {secretKeyRef: {name, key}} in v by {file: PATH}.
func (pol *policy) secrets(at string, v any, p *manifest.Problems) any {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			v[i] = pol.secrets(config.Index(at, i), e, p)
		}
	case map[string]any:
		if ref, ok := v["secretKeyRef"]; ok && len(v) == 1 {
			return pol.secretFile(at+".secretKeyRef", ref, p)
		}
		for k, e := range v {
			v[k] = pol.secrets(config.Key(at, k), e, p)
		}
	}
	return v
}

func (pol *policy) secretFile(at string, raw any, p *manifest.Problems) any {
	var ref struct {
		Name string `json:"name" validate:"required"`
		Key  string `json:"key" validate:"required"`
	}
	if err := config.Decode(raw, &ref); err != nil {
		p.AddConfig(pol.Object, at, err)
		return nil
	}
	if strings.ContainsAny(ref.Key, "/") || ref.Key == ".." {
		p.At(pol.Object, at+".key", "expected a key of a Secret: letters, digits, -, _ and .")
		return nil
	}
	for _, m := range pol.spec.SecretMounts {
		if m.Name == ref.Name {
			return map[string]any{"file": path.Join(mountPath(m), ref.Key)}
		}
	}
	p.At(pol.Object, at+".name", "spec.secretMounts has no Secret of this name")
	return nil
}

func mountPath(m v1alpha1.SecretMount) string { return cmp.Or(m.MountPath, "/etc/moe/secrets/"+m.Name) }
