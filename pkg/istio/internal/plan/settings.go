package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/internal/proxyset"
	"mosn.io/moe/pkg/istio/internal/standin"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// Settings are what all policies that meet in a proxy must agree on.
type Settings struct {
	Hosts  []v1alpha1.Host
	Insert v1alpha1.Insert
	Inline bool
	// Natives are filters of Envoy's own, as policies for all requests of the proxies list them.
	Natives []Native

	HostsFrom, InsertFrom, DeliveryFrom *policy.Policy // who says so; nil: the default
}

func (s Settings) same(o Settings) bool {
	return s.Inline == o.Inline && s.Insert == o.Insert && reflect.DeepEqual(s.Hosts, o.Hosts) &&
		slices.EqualFunc(s.Natives, o.Natives, func(a, b Native) bool { return reflect.DeepEqual(a.EnvoyFilter, b.EnvoyFilter) })
}

// External reports whether a server of its own runs the chain.
func (s Settings) External() bool {
	return slices.ContainsFunc(s.Hosts, func(h v1alpha1.Host) bool { return h.ExtProc != nil })
}

var defaultHosts = []v1alpha1.Host{{DynamicModules: &v1alpha1.DynamicModules{Name: "moe"}}}

// settle takes the settings of all policies together; two that contradict each other are an error of both.
func (g *planner) settle(sc proxyset.Set, all []*Contribution) Settings {
	s := Settings{Hosts: defaultHosts}
	for _, c := range all {
		pol := c.Policy
		if h := pol.Spec.Hosts; h != nil {
			if s.HostsFrom != nil && !reflect.DeepEqual(h, s.Hosts) {
				g.contradict(pol, s.HostsFrom, "spec.hosts")
			} else {
				s.Hosts, s.HostsFrom = h, pol
			}
		}
		if in := pol.Spec.Insert; in != nil {
			norm := *in
			if norm.Position == "beforeRouter" || norm.Before == policy.RouterFilter {
				norm = v1alpha1.Insert{}
			}
			if s.InsertFrom != nil && norm != s.Insert {
				g.contradict(pol, s.InsertFrom, "spec.insert")
			} else {
				s.Insert, s.InsertFrom = norm, pol
			}
		}
		if d := pol.Spec.Delivery; d != "" {
			if s.DeliveryFrom != nil && (d == "inline") != s.Inline {
				g.contradict(pol, s.DeliveryFrom, "spec.delivery")
			} else {
				s.Inline, s.DeliveryFrom = d == "inline", pol
			}
		}
	}
	return s
}

func (g *planner) contradict(a, b *policy.Policy, path string) {
	if policy.Compare(a, b) < 0 {
		a, b = b, a
	}
	g.p.At(a.Object, path, "contradicts that of FilterPolicy %s (%s:%d), which is for some of the same proxies; "+
		"give both the same, or leave it out of one", b, b.File, b.LineOf(path))
}

// check validates a document, once for each content, and maps the errors to policies. It returns the document with
// stand-ins for the secrets that only the proxy can read.
func (g *planner) check(hosts []v1alpha1.Host, d *Document, raw map[string]any, key string,
	validate func(raw map[string]any, caps filter.Capability) error,
) map[string]any {
	caps := policy.Capabilities(hosts)
	key += fmt.Sprint(caps)
	if seen, ok := g.validated[key]; ok {
		return seen
	}
	complete, es := standin.Validate(raw, func(doc map[string]any) error { return validate(doc, caps) })
	g.validated[key] = complete
	for _, e := range es {
		g.report(d, e)
	}
	return complete
}

// report reports an error about a document to the policy that has said what is wrong.
func (g *planner) report(d *Document, e config.Error) {
	if at, path := d.Find(e.Path); at.From != nil {
		e.Msg = cmp.Or(disablesNothing(d, e.Path), e.Msg)
		e.Path = ""
		g.p.AddConfig(at.From.Policy.Object, path, config.Errors{e})
	} else if c := d.overruling(); c != nil {
		g.p.At(c.Policy.Object, c.Path, "%v", e)
	}
}

// disablesNothing explains that an entry without a name disables an id which no policy gives to a plugin; "" if path is
// not the name of such an entry.
func disablesNothing(d *Document, path string) string {
	for i := range d.Plugins {
		if e := &d.Plugins[i]; path == pluginPath(i)+".name" && e.Name == "" && e.Off() {
			return fmt.Sprintf("disables nothing: no policy for these requests has a plugin with id %q", e.ID)
		}
	}
	return ""
}

// checkFailOpen refuses plugins that guard something where requests would bypass them whenever the server is away.
func (g *planner) checkFailOpen(s Settings, d *Document) {
	for _, h := range s.Hosts {
		if h.ExtProc == nil || !h.ExtProc.FailOpen {
			continue
		}
		for i := range d.Plugins {
			e := &d.Plugins[i]
			reg := filter.Lookup(e.Name)
			if reg == nil || reg.Stage > filter.Authz || e.Off() {
				continue
			}
			o, path := d.Find(config.Index("plugins", i))
			g.p.At(o.From.Policy.Object, path, "%s is of stage %v and would be passed by when the server cannot be "+
				"reached; set extProc.failOpen to false in FilterPolicy %s", e.Name, reg.Stage, s.HostsFrom)
		}
	}
}

// checkSecrets refuses secrets of SDS in a chain whose configuration Envoy discovers: Envoy silently fetches only the
// secrets of filters that a listener has from the beginning.
func (g *planner) checkSecrets(s Settings, d *Document) {
	if s.Inline || s.External() {
		return
	}
	for i, secret := range d.GenericSecrets {
		if secret.SDSConfig != nil {
			o, path := d.Find(config.Index(document.GenericSecretsField, i))
			g.p.At(o.From.Policy.Object, path, "Envoy fetches a secret of SDS for a filter in its "+
				"listener, and not for one whose configuration is discovered; set delivery: inline")
		}
	}
}

// digest tells contents apart.
func digest(kind string, docs ...map[string]any) string {
	h := sha256.New()
	h.Write([]byte(kind))
	e := json.NewEncoder(h)
	for _, d := range docs {
		_ = e.Encode(d) // generic data can be encoded
	}
	return hex.EncodeToString(h.Sum(nil))
}
