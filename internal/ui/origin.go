package ui

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
)

// model is what a moe.yaml says of chains, with where each part of it is written.
type model struct {
	name   string // of the file
	text   []byte
	data   map[string]any
	node   *yaml.Node
	chains []*chainModel // the file's own, and then those of its routes
	people []person
}

// chainModel is the chain of a route, or of the requests that match no route.
type chainModel struct {
	Name    string // in Envoy's configuration and in records
	Match   string // for people
	From    string
	Path    string // of the list of plugins in the file
	Fields  []setting
	Plugins []entry
	Wrong   string // why the route's part is not in it

	Editable bool
}

// entry is a plugin in a chain.
type entry struct {
	ID, Name, Stage string
	Off             bool
	From            string // the level and line that have it
	Path            string // of the entry in the file that this chain is to be changed by; "" where the chain has none of its own
	Fields          []setting
	Known           bool // moe has the plugin
}

// has reports whether a plugin with the id is in the chain.
func (c *chainModel) has(id string) bool {
	return slices.ContainsFunc(c.Plugins, func(e entry) bool { return e.ID == id })
}

// Chain are the plugins of a consumer, for the page.
func (p person) Chain() *chainModel { return &chainModel{Name: p.Name, Plugins: p.Plugins} }

// setting is a field with its value, and where that comes from.
type setting struct{ Name, Value, From string }

// person is a consumer.
type person struct {
	Name        string
	From        string
	Groups      []string
	Credentials []string // the plugins that they are for
	Plugins     []entry
}

// defaultRoute is the name of the route that takes what no other one matches.
const defaultRoute = "default"

// newModel reads the text of a moe.yaml, which has been checked. Variables stay as they are written.
func newModel(name string, text []byte, plugins map[string]*Plugin) (*model, error) {
	d, err := config.ParseDocument(text)
	if err != nil {
		return nil, err
	}
	m := &model{name: name, text: text, node: d.Node}
	switch data := d.Data.(type) {
	case []any:
		m.data = map[string]any{"plugins": data}
	case map[string]any:
		m.data = data
	}
	own, ownData := document.Document{}, only(m.data, document.Fields())
	_ = document.Decode(ownData, &own) // a variable may stand where a number does
	first := &chainModel{Name: defaultRoute, Match: "whatever no route matches", From: name, Path: "plugins"}
	first.fields(m, "", ownData, nil)
	first.entries(m, "", own.Plugins, nil, own.Plugins, plugins)
	first.sort(own.Order)
	m.chains = append(m.chains, first)
	routes, _ := m.data["routes"].([]any)
	for i, r := range routes {
		m.route(i, r, &own, ownData, plugins)
	}
	for i, c := range own.Consumers {
		at := config.Index("consumers", i)
		p := person{Name: c.Name, From: m.line(at), Groups: c.Groups, Credentials: slices.Sorted(maps.Keys(c.Credentials))}
		of := &chainModel{}
		of.entries(m, at+".", c.Plugins, nil, c.Plugins, plugins)
		p.Plugins = of.Plugins
		m.people = append(m.people, p)
	}
	return m, nil
}

func (m *model) route(i int, r any, own *document.Document, ownData map[string]any, plugins map[string]*Plugin) {
	data, _ := r.(map[string]any)
	at := config.Index("routes", i)
	c := &chainModel{Name: fmt.Sprintf("route-%d", i), Match: matches(data["match"]), From: m.line(at), Path: at + ".plugins"}
	if name, _ := data["name"].(string); name != "" {
		c.Name = name
	}
	route, routeData := document.Document{}, only(data, document.RouteFields())
	_ = document.Decode(routeData, &route)
	merged, err := (&document.Merger{}).Merge(own, &route)
	if err != nil {
		c.Wrong = "not all of the route's part can be shown, for what its variables hold counts"
	}
	c.fields(m, at+".", ownData, routeData)
	c.entries(m, at+".", own.Plugins, route.Plugins, merged.Plugins, plugins)
	c.sort(merged.Order)
	m.chains = append(m.chains, c)
}

// only returns the fields of data that have one of names.
func only(data map[string]any, names []string) map[string]any {
	some := map[string]any{}
	for _, n := range names {
		if v, ok := data[n]; ok {
			some[n] = v
		}
	}
	return some
}

// line says where a field is written.
func (m *model) line(path string) string {
	if m.node != nil && m.node.Kind == yaml.DocumentNode && len(m.node.Content) > 0 && m.node.Content[0].Kind == yaml.SequenceNode {
		path = strings.TrimPrefix(path, "plugins")
	}
	if at := config.Locate(m.node, path); at.Line > 0 {
		return fmt.Sprintf("%s:%d", m.name, at.Line)
	}
	return m.name
}

// fields are those of a document besides its plugins and consumers.
func (c *chainModel) fields(m *model, at string, own, route map[string]any) {
	for _, name := range document.RouteFields() {
		if name == "plugins" || name == "consumers" {
			continue
		}
		path := name
		v, ok := own[name]
		if w, has := route[name]; has {
			v, ok, path = w, true, at+name
		}
		if ok {
			c.Fields = append(c.Fields, setting{name, written(redact(v, name, nil, nil, false)), m.line(path)})
		}
	}
}

// entries are the merged plugins. A route's list is at the path at+"plugins".
func (c *chainModel) entries(m *model, at string, own, route, merged []document.Plugin, plugins map[string]*Plugin) {
	ofRoute := strings.HasPrefix(at, "routes")
	for i := range merged {
		p := &merged[i]
		e := entry{ID: p.EntryID(), Name: p.Name, Stage: "unknown", Off: p.Off()}
		parent := place(own, e.ID)
		child := place(route, e.ID)
		ownPath, routePath := "", ""
		if parent >= 0 {
			ownPath = config.Index("plugins", parent)
			if !ofRoute {
				ownPath = config.Index(at+"plugins", parent)
				e.Path = ownPath
			}
			e.From = m.line(ownPath)
		}
		if child >= 0 {
			routePath = config.Index(at+"plugins", child)
			e.Path = routePath
			if parent < 0 || route[child].Disabled != nil {
				e.From = m.line(routePath)
			}
		}
		if reg := filter.Lookup(p.Name); reg != nil {
			e.Stage = reg.Stage.String()
		}
		var s *schema
		if known := plugins[p.Name]; known != nil {
			e.Known, s = true, known.schema
		}
		var ownConfig, routeConfig map[string]any
		if parent >= 0 {
			ownConfig = own[parent].Config
		}
		if child >= 0 {
			routeConfig = route[child].Config
		}
		if e.Known {
			e.Fields = m.settings(p.Config, ownConfig, routeConfig, ownPath+".config", routePath+".config", s)
		}
		c.Plugins = append(c.Plugins, e)
	}
}

func place(list []document.Plugin, id string) int {
	return slices.IndexFunc(list, func(p document.Plugin) bool { return p.EntryID() == id })
}

// settings are the fields of a merged configuration, in the order of the schema.
func (m *model) settings(merged, own, route map[string]any, ownPath, routePath string, s *schema) (all []setting) {
	var walk func(name string, v, own, route any, ownPath, routePath string, of *schema, declared bool)
	walk = func(name string, v, own, route any, ownPath, routePath string, of *schema, declared bool) {
		if object, ok := v.(map[string]any); ok && of != nil && len(of.Properties) > 0 {
			ownObject, _ := own.(map[string]any)
			routeObject, _ := route.(map[string]any)
			for _, key := range keys(object, of) {
				field, known := of.field(key, s)
				value, ok := object[key]
				if !ok {
					if known && field != nil && field.Default != nil {
						all = append(all, setting{join(name, key), written(field.Default), "default"})
					}
					continue
				}
				walk(join(name, key), value, ownObject[key], routeObject[key], config.Key(ownPath, key), config.Key(routePath, key),
					field, known)
			}
			return
		}
		from := m.line(ownPath)
		switch {
		case route != nil && reflect.DeepEqual(route, v), own == nil:
			from = m.line(routePath)
		case route != nil:
			from += " and " + m.line(routePath)
		}
		all = append(all, setting{name, written(redact(v, name, of, s, declared)), from})
	}
	if merged == nil {
		merged = map[string]any{}
	}
	walk("", merged, own, route, ownPath, routePath, s, true)
	return all
}

func join(name, key string) string {
	if name == "" {
		return key
	}
	return name + "." + key
}

// keys are the fields that the schema has, and then the others of an object.
func keys(object map[string]any, s *schema) (all []string) {
	for _, p := range s.Properties {
		all = append(all, p.name)
	}
	for _, k := range slices.Sorted(maps.Keys(object)) {
		if !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	return all
}

// sort puts the plugins in the order in which requests pass them.
func (c *chainModel) sort(order document.Order) {
	if order == document.AsListed {
		return
	}
	slices.SortStableFunc(c.Plugins, func(a, b entry) int {
		return slices.Index(document.Stages, a.Stage) - slices.Index(document.Stages, b.Stage)
	})
}

// matches says which requests a route is for. Values of headers may be secrets, and are left out.
func matches(v any) string {
	match, _ := v.(map[string]any)
	var parts []string
	for _, k := range []string{"path", "prefix", "regex", "host"} {
		if text, ok := match[k].(string); ok && text != "" {
			parts = append(parts, k+" "+text)
		}
	}
	if methods, ok := match["methods"].([]any); ok && len(methods) > 0 {
		parts = append(parts, strings.Trim(fmt.Sprint(methods), "[]"))
	}
	if headers, ok := match["headers"].(map[string]any); ok && len(headers) > 0 {
		parts = append(parts, "header "+strings.Join(slices.Sorted(maps.Keys(headers)), ", "))
	}
	if parts == nil {
		return "every request"
	}
	return strings.Join(parts, " · ")
}
