package assembly

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
)

// consumer is who may call, with the plugins that run for him only.
type consumer struct {
	path    string
	entries []entry
	public  *filter.Consumer
}

// consumers is the list of a document. It is shared by all documents that were merged without another, and not changed.
type consumers struct {
	list    []*consumer
	public  []*filter.Consumer
	digest  digest            // of what public says, but for the credentials
	plugins map[string]digest // of the credentials, by plugin
	source  *source           // of more consumers, or nil
	all     digest            // of everything that plugins know of them
}

func (r *reading) consumers(raw []rawConsumer, src *source) *consumers {
	cs := &consumers{source: src}
	seen := map[string]bool{}
	for i, rc := range raw {
		if len(r.errs) >= maxErrors {
			break
		}
		at := config.Index("consumers", i)
		c := &consumer{path: at, public: &filter.Consumer{
			Name: rc.Name, Labels: rc.Labels, Groups: rc.Groups, Attributes: rc.Attributes, Credentials: rc.Credentials,
		}}
		switch {
		case rc.Name == "":
			if !r.has(at) && !r.has(at+".name") {
				r.fail(at+".name", "is required")
			}
		case seen[rc.Name]:
			r.fail(at+".name", "consumer %s is there twice; names must differ", quoted(rc.Name))
		}
		seen[rc.Name] = true
		for plugin, credential := range rc.Credentials {
			r.credential(config.Key(at+".credentials", plugin), plugin, credential)
		}
		c.entries = r.consumerEntries(at+".plugins", rc.Plugins)
		cs.list = append(cs.list, c)
	}
	cs.index()
	return cs
}

// credential checks the form of a consumer's credential, as far as the plugin tells it.
func (r *reading) credential(path, plugin string, raw map[string]any) {
	reg := r.lookup(path, plugin, "plugin "+quoted(plugin), "")
	if reg != nil && reg.Stage > filter.Authn {
		r.fail(path, "is of stage %v, which is too late to find out who the consumer is (%s)", reg.Stage, plugin)
	} else if reg != nil && reg.Credential != nil && raw != nil {
		r.add((&config.Decoder{Path: path, Plugin: plugin}).Decode(raw, reflect.New(reg.Credential).Interface()))
	}
}

// consumerEntries reads the plugins of a consumer.
func (r *reading) consumerEntries(path string, raw []rawEntry) []entry {
	entries := r.entries(path, raw, ofConsumer)
	for _, e := range entries {
		if early(e) {
			r.fail(e.path, "runs in stage %v, before it is known who the consumer is; "+
				"a consumer's plugins are of stage authz or later (%s)", e.reg.Stage, e.reg.Name)
		}
	}
	return entries
}

// index prepares what plugins know, so that a thousand routes need not.
func (cs *consumers) index() {
	public := newHash()
	hashes := map[string]hasher{}
	cs.public = make([]*filter.Consumer, 0, len(cs.list))
	for _, c := range cs.list {
		p := c.public
		cs.public = append(cs.public, p)
		public.value(p.Name)
		fmt.Fprintf(public.h, "%d:%q:%d:%q;", len(p.Labels), p.Labels, len(p.Groups), p.Groups)
		public.value(p.Attributes)
		for plugin, credential := range p.Credentials {
			h, ok := hashes[plugin]
			if !ok {
				h = newHash()
				hashes[plugin] = h
			}
			h.value(p.Name)
			h.value(credential)
			h.secrets(credential)
		}
	}
	cs.digest = public.sum()
	cs.plugins = make(map[string]digest, len(hashes))
	all := newHash()
	all.h.Write(cs.digest[:])
	for _, plugin := range slices.Sorted(maps.Keys(hashes)) {
		sum := hashes[plugin].sum()
		cs.plugins[plugin] = sum
		all.value(plugin)
		all.h.Write(sum[:])
	}
	cs.source.write(all)
	cs.all = all.sum()
}

// write makes another crowd of another source.
func (s *source) write(h hasher) {
	if s != nil {
		h.value(s.Path)
		fmt.Fprintf(h.h, "%d;", s.Poll)
	}
}

// knows reports whether instances of a plugin know the consumers, and are others when these change.
func (cs *consumers) knows(reg *filter.Registration) bool {
	_, ok := cs.plugins[reg.Name]
	return reg.Stage == filter.Authn || reg.Stage < filter.Authn && (ok || cs.source != nil)
}

// mergeConsumers puts a route's consumers over the filter's, by name: attributes and credentials merge, plugins too.
func (r *reading) mergeConsumers(parent, child *consumers) *consumers {
	if len(child.list) == 0 && child.source == nil {
		return parent
	}
	merged := &consumers{list: append([]*consumer(nil), parent.list...), source: cmp.Or(child.source, parent.source)}
	places := map[string]int{}
	for i, p := range parent.list {
		places[p.public.Name] = i
	}
	for _, c := range child.list {
		if at, ok := places[c.public.Name]; ok {
			merged.list[at] = r.mergeConsumer(parent.list[at], c)
		} else {
			merged.list = append(merged.list, c)
		}
	}
	merged.index()
	return merged
}

func (r *reading) mergeConsumer(p, c *consumer) *consumer {
	credentials := map[string]map[string]any{}
	for plugin, cred := range p.public.Credentials {
		credentials[plugin] = cred
	}
	for plugin, cred := range c.public.Credentials {
		credentials[plugin] = cred // whole: half of one credential and half of another is none
	}
	groups := c.public.Groups
	if groups == nil { // as any list, it replaces the parent's
		groups = p.public.Groups
	}
	return &consumer{path: c.path, entries: r.mergeEntries(p.entries, c.entries, true), public: &filter.Consumer{
		Name:        c.public.Name,
		Labels:      mergeLabels(p.public.Labels, c.public.Labels),
		Groups:      groups,
		Attributes:  config.MergeData(p.public.Attributes, c.public.Attributes),
		Credentials: credentials,
	}}
}

func mergeLabels(parent, child map[string]string) map[string]string {
	merged := maps.Clone(parent)
	if merged == nil {
		return child
	}
	maps.Copy(merged, child)
	return merged
}
