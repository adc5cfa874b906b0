package plan

import (
	"slices"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/internal/standin"
)

// reference is something in a policy that names an id, or a plugin, which a chain should have.
type reference struct {
	policy *policy.Policy
	path   string
}

// checkUnmet reports what policies name and no chain has: entries that disable an id, and credentials for a plugin. One
// policy may be for several chains, so a reference is wrong only if none of them has what it names.
func (g *planner) checkUnmet() {
	if g.p.Len() > 0 {
		return // what is wrong elsewhere may be what these references name
	}
	missing := map[reference]config.Error{}
	met := map[reference]bool{}
	for _, b := range g.chains {
		missed := unmet(b)
		for r := range references(b) {
			if _, ok := missed[r]; !ok {
				met[r] = true
			}
		}
		for r, e := range missed {
			missing[r] = e
		}
	}
	for r, e := range missing {
		if !met[r] {
			e.Path = ""
			g.p.AddConfig(r.policy.Object, r.path, config.Errors{e})
		}
	}
}

// unmet returns the references of a chain's document, and of those of its routes, that the chain does not meet.
func unmet(b *ProxyChain) map[reference]config.Error {
	routes := make([]any, len(b.ofRoutes))
	for i, c := range b.ofRoutes {
		routes[i] = skeleton(c.doc)
	}
	doc := skeleton(&b.Doc.Document)
	if len(b.Doc.Plugins) == 0 {
		doc["plugins"] = []any{map[string]any{"name": unnamed(b), "id": placeholderID, "disabled": true}}
	}
	own, ofRoutes := assembly.Unmet(assembly.ChainName, doc, routes...)
	found := map[reference]config.Error{}
	for _, e := range own {
		if from, path := b.Doc.Find(e.Path); from.From != nil {
			found[reference{from.From.Policy, path}] = e
		}
	}
	for i, es := range ofRoutes {
		for _, e := range es {
			c := b.ofRoutes[i]
			found[reference{c.Policy, c.Path + "." + policy.FieldOf(e.Path)}] = e
		}
	}
	return found
}

// unnamed returns the name of a plugin that no route of a chain names, so that no message suggests it.
func unnamed(b *ProxyChain) (name string) {
	for _, reg := range filter.Registrations() {
		name = reg.Name
		if !slices.ContainsFunc(b.ofRoutes, func(c *Contribution) bool {
			return c.doc != nil && slices.ContainsFunc(c.doc.Plugins, func(e document.Plugin) bool { return e.EntryID() == name })
		}) {
			break
		}
	}
	return name
}

// references returns where the policies of a chain may refer to what it has: the paths that unmet would report.
func references(b *ProxyChain) map[reference]bool {
	all := map[reference]bool{}
	entries := func(at string, list []document.Plugin, add func(path string)) {
		for i := range list {
			path := config.Index(at, i)
			if list[i].ID != "" {
				path += ".id"
			}
			add(path)
		}
	}
	consumers := func(list []document.Consumer, add func(path string)) {
		for i := range list {
			at := config.Index("consumers", i)
			entries(at+".plugins", list[i].Plugins, add)
			for plugin := range list[i].Credentials {
				add(config.Key(at+".credentials", plugin))
			}
		}
	}
	consumers(b.Doc.Consumers, func(path string) {
		if from, at := b.Doc.Find(path); from.From != nil {
			all[reference{from.From.Policy, at}] = true
		}
	})
	for _, c := range b.ofRoutes {
		if c.doc == nil {
			continue
		}
		add := func(path string) { all[reference{c.Policy, c.Path + "." + policy.FieldOf(path)}] = true }
		entries("plugins", c.doc.Plugins, add)
		consumers(c.doc.Consumers, add)
	}
	return all
}

// skeleton returns of a document what refers to plugins, and what is referred to. Without configurations, only secrets of
// credentials need to be there, for which there are stand-ins.
func skeleton(d *document.Document) map[string]any {
	if d == nil {
		return map[string]any{}
	}
	s := document.Document{Route: document.Route{Plugins: bare(d.Plugins)}}
	for _, c := range d.Consumers {
		s.Consumers = append(s.Consumers, document.Consumer{
			Name: c.Name, Credentials: c.Credentials, Plugins: bare(c.Plugins),
		})
	}
	raw := s.Data()
	if len(s.Consumers) > 0 {
		raw, _ = standin.Validate(raw, func(doc map[string]any) error {
			return assembly.ValidateRoute(assembly.ChainName, nil, doc, ^filter.Capability(0))
		})
	}
	return raw
}

// bare returns entries without their configurations.
func bare(list []document.Plugin) []document.Plugin {
	out := make([]document.Plugin, len(list))
	for i, e := range list {
		out[i] = document.Plugin{Name: e.Name, ID: e.ID, Disabled: e.Disabled}
	}
	return out
}
