package assembly

import (
	"slices"
	"strings"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
)

// merge returns a route's document merged over the filter's.
func (r *reading) merge(parent, child *checked) *checked {
	from := map[string]string{} // paths of the child, by paths of the merged document
	m := document.Merger{Track: func(at, path string) { from[at] = path }}
	d, err := m.Merge(parent.doc, child.doc)
	r.add(child.relocate(err))
	c := &checked{doc: d, single: parent.single, generic: parent.generic}
	c.entries = mergedEntries(parent.entries, d.Plugins, func(i int) (path, configPath string, ok bool) {
		path, ok = from[config.Index("plugins", i)]
		if child.single {
			return "", "", ok
		}
		return path, path + ".config", ok
	})
	c.consumers = r.mergedConsumers(parent.consumers, child.consumers, d, from)
	return c
}

// mergedEntries returns the entries of a merged list. where tells the place of those that the child has a part in; the
// others are as the parent has them.
func mergedEntries(parent []entry, merged []document.Plugin, where func(i int) (path, configPath string, ok bool)) []entry {
	entries := make([]entry, len(merged))
	for i, p := range merged {
		if path, configPath, ok := where(i); ok {
			entries[i] = entry{Plugin: p, path: path, configPath: configPath, reg: filter.Lookup(p.Name)}
		} else {
			entries[i] = parent[i]
		}
	}
	return entries
}

// mergedConsumers returns the consumers of merged document d, of whose parts from tells which the child has a part in.
func (r *reading) mergedConsumers(parent, child *consumerList, d *document.Document, from map[string]string) *consumerList {
	if len(child.list) == 0 && child.source == nil {
		return parent
	}
	cs := &consumerList{source: d.ConsumerSource}
	for i := range d.Consumers {
		at := config.Index("consumers", i)
		path, changed := from[at]
		if !changed {
			cs.list = append(cs.list, parent.list[i])
			continue
		}
		c := &consumer{path: path, public: publicOf(&d.Consumers[i])}
		var before []entry
		if i < len(parent.list) {
			before = parent.list[i].entries
		}
		c.entries = mergedEntries(before, d.Consumers[i].Plugins, func(j int) (path, configPath string, ok bool) {
			path, ok = from[config.Index(at+".plugins", j)]
			return path, path + ".config", ok
		})
		cs.list = append(cs.list, c)
	}
	cs.index(r.reader())
	return cs
}

// mergeEntries returns a consumer's entries merged over those of its chain.
func (r *reading) mergeEntries(parent, child []entry) []entry {
	// Where in child each of the merged entries has a part: new ones come last, in their order.
	from := make([]int, 0, len(parent)+len(child))
	index := map[string]int{}
	for i := range parent {
		index[parent[i].EntryID()] = i
		from = append(from, -1)
	}
	for j := range child {
		if i, ok := index[child[j].EntryID()]; ok {
			from[i] = j
		} else {
			from = append(from, j)
		}
	}
	merged, err := (&document.Merger{}).Plugins("", "", plugins(parent), plugins(child))
	if es, ok := err.(config.Errors); ok {
		r.add(inEntries(es, child))
	}
	return mergedEntries(parent, merged, func(i int) (path, configPath string, ok bool) {
		if from[i] < 0 {
			return "", "", false
		}
		e := &child[from[i]]
		return e.path, e.configPath, true
	})
}

// inEntries moves errors whose paths begin with an index of entries to where these are written.
func inEntries(es config.Errors, entries []entry) config.Errors {
	moved := slices.Clone(es)
	for i, e := range moved {
		for j := range entries {
			if rest, ok := strings.CutPrefix(e.Path, config.Index("", j)); ok {
				moved[i].Path = entries[j].path + rest
			}
		}
	}
	return moved
}
