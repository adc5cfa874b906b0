package assembly

import (
	"log/slog"
	"slices"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/internal/core"
)

// A document may name what nothing has: an entry that disables an id which is not there, or the credentials of a plugin
// that is not in the chain. That does nothing, and hardly ever what the operator meant. Where the whole is known, it is an
// error; where more documents may come, a warning.

// references are what of a filter's document, and of its routes', meets nothing.
type references struct {
	own    config.Errors
	routes []config.Errors
}

// Unmet returns what in the document of a filter, and in those of all its routes, names an id or a plugin that none of
// them has. Documents that are wrong by themselves are left to [Validate] and [ValidateRoute].
func Unmet(name string, doc any, routes ...any) (own config.Errors, ofRoutes []config.Errors) {
	read := func(doc any, l level) *checked {
		r := &reading{}
		if d := r.read(name, doc, l); d != nil && len(r.errs) == 0 {
			return d
		}
		return &checked{consumers: &consumerList{}}
	}
	filter := read(doc, ofFilter)
	docs := make([]*checked, len(routes))
	for i, route := range routes {
		docs[i] = read(route, ofRoute)
	}
	found := unmet(filter, docs...)
	return found.own, found.routes
}

// unmet looks for references that neither the filter's document nor one of its routes' meets.
func unmet(doc *checked, routes ...*checked) references {
	k := &known{plugins: map[string]bool{}}
	for i, d := range append([]*checked{doc}, routes...) {
		for _, e := range d.entries {
			if e.Name == "" || i > 0 && e.Off() {
				continue
			}
			k.entries = append(k.entries, e)
			k.plugins[e.Name] = true
		}
	}
	found := references{own: k.ofConsumers(doc.consumers)}
	for _, r := range routes {
		es := k.ofEntries(r.entries)
		found.routes = append(found.routes, append(es, k.ofConsumers(r.consumers)...))
	}
	return found
}

// known are the entries that a chain may have.
type known struct {
	entries []entry
	plugins map[string]bool // by name
}

func (k *known) ofConsumers(cs *consumerList) (es config.Errors) {
	for _, c := range cs.list {
		es = append(es, k.ofEntries(c.entries)...)
		for _, plugin := range sortedKeys(c.public.Credentials) {
			if !k.plugins[plugin] {
				es = append(es, config.Error{
					Path: config.Key(c.path+".credentials", plugin), Msg: "the chain has no plugin " + quoted(plugin) +
						config.Suggest(plugin, k.names()) + "; add the plugin, or remove the credential",
				})
			}
		}
	}
	return es
}

// ofEntries returns those that disable what is not there.
func (k *known) ofEntries(entries []entry) (es config.Errors) {
	for _, e := range entries {
		id := e.EntryID()
		if !e.Off() || slices.ContainsFunc(k.entries, func(o entry) bool { return o.EntryID() == id }) {
			continue
		}
		at := e.path
		if e.ID != "" && at != "" {
			at += ".id"
		}
		es = append(es, config.Error{Path: at, Msg: "disables nothing: the filter has no plugin with id " + quoted(id) + k.near(e)})
	}
	return es
}

// near suggests an id: that of an entry of the same plugin, or one that is spelled alike.
func (k *known) near(e entry) string {
	var ids []string
	for _, o := range k.entries {
		if o.Name == e.EntryID() {
			return "; did you mean " + quoted(o.EntryID()) + ", the id of its " + o.Name + "?"
		}
		ids = append(ids, o.EntryID())
	}
	return config.Suggest(e.EntryID(), ids)
}

func (k *known) names() []string { return sortedKeys(k.plugins) }

// routeDocs returns the documents of the open routes of a name. a.mu is held.
func (a *Assembler) routeDocs(name string) (docs []*checked) {
	for _, r := range a.routes[name] {
		docs = append(docs, r.docs...)
	}
	return docs
}

// tellUnmet warns, once for each route, when a part of r meets nothing in any open filter. Where there is none, r waits
// for it. a.mu is held.
func (a *Assembler) tellUnmet(r *Route) {
	if r.told || len(a.filters[r.name]) == 0 {
		return
	}
	var found config.Errors
	for _, f := range a.filters[r.name] {
		found = unmet(f.doc, r.docs...).routes[0]
		if len(found) == 0 {
			return
		}
	}
	r.told = true
	a.tell(a.host, "a route's ", found)
}

// tell logs references that meet nothing so far.
func (a *Assembler) tell(host core.ConfigHost, whose string, found config.Errors) {
	for _, e := range found {
		slog.New(host.Log()).Warn(whose+"configuration names what nothing has so far", "error", e.Error())
	}
}
