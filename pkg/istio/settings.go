package istio

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/proxyset"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// settings are what all policies that meet in a proxy must agree on.
type settings struct {
	hosts  []v1alpha1.Host
	insert v1alpha1.Insert
	inline bool

	hostsFrom, insertFrom, deliveryFrom *policy // who says so; nil: the default
}

func (s settings) same(o settings) bool {
	return s.inline == o.inline && s.insert == o.insert && reflect.DeepEqual(s.hosts, o.hosts)
}

// external tells whether a server of its own runs the chain.
func (s settings) external() bool {
	return slices.ContainsFunc(s.hosts, func(h v1alpha1.Host) bool { return h.ExtProc != nil })
}

var defaultHosts = []v1alpha1.Host{{DynamicModules: &v1alpha1.DynamicModules{Name: "moe"}}}

// settle takes the settings of all policies together; two that contradict each other are an error of both.
func (g *generator) settle(sc proxyset.Set, all []*contribution) settings {
	s := settings{hosts: defaultHosts}
	for _, c := range all {
		pol := c.policy
		if h := pol.spec.Hosts; h != nil {
			if s.hostsFrom != nil && !reflect.DeepEqual(h, s.hosts) {
				g.contradict(pol, s.hostsFrom, "spec.hosts")
			} else {
				s.hosts, s.hostsFrom = h, pol
			}
		}
		if in := pol.spec.Insert; in != nil {
			norm := *in
			if norm.Position == "beforeRouter" || norm.Before == routerFilter {
				norm = v1alpha1.Insert{}
			}
			if s.insertFrom != nil && norm != s.insert {
				g.contradict(pol, s.insertFrom, "spec.insert")
			} else {
				s.insert, s.insertFrom = norm, pol
			}
		}
		if d := pol.spec.Delivery; d != "" {
			if s.deliveryFrom != nil && (d == "inline") != s.inline {
				g.contradict(pol, s.deliveryFrom, "spec.delivery")
			} else {
				s.inline, s.deliveryFrom = d == "inline", pol
			}
		}
	}
	return s
}

func (g *generator) contradict(a, b *policy, path string) {
	if older(a, b) < 0 {
		a, b = b, a
	}
	g.p.At(a.Object, path, "contradicts that of FilterPolicy %s (%s:%d), which is for some of the same proxies; "+
		"give both the same, or leave it out of one", b, b.File, b.LineOf(path))
}

// check has package assembly look at a document, once for each content, and maps its errors to policies. It returns the
// document with stand-ins for the secrets that only the proxy can read.
func (g *generator) check(hosts []v1alpha1.Host, d *document, raw map[string]any, key string,
	validate func(raw map[string]any, caps filter.Capability) error,
) map[string]any {
	caps := ^filter.Capability(0)
	for i := range hosts {
		caps &= capabilities(&hosts[i])
	}
	key += fmt.Sprint(caps)
	if seen, ok := g.validated[key]; ok {
		return seen
	}
	es, _ := validate(raw, caps).(config.Errors)
	standing, absent := standIns(raw, es)
	if len(absent) > 0 {
		es, _ = validate(standing, caps).(config.Errors)
	}
	g.validated[key] = standing
	for _, e := range es {
		if absent[e.Path] {
			continue
		}
		msg := e.Msg
		if e.Plugin != "" {
			msg += " (" + e.Plugin + ")"
		}
		at, path := d.find(e.Path)
		if at.from != nil {
			g.p.At(at.from.policy.Object, path, "%s", msg)
			continue
		}
		for _, o := range d.origins() {
			g.p.At(o.policy.Object, o.path, "%s: %s", e.Path, msg)
		}
	}
	return standing
}

// standIn is long enough for a key, and can be read as text, hexadecimal or Base64.
const standIn = "00000000000000000000000000000000"

// standIns replaces the secrets of files and variables, {file: …} and {env: …}, that errors are about: what is in them is
// known in the proxy, and need not be here.
func standIns(raw map[string]any, es config.Errors) (standing map[string]any, absent map[string]bool) {
	standing, absent = raw, map[string]bool{}
	for _, e := range es {
		from, _ := manifest.At(raw, e.Path).(map[string]any)
		if len(from) != 1 || manifest.String(from["file"]) == "" && manifest.String(from["env"]) == "" || strings.HasPrefix(e.Msg, "expected") {
			continue // another mistake
		}
		if len(absent) == 0 {
			standing, _ = config.Clone(raw).(map[string]any)
		}
		absent[e.Path] = true
		way := manifest.Parent(e.Path)
		key, index, _ := manifest.CutPath(e.Path[len(way):])
		switch c := manifest.At(standing, way).(type) {
		case map[string]any:
			c[key] = standIn
		case []any:
			c[index] = standIn
		}
	}
	return standing, absent
}

// origins returns the last contribution to a document, for errors that are about the whole.
func (d *document) origins() []*contribution {
	var last *contribution
	for _, e := range d.entries {
		if o := e.origins[len(e.origins)-1]; last == nil || compareContributions(o.from, last) > 0 {
			last = o.from
		}
	}
	if last == nil {
		return nil
	}
	return []*contribution{last}
}

// checkFailOpen refuses a plugin that guards something, where it would not be asked when the server is away.
func (g *generator) checkFailOpen(s settings, d *document) {
	for _, h := range s.hosts {
		if h.ExtProc == nil || !h.ExtProc.FailOpen {
			continue
		}
		for _, e := range d.entries {
			reg := filter.Lookup(e.name)
			if reg == nil || reg.Stage > filter.Authz || e.disabled != nil && *e.disabled {
				continue
			}
			o := e.origins[len(e.origins)-1]
			g.p.At(o.from.policy.Object, o.path, "%s is of stage %v and would be passed by when the server cannot be "+
				"reached; set extProc.failOpen to false in FilterPolicy %s", e.name, reg.Stage, s.hostsFrom)
		}
	}
}

// checkSecrets refuses secrets of SDS in a chain whose configuration Envoy discovers: it only begins to fetch those of
// filters that were there when the listener was made, and says nothing.
func (g *generator) checkSecrets(s settings, d *document) {
	listed, ok := d.others[genericSecrets]
	if !ok || s.inline || s.external() {
		return
	}
	for i, e := range manifest.List(listed.value) {
		if manifest.Dig(e, "sds_config") != nil {
			g.p.At(listed.from.policy.Object, config.Index(listed.path, i), "Envoy fetches a secret of SDS for a filter in its "+
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
