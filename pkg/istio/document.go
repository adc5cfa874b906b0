package istio

import (
	"cmp"
	"fmt"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/internal/proxyset"
)

// contribution is what a policy says about a set of requests.
type contribution struct {
	policy *policy.Policy
	path   string             // where: "spec", or an entry of virtualHosts or routes
	doc    *document.Document // nil: nothing but settings
	scope  proxyset.Set
	level  level // how specific the requests are
	rank   level // how specific the policy's target is
	host   bool  // a route of one host only
}

// level orders what policies are attached to; the more specific is the greater one.
type level int

const (
	ofRoot level = iota
	ofNamespace
	ofWorkload
	ofGateway // or a Service
	ofListener
	ofHost // a VirtualService or HTTPRoute, too
	ofRoute
)

// compareContributions orders by who is overruled: less specific first, of the same kind the younger one.
func compareContributions(a, b *contribution) int {
	flag := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.level, b.level), cmp.Compare(a.rank, b.rank), cmp.Compare(flag(a.host), flag(b.host)),
		policy.Compare(b.policy, a.policy), cmp.Compare(a.path, b.path))
}

// origin is where something in a merged document comes from.
type origin struct {
	from *contribution
	path string // in the policy
}

// chainDocument is the document of a chain, merged from contributions. It knows where each part comes from.
type chainDocument struct {
	document.Document
	origins map[string][]origin // by path: of plugins, consumers and their plugins, and other fields; the last one wins
}

// mergeDocuments merges contributions in the order of compareContributions. A complete result drops the nulls that remove
// what less specific contributions have; that of a route keeps them, because it is merged over the filter's.
func mergeDocuments(all []*contribution, complete bool, p *manifest.Problems) *chainDocument {
	d := &chainDocument{origins: map[string][]origin{}}
	for _, c := range all {
		if c.doc == nil {
			continue
		}
		m := document.Merger{
			KeepNulls: !complete,
			Track: func(at, from string) {
				d.origins[at] = append(d.origins[at], origin{c, c.path + "." + policy.FieldOf(from)})
			},
			Owner: func(at string) string {
				o := d.origins[at][len(d.origins[at])-1]
				return fmt.Sprintf("FilterPolicy %s (%s:%d)", o.from.policy, o.from.policy.File, o.from.policy.LineOf(o.path))
			},
		}
		merged, err := m.Merge(&d.Document, c.doc)
		p.AddConfig(c.policy.Object, c.path, err)
		d.Document = *merged
	}
	return d
}

// find returns who has said last what the document has at a path, and the path in that policy.
func (d *chainDocument) find(path string) (origin, string) {
	for at := path; at != ""; at = manifest.Parent(at) {
		if o := d.origins[at]; o != nil {
			return findIn(o, path[len(at):])
		}
	}
	return origin{}, ""
}

// findIn returns the last of the origins that has a field at rest, or most of its parents.
func findIn(origins []origin, rest string) (origin, string) {
	for at := rest; ; at = manifest.Parent(at) {
		for i := len(origins) - 1; i >= 0; i-- {
			o := origins[i]
			if at == "" || o.from.policy.At(o.path+at) != nil {
				return o, o.path + rest
			}
		}
	}
}

// last returns the contribution that overrules all others, for errors that are about the whole document.
func (d *chainDocument) last() *contribution {
	var last *contribution
	for i := range d.Plugins {
		from := d.origins[config.Index("plugins", i)]
		if o := from[len(from)-1]; last == nil || compareContributions(o.from, last) > 0 {
			last = o.from
		}
	}
	return last
}
