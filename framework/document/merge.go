package document

import (
	"cmp"
	"maps"
	"reflect"
	"strconv"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
)

// Merger merges documents: that of a route over that of its filter, and what policies say over what less specific ones
// say. Plugins merge by id and consumers by name; those that are new come after those that are there. A plugin's
// configuration merges as config.Merge says. Of a consumer, labels, attributes and plugins merge, and a credential is
// replaced as a whole. Any other field of the child replaces that of the parent.
type Merger struct {
	// Track, unless nil, is called for each part of the merged document to which the child contributes: the plugins, the
	// consumers and their plugins, and the other fields. Both paths are of the form that package config gives them, at in the merged document
	// and from in the child. What a document has once keeps its place in all documents merged over it.
	Track func(at, from string)
	// Owner, unless nil, names the document that has the plugin at a path of the parent, for error messages; by default it
	// is "the filter".
	Owner func(at string) string
	// KeepNulls keeps the nulls of the child's configurations, for a result that is to be merged over another document.
	KeepNulls bool
}

// Merge returns child merged over parent. It changes neither, and the result shares data with both. The error is a
// config.Errors with paths in the child; the result then has the parent's configuration in that place.
func (m *Merger) Merge(parent, child *Document) (*Document, error) {
	r := &merge{Merger: m}
	d := &Document{}
	r.fields("", "", reflect.ValueOf(d).Elem(), reflect.ValueOf(parent).Elem(), reflect.ValueOf(child).Elem(), true)
	return d, r.errs.Err()
}

// Plugins returns the plugins child merged over those of parent, as Merge does with the lists at the paths at and from.
func (m *Merger) Plugins(at, from string, parent, child []Plugin) ([]Plugin, error) {
	r := &merge{Merger: m}
	merged := r.plugins(at, from, parent, child)
	return merged, r.errs.Err()
}

// merge is one merge, with what is wrong so far.
type merge struct {
	*Merger
	errs config.Errors
}

func (r *merge) track(at, from string) {
	if r.Track != nil {
		r.Track(at, from)
	}
}

// fields merges structs of one type, field by field. track tells whether fields are tracked by themselves.
func (r *merge) fields(at, from string, into, parent, child reflect.Value, track bool) {
	t := into.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			r.fields(at, from, into.Field(i), parent.Field(i), child.Field(i), track)
			continue
		}
		name := f.Tag.Get("json")
		p, c := parent.Field(i), child.Field(i)
		merged := r.field(config.Key(at, name), config.Key(from, name), p, c)
		into.Field(i).Set(merged)
		if track && !c.IsZero() {
			r.track(config.Key(at, name), config.Key(from, name))
		}
	}
}

// field merges the values of one field.
func (r *merge) field(at, from string, parent, child reflect.Value) reflect.Value {
	if child.IsZero() {
		return parent
	}
	switch c := child.Interface().(type) {
	case []Plugin:
		return reflect.ValueOf(r.plugins(at, from, parent.Interface().([]Plugin), c))
	case []Consumer:
		return reflect.ValueOf(r.consumers(at, from, parent.Interface().([]Consumer), c))
	case map[string]string:
		return reflect.ValueOf(over(parent.Interface().(map[string]string), c))
	case map[string]map[string]any: // half of one credential and half of another is none
		return reflect.ValueOf(over(parent.Interface().(map[string]map[string]any), c))
	case map[string]any:
		return reflect.ValueOf(config.MergeData(parent.Interface().(map[string]any), c))
	}
	return child
}

// over returns the keys of both maps; where both have one, child's.
func over[M ~map[string]V, V any](parent, child M) M {
	merged := maps.Clone(parent)
	if merged == nil {
		return child
	}
	maps.Copy(merged, child)
	return merged
}

func (r *merge) plugins(at, from string, parent, child []Plugin) []Plugin {
	merged := append(make([]Plugin, 0, len(parent)+len(child)), parent...)
	for i := range child {
		c, path := &child[i], config.Index(from, i)
		place := len(merged)
		for j := range parent {
			if parent[j].EntryID() == c.EntryID() {
				place = j
			}
		}
		if place == len(merged) {
			merged = append(merged, *c)
		} else {
			merged[place] = r.plugin(config.Index(at, place), path, merged[place], c)
		}
		r.track(config.Index(at, place), path)
	}
	return merged
}

// plugin returns p with c, an entry of the same id, merged over it.
func (r *merge) plugin(at, from string, p Plugin, c *Plugin) Plugin {
	if c.Disabled != nil {
		p.Disabled = c.Disabled
	}
	p.LogLevel = cmp.Or(c.LogLevel, p.LogLevel)
	p.LogRepeats = cmp.Or(c.LogRepeats, p.LogRepeats)
	if p.Name != "" && c.Name != "" && p.Name != c.Name {
		owner := "the filter"
		if r.Owner != nil {
			owner = r.Owner(at)
		}
		r.errs = append(r.errs, config.Error{Path: from + ".name", Msg: "id " + strconv.Quote(c.EntryID()) + " is plugin " +
			c.Name + " here and plugin " + p.Name + " in " + owner + "; choose another id"})
		return p
	}
	if p.Name == "" && c.Name != "" {
		p.ID, p.Name = p.EntryID(), c.Name
	}
	if c.Config == nil {
		return p
	}
	merged, err := mergeConfig(p.Name, p.Config, c.Config)
	if es, ok := err.(config.Errors); ok {
		r.errs = append(r.errs, es.In(from+".config")...)
		return p
	}
	p.Config = merged
	if r.KeepNulls {
		keepNulls(p.Config, c.Config)
	}
	return p
}

func mergeConfig(plugin string, parent, child map[string]any) (map[string]any, error) {
	reg := filter.Lookup(plugin)
	if reg == nil {
		return config.MergeData(parent, child), nil
	}
	merged, err := config.Merge(reg.Config, parent, child)
	if es, ok := err.(config.Errors); ok {
		return nil, es.Of(plugin)
	}
	return merged, err
}

// keepNulls puts the nulls of child back, which a merge has taken out together with what they remove.
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

func (r *merge) consumers(at, from string, parent, child []Consumer) []Consumer {
	merged := append(make([]Consumer, 0, len(parent)+len(child)), parent...)
	places := make(map[string]int, len(parent))
	for i := range parent {
		places[parent[i].Name] = i
	}
	for i := range child {
		c, path := &child[i], config.Index(from, i)
		place, known := places[c.Name]
		if !known || c.Name == "" { // whoever checks the document refuses one without a name
			place = len(merged)
			merged = append(merged, *c)
			for j := range c.Plugins {
				r.track(config.Index(config.Index(at, place)+".plugins", j), config.Index(path+".plugins", j))
			}
		} else {
			into, to := Consumer{}, config.Index(at, place)
			r.fields(to, path, reflect.ValueOf(&into).Elem(), reflect.ValueOf(&merged[place]).Elem(), reflect.ValueOf(c).Elem(), false)
			merged[place] = into
		}
		r.track(config.Index(at, place), path)
	}
	return merged
}
