// Package policy reads FilterPolicies and checks whatever can be checked without the objects that they refer to.
package policy

import (
	"cmp"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/mesh"
	"mosn.io/moe/pkg/istio/internal/proxyset"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// Names of HTTP filters.
const (
	ChainFilter  = "moe" // the names of all chains begin with it
	RouterFilter = "envoy.filters.http.router"
)

// Policy is a FilterPolicy that has been read.
type Policy struct {
	*manifest.Object
	Namespace, Name string
	Created         time.Time // zero if it is not known
	Spec            *v1alpha1.FilterPolicySpec
	Traffic         []proxyset.Traffic
	Doc             *document.Document // what it says for all of its requests; nil if nothing
}

// String returns "NAMESPACE/NAME".
func (pol *Policy) String() string { return pol.Namespace + "/" + pol.Name }

// Compare orders policies of one rank: the older first, then by namespace and name. One without a time is the youngest.
func Compare(a, b *Policy) int {
	switch {
	case a.Created.IsZero() != b.Created.IsZero():
		if a.Created.IsZero() {
			return 1
		}
		return -1
	case !a.Created.Equal(b.Created):
		return a.Created.Compare(b.Created)
	}
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// ReadAll reads the FilterPolicies of the input, in the order of [Compare]; namespace is that of policies that name none.
func ReadAll(in *manifest.Input, namespace string, p *manifest.Problems) (all []*Policy) {
	for _, o := range in.Objects() {
		if o.Kind() != v1alpha1.Kind {
			continue
		}
		if o.APIVersion() != v1alpha1.APIVersion {
			p.At(o, "apiVersion", "expected %s for a %s", v1alpha1.APIVersion, v1alpha1.Kind)
			continue
		}
		if pol := Read(o, namespace, p); pol != nil {
			all = append(all, pol)
		}
	}
	slices.SortFunc(all, Compare)
	return all
}

// metadataFields are those of v1alpha1.Metadata; Kubernetes adds others to what it prints.
var metadataFields = []string{"name", "namespace", "creationTimestamp", "labels", "annotations"}

// Read decodes a FilterPolicy. It returns nil if it has reported a problem.
func Read(o *manifest.Object, namespace string, p *manifest.Problems) *Policy {
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
	pol := &Policy{
		Object: o, Name: fp.Metadata.Name, Namespace: cmp.Or(fp.Metadata.Namespace, namespace),
		Created: fp.Metadata.CreationTimestamp, Spec: &fp.Spec,
	}
	for _, t := range fp.Spec.Traffic {
		pol.Traffic = append(pol.Traffic, proxyset.Traffic(t))
	}
	pol.check(p)
	pol.Doc = pol.Document("spec", p)
	for i := range fp.Spec.VirtualHosts {
		pol.Document(config.Index("spec.virtualHosts", i), p)
	}
	for i := range fp.Spec.Routes {
		pol.Document(config.Index("spec.routes", i), p)
	}
	if p.Len() > before {
		return nil
	}
	return pol
}

// Document returns what the policy says at a path, with references to Secrets made paths of files; nil if it says
// nothing.
func (pol *Policy) Document(at string, p *manifest.Problems) *document.Document {
	from, _ := pol.At(at).(map[string]any)
	raw := map[string]any{}
	for _, f := range document.Fields() {
		if v := from[FieldOf(f)]; v != nil {
			raw[f] = pol.resolveSecrets(config.Key(at, FieldOf(f)), config.Clone(v), p)
		}
	}
	if len(raw) == 0 {
		return nil
	}
	d := &document.Document{}
	p.AddConfig(pol.Object, at, document.Decode(raw, d))
	return d
}

// FieldOf returns the path in a policy of what a document has at a path.
func FieldOf(path string) string {
	if rest, ok := strings.CutPrefix(path, document.GenericSecretsField); ok {
		return "genericSecrets" + rest // as Kubernetes writes names
	}
	return path
}

// resolveSecrets replaces every {secretKeyRef: {name, key}} in v by {file: PATH}.
func (pol *Policy) resolveSecrets(at string, v any, p *manifest.Problems) any {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			v[i] = pol.resolveSecrets(config.Index(at, i), e, p)
		}
	case map[string]any:
		if ref, ok := v["secretKeyRef"]; ok && len(v) == 1 {
			return pol.secretFile(at+".secretKeyRef", ref, p)
		}
		for k, e := range v {
			v[k] = pol.resolveSecrets(config.Key(at, k), e, p)
		}
	}
	return v
}

func (pol *Policy) secretFile(at string, raw any, p *manifest.Problems) any {
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
	for _, m := range pol.Spec.SecretMounts {
		if m.Name == ref.Name {
			return map[string]any{"file": path.Join(MountPath(m), ref.Key)}
		}
	}
	p.At(pol.Object, at+".name", "spec.secretMounts has no Secret of this name")
	return nil
}

// MountPath returns the folder of a Secret's keys in the proxy.
func MountPath(m v1alpha1.SecretMount) string { return cmp.Or(m.MountPath, "/etc/moe/secrets/"+m.Name) }

// SecretMounts returns the Secrets that the policies of the input mount, by name. Two policies that mount one Secret at
// different paths, or two Secrets at one path, are an error.
func SecretMounts(in *manifest.Input) ([]v1alpha1.SecretMount, error) {
	var p manifest.Problems
	var all []v1alpha1.SecretMount
	for _, o := range in.Objects() {
		if o.Kind() != v1alpha1.Kind {
			continue
		}
		pol := Read(o, "default", &p)
		if pol == nil {
			continue
		}
		for i, m := range pol.Spec.SecretMounts {
			m.MountPath = MountPath(m)
			at := config.Index("spec.secretMounts", i) + ".mountPath"
			switch j := slices.IndexFunc(all, func(o v1alpha1.SecretMount) bool {
				return o.Name == m.Name || o.MountPath == m.MountPath
			}); {
			case j < 0:
				all = append(all, m)
			case all[j] != m:
				p.At(o, at, "another policy mounts %s at %s", all[j].Name, all[j].MountPath)
			}
		}
	}
	slices.SortFunc(all, func(a, b v1alpha1.SecretMount) int { return strings.Compare(a.Name, b.Name) })
	return all, p.Err()
}

// Mounts returns the Secrets that the policies of the input mount, each path once, even if policies for different proxies
// contradict each other.
func Mounts(in *manifest.Input) (all []v1alpha1.SecretMount) {
	for _, pol := range ReadAll(in, "default", &manifest.Problems{}) {
		for _, m := range pol.Spec.SecretMounts {
			m.MountPath = MountPath(m)
			if !slices.ContainsFunc(all, func(o v1alpha1.SecretMount) bool { return o.MountPath == m.MountPath }) {
				all = append(all, m)
			}
		}
	}
	return all
}

var dnsName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

func validName(s string) bool { return len(s) <= 253 && dnsName.MatchString(s) }

// GroupsOf returns the API groups of a kind that policies target.
func GroupsOf(kind string) []string {
	switch kind {
	case "Gateway":
		return []string{mesh.GatewayAPI, mesh.IstioAPI}
	case "HTTPRoute":
		return []string{mesh.GatewayAPI}
	case "VirtualService", "ServiceEntry":
		return []string{mesh.IstioAPI}
	}
	return []string{""} // a Service
}
