// Package assembly turns configuration documents into chains of provisioned plugins. A host gives it what Envoy's
// filter and route configurations hold and gets chains to run; nothing here knows a host.
//
// # Documents
//
// The document of a filter named "moe" has plugins (each with name, and perhaps id, config, disabled), consumers, order
// ("stage", the default, or "listed") and timeout (30s). Under any other name it is the configuration of the plugin of
// that name. A route's document has the same form and is merged over the filter's by plugin id, then a consumer's
// plugins over that. New plugins come after those that are there; order and timeout replace. A plugin that is disabled
// in the filter may be enabled by a route with `disabled: false`.
//
// # Instances
//
// A provisioned plugin is shared by the whole process, by all chains whose host name, plugin, id and merged
// configuration are the same, also those of configurations that are pushed again; so are its metrics. What its secrets
// hold ({env: …}, {file: …}) is part of the configuration, and so are the consumers with credentials for it. The last
// chain that lets go of an instance closes it.
package assembly

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/internal/core"
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
	doc  *document
	own  *built

	meter  *chain.Meter      // of all its chains
	pairs  sync.Map          // of *pair by *Route
	byKey  map[digest]*built // what pairs share; guarded by a.mu
	closed bool              // guarded by a.mu
}

// Route is the configuration of one route, virtual host or weighted cluster.
type Route struct {
	a      *Assembler
	name   string
	docs   []*document // one, or those of several levels, the most general first
	closed bool        // guarded by a.mu
}

// pair is what a filter and a route make together.
type pair struct {
	b       *built
	err     error
	lacking bool // err is about plugins that only the route has
}

// Filter checks doc, which is generic data as config.Parse returns it, and provisions its plugins, also merged with
// each open route of the same name. The error names every mistake (config.Errors); nothing stays provisioned then.
func (a *Assembler) Filter(name string, doc any) (*Filter, error) {
	d, p, err := load(a.host.Name(), name, doc, capabilities(a.host), instances.lives, mayListSecrets(a.host))
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f := &Filter{a: a, name: name, doc: d, byKey: map[digest]*built{}, meter: chain.NewMeter()}
	b, err := p.build(a.host, f.meter)
	if err != nil {
		return nil, err
	}
	f.own = b
	f.byKey[b.key] = b
	a.filters[name] = append(a.filters[name], f)
	for _, r := range a.routes[name] {
		if p := f.pair(r); p.err != nil && !p.lacking && !a.fitted(r) {
			a.warn(r, p)
		}
	}
	return f, nil
}

// Route checks doc as far as that can be alone: names, fields, types; what is required may come from the filter. It is
// merged and provisioned with every open filter of the same name; if that fails with each of them, so does Route, unless
// it waits for its filter (see waiting.go). A filter that it fails with reports the error from [Filter.Chain].
func (a *Assembler) Route(name string, doc any) (*Route, error) {
	d, err := read(name, doc, ofRoute)
	if err != nil {
		return nil, err
	}
	return a.route(&Route{a: a, name: name, docs: []*document{d}})
}

// Join returns the route configuration of a stream for which Envoy has two: child, of the more special level, is merged
// over what the filter's and parent make. Both must be this Assembler's and of one name; they may be closed before the
// result is, and the result may be joined again. It fails as [Assembler.Route] does.
func (a *Assembler) Join(parent, child *Route) (*Route, error) {
	if parent.a != a || child.a != a || parent.name != child.name {
		return nil, fmt.Errorf("assembly: the configurations of two routes, for filters %q and %q, do not belong together",
			parent.name, child.name)
	}
	return a.route(&Route{a: a, name: child.name, docs: slices.Concat(parent.docs, child.docs)})
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
	return r, nil
}

// pair merges f and r and provisions the result, if no other route came to the same. f.a.mu is held.
func (f *Filter) pair(r *Route) *pair {
	p := &pair{}
	plan, err := f.merged(r)
	if err != nil {
		p.lacking = f.lacks(r, err)
	} else {
		p.b, err = f.build(plan)
	}
	if err != nil {
		p.err = fmt.Errorf("merged with the filter's configuration: %w", err)
	}
	f.pairs.Store(r, p)
	return p
}

// merged plans the chain of f and r, and checks what of it is not in use already.
func (f *Filter) merged(r *Route) (*plan, error) {
	d := f.doc
	for _, doc := range r.docs {
		var err error
		if d, err = merge(d, doc); err != nil {
			return nil, err
		}
	}
	plan, err := newPlan(f.a.host.Name(), d)
	if err != nil || f.byKey[plan.key] != nil {
		return plan, err
	}
	return plan, plan.check(capabilities(f.a.host), instances.lives)
}

func (f *Filter) build(plan *plan) (*built, error) {
	if b := f.byKey[plan.key]; b != nil {
		b.refs++
		return b, nil
	}
	b, err := plan.build(f.a.host, f.meter)
	if err != nil {
		return nil, err
	}
	f.byKey[b.key] = b
	return b, nil
}

// unpair lets go of what f and r have made. f.a.mu is held; the result is to be called without it.
func (f *Filter) unpair(r *Route) (release func()) {
	v, ok := f.pairs.LoadAndDelete(r)
	if !ok || v.(*pair).b == nil {
		return func() {}
	}
	return f.drop(v.(*pair).b)
}

func (f *Filter) drop(b *built) (release func()) {
	if b.refs--; b.refs > 0 {
		return func() {}
	}
	delete(f.byKey, b.key)
	return b.release
}

// Chain returns the chain for streams of f on route r; nil is a stream without a route configuration. It is cheap and
// takes no lock. It fails where r does not fit f, though it may fit others; the host then replies 500.
func (f *Filter) Chain(r *Route) (*chain.Chain, error) {
	if r == nil {
		return f.own.chain, nil
	}
	v, ok := f.pairs.Load(r)
	if !ok {
		return nil, f.stranger(r)
	}
	p := v.(*pair)
	if p.err != nil {
		return nil, p.err
	}
	return p.b.chain, nil
}

var errClosed = errors.New("assembly: the configuration is closed")

// stranger tells why f and r are no pair.
func (f *Filter) stranger(r *Route) error {
	if r.name != f.name || r.a != f.a {
		return fmt.Errorf("the route's configuration is for the filter %q, not for %q", r.name, f.name)
	}
	return errClosed
}

// Metrics returns those of all chains that f has now, for hosts that declare metrics ahead. An object is in it once;
// names are there more than once where routes or consumers have instances of their own.
func (f *Filter) Metrics() []*core.Metric {
	f.a.mu.Lock()
	defer f.a.mu.Unlock()
	all := f.own.metrics(nil)
	for _, b := range f.byKey {
		all = b.metrics(all)
	}
	return unique(all)
}

// ChainMetrics returns the metrics that streams of Chain(r) may record: the chain's and those of its consumers' chains.
// It returns none where Chain fails.
func (f *Filter) ChainMetrics(r *Route) []*core.Metric {
	b := f.own
	if r != nil {
		v, ok := f.pairs.Load(r)
		if !ok || v.(*pair).b == nil {
			return nil
		}
		b = v.(*pair).b
	}
	return unique(b.metrics(nil))
}

func (b *built) metrics(all []*core.Metric) []*core.Metric {
	all = append(all, b.chain.Metrics()...)
	if b.crowd != nil {
		all = append(all, b.crowd.metrics()...)
	}
	for _, c := range b.joiner.all() {
		all = c.metrics(all)
	}
	return all
}

// Grown changes when streams of Chain(r) may come to record metrics that ChainMetrics did not return before, as a
// consumer was added. It takes no lock.
func (f *Filter) Grown(r *Route) uint64 {
	b := f.own
	if r != nil {
		v, ok := f.pairs.Load(r)
		if !ok || v.(*pair).b == nil {
			return 0
		}
		b = v.(*pair).b
	}
	if b.joiner == nil {
		return 0
	}
	return b.joiner.grown.Load()
}

func unique(all []*core.Metric) []*core.Metric {
	seen := make(map[*core.Metric]bool, len(all))
	return slices.DeleteFunc(all, func(m *core.Metric) bool {
		again := seen[m]
		seen[m] = true
		return again
	})
}

// Close lets go of f's chains; call it after the last stream that uses one, as Envoy destroys a configuration. It
// returns when the plugins that nobody else uses are closed, which may take as long as their goroutines do. A second
// call does nothing.
func (f *Filter) Close() {
	for _, release := range f.close() {
		release()
	}
}

func (f *Filter) close() (releases []func()) {
	a := f.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	a.filters[f.name] = without(a.filters[f.name], f)
	f.pairs.Range(func(r, _ any) bool {
		releases = append(releases, f.unpair(r.(*Route)))
		return true
	})
	return append(releases, f.drop(f.own))
}

// Close lets go of the chains that filters have for r; as [Filter.Close].
func (r *Route) Close() {
	for _, release := range r.close() {
		release()
	}
}

func (r *Route) close() (releases []func()) {
	a := r.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	a.routes[r.name] = without(a.routes[r.name], r)
	for _, f := range a.filters[r.name] {
		releases = append(releases, f.unpair(r))
	}
	return releases
}

// without returns a new list, as the old one may be in use.
func without[T comparable](list []T, v T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(e T) bool { return e == v })
}
