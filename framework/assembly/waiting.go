package assembly

import (
	"log/slog"
	"slices"
	"strings"

	"mosn.io/moe/framework/config"
)

// Envoy loads the routes of a listener before its filters, and while the filters that the listener replaces, and those
// of other listeners, are open. It does not say which filter a route is for. So a route that changes a plugin which no
// open filter has may be for one that is about to come, and is accepted; where it goes through a filter that lacks the
// plugin, its requests get a 500. One that is wrong for the plugins that a filter has is refused.

// mayWait reports whether err, which merging r with f gave, is only about plugins that f does not have, and that this
// host could run.
func (f *Filter) mayWait(r *Route, err error) bool {
	caps := capabilities(f.a.host)
	var foreign []string
	for _, e := range r.docs[0].entries {
		if !f.doc.has(e.EntryID()) && (e.reg == nil || e.reg.Needs&^caps == 0) {
			foreign = append(foreign, e.path)
		}
	}
	es, ok := err.(config.Errors)
	if !ok || len(r.docs) > 1 { // levels are merged for a stream, when all filters are there
		return false
	}
	return !slices.ContainsFunc(es, func(e config.Error) bool {
		return !slices.ContainsFunc(foreign, func(path string) bool { return below(e.Path, path) })
	})
}

// below reports whether path is entry, such as plugins[1], or a part of it.
func below(path, entry string) bool {
	rest, ok := strings.CutPrefix(path, entry)
	return ok && entry != "" && (rest == "" || rest[0] == '.')
}

// refusal returns why a route that fits no filter is wrong, or nil if it may wait for its own.
func refusal(missed []*pair) error {
	for _, p := range missed {
		if !p.waits {
			return p.err
		}
	}
	return nil
}

// fits reports whether any open filter fits r. a.mu is held.
func (a *Assembler) fits(r *Route) bool {
	return slices.ContainsFunc(a.filters[r.name], func(f *Filter) bool {
		p, ok := f.pairs.Load(r)
		return ok && p.(*pair).err == nil
	})
}

// warn says that a route is in force which fits none of the open filters.
func (a *Assembler) warn(r *Route, p *pair) {
	slog.New(a.host.Log()).Warn("a route's configuration fits no filter so far; requests on the route are answered with 500 until one does",
		"filter", r.name, "error", p.err.Error())
}
