// Package assembly turns configuration documents into chains of provisioned plugins. A host gives it what Envoy's
// filter and route configurations hold and gets chains to run; nothing here knows a host.
//
// # Documents
//
// Package document declares the document of a filter named "moe". Under any other name a document is the configuration
// of the plugin of that name. A route's document is merged over the filter's, then a consumer's plugins over that; see
// document.Merger. A plugin that is disabled in the filter may be enabled by a route with `disabled: false`.
//
// # Instances
//
// A provisioned plugin is shared by the whole process, by all chains whose host name, plugin, id and merged
// configuration are the same, also those of configurations that are pushed again; so are its metrics. What its secrets
// hold ({env: …}, {file: …}) is part of the configuration, and so are the consumers with credentials for it. The last
// chain that releases an instance closes it.
package assembly

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/refs"
)

// Assembler makes the filters and routes of one host. Its methods, and those of what it returns, may be called from
// any goroutine.
type Assembler struct {
	host core.ConfigHost

	mu      sync.Mutex // held while plugins are provisioned, never while a stream looks a chain up
	filters map[string][]*Filter
	routes  map[string][]*Route
}

// New returns an Assembler for host. As instances outlive configurations, host must stay usable while the process
// runs, whichever configuration of Envoy's it was made for.
func New(host core.ConfigHost) *Assembler {
	return &Assembler{host: host, filters: map[string][]*Filter{}, routes: map[string][]*Route{}}
}

// Filter is the configuration of one filter.
type Filter struct {
	a    *Assembler
	name string
	doc  *checked
	own  *live

	meter  *chain.Meter              // of all its chains
	pairs  sync.Map                  // of *pair by *Route
	chains refs.Table[digest, *live] // what pairs share, by their plans
	closed bool                      // guarded by a.mu
}

// Route is the configuration of one route, virtual host or weighted cluster.
type Route struct {
	a      *Assembler
	name   string
	docs   []*checked // one, or those of several levels, the most general first
	told   bool       // that a part of it meets nothing; guarded by a.mu
	closed bool       // guarded by a.mu
}

// Filter checks doc, which is generic data as config.Parse returns it, and provisions its plugins, also merged with
// each open route of the same name. The error names every mistake (config.Errors); nothing stays provisioned then.
func (a *Assembler) Filter(name string, doc any) (*Filter, error) {
	f, err := a.filter(name, doc)
	process.loaded("filter", err)
	if err == nil {
		process.open(f)
	}
	return f, err
}

func (a *Assembler) filter(name string, doc any) (*Filter, error) {
	d, p, err := load(a.host.Name(), name, doc, capabilities(a.host), instances.Lives, mayListSecrets(a.host))
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f := &Filter{a: a, name: name, doc: d, meter: chain.NewMeter()}
	f.meter.Name = name
	if f.own, err = f.acquire(p); err != nil {
		return nil, err
	}
	a.filters[name] = append(a.filters[name], f)
	a.tell(a.host, "", unmet(f.doc, a.routeDocs(name)...).own)
	for _, r := range a.routes[name] {
		if p := f.pair(r); p.err != nil && !p.waits && !a.fits(r) {
			a.warn(r, p)
		}
		a.tellUnmet(r)
	}
	return f, nil
}

// Route checks doc as far as that can be alone: names, fields, types; what is required may come from the filter. It is
// merged and provisioned with every open filter of the same name; if that fails with each of them, so does Route, unless
// it waits for its filter (see waiting.go). A filter that it fails with reports the error from [Filter.Chain].
func (a *Assembler) Route(name string, doc any) (*Route, error) {
	r, err := a.readRoute(name, doc)
	process.loaded("route", err)
	return r, err
}

func (a *Assembler) readRoute(name string, doc any) (*Route, error) {
	r := &reading{}
	d := r.read(name, doc, ofRoute)
	if err := r.errs.Err(); err != nil {
		return nil, err
	}
	return a.route(&Route{a: a, name: name, docs: []*checked{d}})
}

// Merge returns the route configuration of a stream for which Envoy has two: child, of the more special level, is merged
// over what the filter's and parent make. Both must be this Assembler's and of one name; they may be closed before the
// result is, and the result may be merged again. It fails as [Assembler.Route] does.
func (a *Assembler) Merge(parent, child *Route) (*Route, error) {
	if parent.a != a || child.a != a || parent.name != child.name {
		return nil, fmt.Errorf("assembly: the configurations of two routes, for filters %q and %q, do not belong together",
			parent.name, child.name)
	}
	// What meets nothing was reported for each level.
	r, err := a.route(&Route{a: a, name: child.name, docs: slices.Concat(parent.docs, child.docs), told: true})
	process.loaded("route", err)
	return r, err
}

// route pairs r with the open filters.
func (a *Assembler) route(r *Route) (*Route, error) {
	name := r.name
	a.mu.Lock()
	defer a.mu.Unlock()
	var missed []*pair
	fits := false
	for _, f := range a.filters[name] {
		if p := f.pair(r); p.err != nil {
			missed = append(missed, p)
		} else {
			fits = true
		}
	}
	if !fits {
		if err := refusal(missed); err != nil {
			for _, f := range a.filters[name] {
				f.unpair(r)
			}
			return nil, err
		}
		if len(missed) > 0 {
			a.warn(r, missed[len(missed)-1])
		}
	}
	a.routes[name] = append(a.routes[name], r)
	a.tellUnmet(r)
	return r, nil
}

// Close releases f's chains; call it after the last stream that uses one, as Envoy destroys a configuration. It returns
// when the plugins that nobody else uses are closed, which may take as long as their goroutines do. A second call does
// nothing.
func (f *Filter) Close() {
	for _, l := range f.close() {
		l.close()
	}
}

// close returns the chains that nobody holds any more.
func (f *Filter) close() (unused []*live) {
	a := f.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	process.closed("filter")
	process.forget(f)
	a.filters[f.name] = without(a.filters[f.name], f)
	f.pairs.Range(func(r, _ any) bool {
		unused = append(unused, f.unpair(r.(*Route))...)
		return true
	})
	return append(unused, f.release(f.own)...)
}

// Close releases the chains that filters have for r; as [Filter.Close].
func (r *Route) Close() {
	for _, l := range r.close() {
		l.close()
	}
}

func (r *Route) close() (unused []*live) {
	a := r.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	process.closed("route")
	a.routes[r.name] = without(a.routes[r.name], r)
	for _, f := range a.filters[r.name] {
		unused = append(unused, f.unpair(r)...)
	}
	return unused
}

// without returns a new list, as the old one may be in use.
func without[T comparable](list []T, v T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(e T) bool { return e == v })
}

var errClosed = errors.New("assembly: the configuration is closed")
