package policy

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host"
	"mosn.io/moe/internal/bootstrap"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// check looks for mistakes that the types and tags of the fields do not exclude.
func (pol *Policy) check(p *manifest.Problems) {
	if !validName(pol.Name) {
		p.At(pol.Object, "metadata.name", "expected up to 253 lower-case letters, digits, - and .")
	}
	pol.checkTargets(p)
	for i, h := range pol.Spec.Hosts {
		pol.checkHost(config.Index("spec.hosts", i), h, p)
	}
	pol.checkInsert(p)
	p.AddConfig(pol.Object, "spec", bootstrap.CheckEnvoyFilters(pol.Natives()))
	for i, m := range pol.Spec.SecretMounts {
		if m.MountPath != "" && !path.IsAbs(m.MountPath) {
			p.At(pol.Object, config.Index("spec.secretMounts", i)+".mountPath", "expected an absolute path")
		}
	}
}

// Natives returns the filters of Envoy's own that the policy lists.
func (pol *Policy) Natives() []bootstrap.EnvoyFilter {
	all := make([]bootstrap.EnvoyFilter, len(pol.Spec.EnvoyFilters))
	for i, f := range pol.Spec.EnvoyFilters {
		all[i] = bootstrap.EnvoyFilter{
			Name: f.Name, ID: f.ID, Placement: bootstrap.Placement{Position: f.Position, Stage: f.Stage}, Config: f.Config,
		}
	}
	return all
}

// RouteNatives returns what the policy has, in an entry of routes, for filters of Envoy's own.
func RouteNatives(r *v1alpha1.Route) []bootstrap.RouteEnvoyFilter {
	all := make([]bootstrap.RouteEnvoyFilter, len(r.EnvoyFilters))
	for i, f := range r.EnvoyFilters {
		all[i] = bootstrap.RouteEnvoyFilter(f)
	}
	return all
}

func (pol *Policy) checkTargets(p *manifest.Problems) {
	refs := pol.Spec.TargetRefs
	if pol.Spec.Selector != nil && refs != nil {
		p.At(pol.Object, "spec.targetRefs", "a policy has a selector or targetRefs, not both")
	}
	if refs != nil && len(refs) == 0 {
		p.At(pol.Object, "spec.targetRefs", "the list is empty; name a target, or leave it out for the whole namespace")
	}
	seen := map[v1alpha1.TargetRef]bool{}
	for i, ref := range refs {
		at := config.Index("spec.targetRefs", i)
		if seen[ref] {
			p.At(pol.Object, at, "duplicate target")
		}
		seen[ref] = true
		if want := GroupsOf(ref.Kind); !slices.Contains(want, ref.Group) && (ref.Group != "" || ref.Kind == "Gateway") {
			p.At(pol.Object, at+".group", "expected %s for a %s", strings.Join(want, " or "), ref.Kind)
		}
	}
}

func (pol *Policy) checkInsert(p *manifest.Problems) {
	in := pol.Spec.Insert
	if in == nil {
		return
	}
	given := 0
	for _, v := range []string{in.Position, in.Before, in.After} {
		if v != "" {
			given++
		}
	}
	if given > 1 {
		p.At(pol.Object, "spec.insert", "give one of position, before and after")
	}
	if in.After == RouterFilter {
		p.At(pol.Object, "spec.insert.after", "nothing runs behind the router")
	}
	for field, name := range map[string]string{"before": in.Before, "after": in.After} {
		if name == ChainFilter || strings.HasPrefix(name, ChainFilter+".") || strings.HasPrefix(name, ChainFilter+"-") ||
			strings.HasPrefix(name, ChainFilter+"/") {
			p.At(pol.Object, "spec.insert."+field, "%s is the chain itself", name)
		}
	}
}

func (pol *Policy) checkHost(at string, h v1alpha1.Host, p *manifest.Problems) {
	given := 0
	for _, set := range []bool{h.DynamicModules != nil, h.Golang != nil, h.ExtProc != nil} {
		if set {
			given++
		}
	}
	if given != 1 {
		p.At(pol.Object, at, "give exactly one of dynamicModules, golang and extProc")
	}
	if _, err := regexp.Compile(h.ProxyVersion); err != nil {
		p.At(pol.Object, at+".proxyVersion", "%v", err)
	}
	if len(pol.Spec.Hosts) > 1 && h.ProxyVersion == "" {
		p.At(pol.Object, at+".proxyVersion", "is required where there is more than one host")
	}
	if h.ExtProc != nil {
		if _, err := (&bootstrap.ExtProc{Server: h.ExtProc.Address}).Cluster("x"); err != nil {
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

// Capabilities returns what all of the hosts give to plugins.
func Capabilities(hosts []v1alpha1.Host) filter.Capability {
	all := ^filter.Capability(0)
	for _, h := range hosts {
		switch {
		case h.ExtProc != nil:
			all &= host.ExtProc
		case h.Golang != nil:
			all &= host.Golang
		default:
			all &= host.Dynmod
		}
	}
	return all
}
