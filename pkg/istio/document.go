package istio

import (
	"cmp"
	"strconv"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/proxyset"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// contribution is what a policy says about a set of requests.
type contribution struct {
	policy *policy
	path   string         // where: "spec", or an entry of virtualHosts or routes
	doc    map[string]any // nil: nothing but settings
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
		older(b.policy, a.policy), cmp.Compare(a.path, b.path))
}

// origin is where something in a merged document comes from.
type origin struct {
	from *contribution
	path string // in the policy
}

// document is a chain's, merged of what policies contribute; for every part it knows where it is from.
type document struct {
	entries   []entry
	consumers []consumer
	byName    map[string]int // of consumers, the last of each name
	order     scalar
	timeout   scalar
	others    map[string]scalar // by otherFields
}

type entry struct {
	id, name string
	config   map[string]any
	disabled *bool
	origins  []origin // the last one has overruled the others
}

type consumer struct {
	name       string
	attributes map[string]any
	creds      map[string]any
	rest       map[string]any // what is merged by replacing
	entries    []entry
	origins    []origin
}

type scalar struct {
	value any
	origin
}

// mergeDocuments merges what is contributed, in the order of compareContributions, as package assembly merges a route's
// document over its filter's. It takes out a null only where the result is complete: in that of a route it takes away
// what the filter has.
func mergeDocuments(all []*contribution, complete bool, p *manifest.Problems) *document {
	d := &document{}
	for _, c := range all {
		d.entries = mergeEntries(d.entries, readEntries(c, c.path+".plugins", c.doc["plugins"]), complete, p)
		for _, next := range readConsumers(c, p) {
			d.mergeConsumer(next, complete, p)
		}
		if v := c.doc["order"]; v != nil {
			d.order = scalar{v, origin{c, c.path + ".order"}}
		}
		if v := c.doc["timeout"]; v != nil {
			d.timeout = scalar{v, origin{c, c.path + ".timeout"}}
		}
		for _, f := range otherFields {
			if v := c.doc[f]; v != nil {
				if d.others == nil {
					d.others = map[string]scalar{}
				}
				d.others[f] = scalar{v, origin{c, c.path + "." + policyField(f)}}
			}
		}
	}
	return d
}

// readEntries takes entries apart; their form has been checked, or is for package assembly to check.
func readEntries(c *contribution, path string, raw any) (entries []entry) {
	for i, r := range manifest.List(raw) {
		e := entry{name: manifest.String(manifest.Dig(r, "name")), origins: []origin{{c, config.Index(path, i)}}}
		e.id = cmp.Or(manifest.String(manifest.Dig(r, "id")), e.name)
		e.config, _ = manifest.Dig(r, "config").(map[string]any)
		if b, ok := manifest.Dig(r, "disabled").(bool); ok {
			e.disabled = &b
		}
		entries = append(entries, e)
	}
	return entries
}

func mergeEntries(parent, child []entry, complete bool, p *manifest.Problems) []entry {
	merged := append([]entry(nil), parent...)
	for _, c := range child {
		at := -1
		for i := range parent {
			if parent[i].id == c.id {
				at = i
			}
		}
		if at < 0 {
			merged = append(merged, c)
			continue
		}
		merged[at] = merged[at].over(c, complete, p)
	}
	return merged
}

// over returns e overruled by c.
func (e entry) over(c entry, complete bool, p *manifest.Problems) entry {
	m := e
	m.origins = append(append([]origin(nil), e.origins...), c.origins...)
	if e.name != "" && c.name != "" && e.name != c.name {
		at, other := c.origins[0], e.origins[len(e.origins)-1]
		p.At(at.from.policy.Object, at.path, "id %s is plugin %s here and plugin %s in FilterPolicy %s (%s:%d); give one "+
			"of them another id", strconv.Quote(c.id), c.name, e.name, other.from.policy,
			other.from.policy.File, other.from.policy.LineOf(other.path))
		return m
	}
	m.name = cmp.Or(e.name, c.name)
	if c.disabled != nil {
		m.disabled = c.disabled
	}
	if c.config == nil {
		return m
	}
	reg := filter.Lookup(m.name)
	if reg == nil {
		m.config = config.MergeData(e.config, c.config)
	} else {
		config, err := config.Merge(reg.Config, e.config, c.config)
		if err != nil {
			at := c.origins[0]
			p.AddConfig(at.from.policy.Object, at.path+".config", err)
			return m
		}
		m.config = config
	}
	if !complete {
		keepNulls(m.config, c.config)
	}
	return m
}

// keepNulls puts the nulls of child back, which a merge has taken out together with what they were to take away.
func keepNulls(merged, child map[string]any) {
	for k, v := range child {
		switch v := v.(type) {
		case nil:
			if merged != nil {
				merged[k] = nil
			}
		case map[string]any:
			if m, ok := merged[k].(map[string]any); ok {
				keepNulls(m, v)
			}
		}
	}
}

func readConsumers(c *contribution, p *manifest.Problems) (all []consumer) {
	raw := c.doc["consumers"]
	path := c.path + ".consumers"
	if _, ok := raw.([]any); raw != nil && !ok {
		p.At(c.policy.Object, path, "expected a list")
		return nil
	}
	for i, r := range manifest.List(raw) {
		at := config.Index(path, i)
		m, ok := r.(map[string]any)
		if !ok {
			p.At(c.policy.Object, at, "expected an object")
			continue
		}
		cons := consumer{origins: []origin{{c, at}}, rest: map[string]any{}}
		for k, v := range m {
			attributes, isMap := v.(map[string]any)
			switch {
			case k == "name":
				cons.name = manifest.String(v)
			case k == "attributes" && isMap:
				cons.attributes = attributes
			case k == "credentials" && isMap:
				cons.creds = attributes
			case k == "plugins":
				var form struct {
					Plugins []v1alpha1.Plugin `json:"plugins"`
				}
				if err := config.Decode(map[string]any{"plugins": v}, &form); err != nil {
					p.AddConfig(c.policy.Object, at, err)
					continue
				}
				cons.entries = readEntries(c, at+".plugins", v)
			default:
				cons.rest[k] = v
			}
		}
		all = append(all, cons)
	}
	return all
}

func (d *document) mergeConsumer(c consumer, complete bool, p *manifest.Problems) {
	if d.byName == nil {
		d.byName = map[string]int{}
	}
	i, there := d.byName[c.name]
	// A name that is twice in one list, or none, is for package assembly to refuse.
	if there && c.name != "" && d.consumers[i].origins[len(d.consumers[i].origins)-1].from != c.origins[0].from {
		o := &d.consumers[i]
		o.attributes = config.MergeData(o.attributes, c.attributes)
		creds := map[string]any{}
		for _, m := range []map[string]any{o.creds, c.creds} {
			for k, v := range m {
				creds[k] = v // whole: half of one credential and half of another is none
			}
		}
		o.creds = creds
		for k, v := range c.rest {
			o.rest[k] = v
		}
		o.entries = mergeEntries(o.entries, c.entries, complete, p)
		o.origins = append(append([]origin(nil), o.origins...), c.origins...)
		return
	}
	d.byName[c.name] = len(d.consumers)
	d.consumers = append(d.consumers, c)
}

// raw returns the document for package assembly, and for Envoy.
func (d *document) raw() map[string]any {
	doc := map[string]any{}
	if d.entries != nil {
		doc["plugins"] = rawEntries(d.entries)
	}
	var consumers []any
	for _, c := range d.consumers {
		m := map[string]any{"name": c.name}
		for k, v := range c.rest {
			m[k] = v
		}
		if c.attributes != nil {
			m["attributes"] = c.attributes
		}
		if c.creds != nil {
			m["credentials"] = c.creds
		}
		if c.entries != nil {
			m["plugins"] = rawEntries(c.entries)
		}
		consumers = append(consumers, m)
	}
	if consumers != nil {
		doc["consumers"] = consumers
	}
	if d.order.value != nil {
		doc["order"] = d.order.value
	}
	if d.timeout.value != nil {
		doc["timeout"] = d.timeout.value
	}
	for f, s := range d.others {
		doc[f] = s.value
	}
	return doc
}

func rawEntries(entries []entry) []any {
	l := make([]any, 0, len(entries))
	for _, e := range entries {
		m := map[string]any{}
		if e.name != "" {
			m["name"] = e.name
		}
		if e.id != e.name && e.id != "" {
			m["id"] = e.id
		}
		if e.config != nil {
			m["config"] = e.config
		}
		if e.disabled != nil {
			m["disabled"] = *e.disabled
		}
		l = append(l, m)
	}
	return l
}

// find returns where the part of the document at path, of package assembly's errors, comes from: the policy that has
// said it last, and the path there.
func (d *document) find(path string) (origin, string) {
	for _, s := range []struct {
		key string
		scalar
	}{{"order", d.order}, {"timeout", d.timeout}} {
		if path == s.key && s.from != nil {
			return s.origin, s.path
		}
	}
	key, _, rest := manifest.CutPath(path)
	if s, ok := d.others[key]; ok {
		return s.origin, s.path + rest
	}
	_, i, rest := manifest.CutPath(rest)
	switch {
	case key == "plugins" && i >= 0 && i < len(d.entries):
		return findIn(d.entries[i].origins, rest)
	case key == "consumers" && i >= 0 && i < len(d.consumers):
		c := d.consumers[i]
		if k, _, below := manifest.CutPath(rest); k == "plugins" {
			if _, j, below := manifest.CutPath(below); j >= 0 && j < len(c.entries) {
				return findIn(c.entries[j].origins, below)
			}
		}
		return findIn(c.origins, rest)
	}
	return origin{}, ""
}

// findIn looks for the last origin that has the field at rest, or most of the way to it.
func findIn(origins []origin, rest string) (origin, string) {
	for way := rest; ; way = manifest.Parent(way) {
		for i := len(origins) - 1; i >= 0; i-- {
			o := origins[i]
			if way == "" || o.from.policy.At(o.path+way) != nil {
				return o, o.path + rest
			}
		}
	}
}
