package assembly

import (
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
	plugins map[string]known
}

// known is what the instances of one plugin know of the consumers: those with credentials for it.
type known struct {
	list   []*filter.Consumer
	digest digest
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
			Name: rc.Name, Attributes: rc.Attributes, Credentials: rc.Credentials,
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
	lists := map[string][]*filter.Consumer{}
	for _, c := range cs.list {
		for plugin := range c.public.Credentials {
			lists[plugin] = append(lists[plugin], c.public)
		}
	}
	cs.plugins = map[string]known{}
	for plugin, list := range lists {
		h := newHash()
		for _, c := range list {
			h.value(c.Name)
			h.value(c.Attributes)
			h.value(c.Credentials[plugin])
			h.secrets(c.Credentials[plugin])
		}
		cs.plugins[plugin] = known{list, h.sum()}
	}
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
	return &consumer{path: c.path, entries: r.mergeEntries(p.entries, c.entries, true), public: &filter.Consumer{
		Name:        c.public.Name,
		Attributes:  config.MergeData(p.public.Attributes, c.public.Attributes),
		Credentials: credentials,
	}}
}
