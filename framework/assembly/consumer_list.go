package assembly

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
)

// consumer is one that a document lists, with the plugins that run only for it.
type consumer struct {
	path    string
	entries []entry
	public  *filter.Consumer
}

// consumerList is the consumers of a document. All documents that were merged without another one share it; it does not change.
type consumerList struct {
	list    []*consumer
	public  []*filter.Consumer
	digest  digest            // of what public says, but for the credentials
	plugins map[string]digest // of the credentials, by plugin
	source  *document.Source  // of more consumers, or nil
	all     digest            // of everything that plugins know of them
}

// consumers checks those of a document.
func (r *reading) consumers(d *document.Document) *consumerList {
	cs := &consumerList{source: d.ConsumerSource}
	seen := map[string]bool{}
	for i := range d.Consumers {
		if len(r.errs) >= maxErrors {
			break
		}
		at, dc := config.Index("consumers", i), &d.Consumers[i]
		switch {
		case dc.Name == "":
			if !r.has(at) && !r.has(at+".name") {
				r.fail(at+".name", "is required")
			}
		case seen[dc.Name]:
			r.fail(at+".name", "duplicate consumer name %s", quoted(dc.Name))
		}
		seen[dc.Name] = true
		for plugin, credential := range dc.Credentials {
			r.credential(config.Key(at+".credentials", plugin), plugin, credential)
		}
		cs.list = append(cs.list, &consumer{
			path: at, public: publicOf(dc), entries: r.consumerEntries(at+".plugins", dc.Plugins),
		})
	}
	cs.index(r.reader())
	return cs
}

// publicOf returns what plugins know of a consumer.
func publicOf(c *document.Consumer) *filter.Consumer {
	return &filter.Consumer{
		Name: c.Name, Labels: c.Labels, Groups: c.Groups, Attributes: c.Attributes, Credentials: c.Credentials,
	}
}

// credential checks the form of a consumer's credential, as far as the plugin tells it.
func (r *reading) credential(path, plugin string, raw map[string]any) {
	reg := r.lookup(path, plugin, "plugin "+quoted(plugin))
	if reg != nil && reg.Stage > filter.Authn {
		r.fail(path, "is of stage %v, which is too late to find out who the consumer is (%s)", reg.Stage, plugin)
	} else if reg != nil && reg.Credential != nil && raw != nil {
		r.add((&config.Decoder{Path: path, Plugin: plugin}).Decode(raw, reflect.New(reg.Credential).Interface()))
	}
}

// consumerEntries checks the plugins of a consumer.
func (r *reading) consumerEntries(path string, list []document.Plugin) []entry {
	entries := r.entries(path, list, ofConsumer)
	for _, e := range entries {
		if early(e) {
			r.fail(e.path, "runs in stage %v, before it is known who the consumer is; "+
				"a consumer's plugins are of stage authz or later (%s)", e.reg.Stage, e.reg.Name)
		}
	}
	return entries
}

// index prepares what plugins know, so that a thousand routes need not.
func (cs *consumerList) index(reader *config.SecretReader) {
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
			h.secrets(credential, reader)
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
	all.source(cs.source)
	cs.all = all.sum()
}

// source writes where more consumers come from: another source makes another consumer set.
func (h hasher) source(s *document.Source) {
	if s != nil {
		h.value(s.Path)
		fmt.Fprintf(h.h, "%d;", s.Poll)
	}
}

// knows reports whether instances of a plugin know the consumers, and are others when these change.
func (cs *consumerList) knows(reg *filter.Registration) bool {
	_, ok := cs.plugins[reg.Name]
	return reg.Stage == filter.Authn || reg.Stage < filter.Authn && (ok || cs.source != nil)
}
