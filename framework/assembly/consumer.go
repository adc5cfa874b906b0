package assembly

import (
	"fmt"
	"maps"

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
}

func (r *reading) consumers(raw []rawConsumer) *consumers {
	cs := &consumers{}
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
		for plugin := range rc.Credentials {
			r.lookup(config.Key(at+".credentials", plugin), plugin, "plugin "+quoted(plugin), "")
		}
		c.entries = r.entries(at+".plugins", rc.Plugins, ofConsumer)
		for _, e := range c.entries {
			if early(e) {
				r.fail(e.path, "runs in stage %v, before it is known who the consumer is; "+
					"a consumer's plugins are of stage authz or later (%s)", e.reg.Stage, e.reg.Name)
			}
		}
		cs.list = append(cs.list, c)
	}
	cs.index()
	return cs
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
	for plugin, h := range hashes {
		cs.plugins[plugin] = h.sum()
	}
}

// knows reports whether instances of a plugin know the consumers, and are others when these change.
func (cs *consumers) knows(reg *filter.Registration) bool {
	_, ok := cs.plugins[reg.Name]
	return ok || reg.Stage == filter.Authn
}

// mergeConsumers puts a route's consumers over the filter's, by name: attributes and credentials merge, plugins too.
func (r *reading) mergeConsumers(parent, child *consumers) *consumers {
	if len(child.list) == 0 {
		return parent
	}
	merged := &consumers{list: append([]*consumer(nil), parent.list...)}
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
