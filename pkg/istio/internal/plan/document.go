package plan

import (
	"cmp"
	"fmt"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/internal/bootstrap"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/internal/proxyset"
)

// Contribution is what a policy says about a set of requests.
type Contribution struct {
	Policy  *policy.Policy
	Path    string             // where: "spec", or an entry of virtualHosts or routes
	doc     *document.Document // nil: nothing but settings
	natives []bootstrap.RouteEnvoyFilter
	Proxies proxyset.Set
	level   level // how specific the requests are
	rank    level // how specific the policy's target is
	host    bool  // a route of one host only
}

// hasDocument reports whether c says something about the chain, and not about settings and filters of Envoy's own alone.
func (c *Contribution) hasDocument() bool { return c.doc != nil && len(c.doc.Data()) > 0 }

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
func compareContributions(a, b *Contribution) int {
	flag := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.level, b.level), cmp.Compare(a.rank, b.rank), cmp.Compare(flag(a.host), flag(b.host)),
		policy.Compare(b.Policy, a.Policy), cmp.Compare(a.Path, b.Path))
}

// Origin is where something in a merged document comes from.
type Origin struct {
	From *Contribution
	Path string // in the policy
}

// Document is the document of a chain, merged from contributions. It knows where each part comes from.
type Document struct {
	document.Document
	origins map[string][]Origin // by path: of plugins, consumers and their plugins, and other fields; the last one wins
}

// Merge merges contributions in the order of compareContributions. A complete result drops the nulls that remove
// what less specific contributions have; that of a route keeps them, because it is merged over the filter's.
func Merge(all []*Contribution, complete bool, p *manifest.Problems) *Document {
	d := &Document{origins: map[string][]Origin{}}
	for _, c := range all {
		if c.doc == nil {
			continue
		}
		m := document.Merger{
			KeepNulls: !complete,
			Track: func(at, from string) {
				d.origins[at] = append(d.origins[at], Origin{c, c.Path + "." + policy.FieldOf(from)})
			},
			Owner: func(at string) string {
				o := d.origins[at][len(d.origins[at])-1]
				return fmt.Sprintf("FilterPolicy %s (%s:%d)", o.From.Policy, o.From.Policy.File, o.From.Policy.LineOf(o.Path))
			},
		}
		merged, err := m.Merge(&d.Document, c.doc)
		p.AddConfig(c.Policy.Object, c.Path, err)
		d.Document = *merged
	}
	return d
}

// Origins returns where the part of the document at a path comes from; the last origin overrules the others.
func (d *Document) Origins(path string) []Origin { return d.origins[path] }

func pluginPath(i int) string { return config.Index("plugins", i) }

// Find returns who has said last what the document has at a path, and the path in that policy.
func (d *Document) Find(path string) (Origin, string) {
	for at := path; at != ""; at = manifest.Parent(at) {
		if o := d.origins[at]; o != nil {
			return findIn(o, path[len(at):])
		}
	}
	return Origin{}, ""
}

// findIn returns the last of the origins that has a field at rest, or most of its parents.
func findIn(origins []Origin, rest string) (Origin, string) {
	for at := rest; ; at = manifest.Parent(at) {
		for i := len(origins) - 1; i >= 0; i-- {
			o := origins[i]
			if at == "" || o.From.Policy.At(o.Path+at) != nil {
				return o, o.Path + rest
			}
		}
	}
}

// overruling returns the contribution that overrules all others, for errors that are about the whole document.
func (d *Document) overruling() *Contribution {
	var last *Contribution
	for i := range d.Plugins {
		from := d.origins[config.Index("plugins", i)]
		if o := from[len(from)-1]; last == nil || compareContributions(o.From, last) > 0 {
			last = o.From
		}
	}
	return last
}
