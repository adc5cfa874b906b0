package assembly

import (
	"fmt"
	"slices"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/internal/core"
)

// pair is what a filter and a route make together.
type pair struct {
	live  *live
	err   error
	waits bool // err is only about plugins that the filter does not have, so r may be for another one
}

// pair merges f and r and provisions the result, if no other route came to the same. f.a.mu is held.
func (f *Filter) pair(r *Route) *pair {
	p := &pair{}
	plan, err := f.merged(r)
	if err != nil {
		p.waits = f.mayWait(r, err)
	} else {
		p.live, err = f.acquire(plan)
	}
	if err != nil {
		p.live, p.err = nil, fmt.Errorf("merged with the filter's configuration: %w", err)
	}
	f.pairs.Store(r, p)
	return p
}

// merged plans the chain of f and r, and checks what of it is not in use already.
func (f *Filter) merged(r *Route) (*plan, error) {
	read := &reading{}
	d := f.doc
	for _, doc := range r.docs {
		d = read.merge(d, doc)
		if err := read.errs.Err(); err != nil {
			return nil, err
		}
	}
	plan := read.newPlan(f.a.host.Name(), d)
	if err := read.errs.Err(); err != nil || f.chains.Lives(plan.key) {
		return plan, err
	}
	return plan, plan.check(capabilities(f.a.host), instances.Lives)
}

// acquire returns the chain of a plan. Every successful acquire needs a release.
func (f *Filter) acquire(p *plan) (*live, error) {
	defer p.decoded.forget()
	fresh := &live{}
	return f.chains.Acquire(p.key, fresh, func() error { return p.build(fresh, f.a.host, f.meter) })
}

// release drops a reference to a chain of f's, and returns it if that was the last: then it is to be closed, without
// f.a.mu.
func (f *Filter) release(l *live) []*live {
	if !f.chains.Release(l) {
		return nil
	}
	return []*live{l}
}

// unpair releases what f and r have made, as release does. f.a.mu is held.
func (f *Filter) unpair(r *Route) []*live {
	v, ok := f.pairs.LoadAndDelete(r)
	if !ok || v.(*pair).live == nil {
		return nil
	}
	return f.release(v.(*pair).live)
}

// look returns the chain for streams of f on route r; nil is a stream without a route configuration. It takes no lock.
func (f *Filter) look(r *Route) (*live, error) {
	if r == nil {
		return f.own, nil
	}
	v, ok := f.pairs.Load(r)
	if !ok {
		return nil, f.whyNot(r)
	}
	p := v.(*pair)
	return p.live, p.err
}

// whyNot says why f and r do not fit each other.
func (f *Filter) whyNot(r *Route) error {
	if r.name != f.name || r.a != f.a {
		return fmt.Errorf("the route's configuration is for the filter %q, not for %q", r.name, f.name)
	}
	return errClosed
}

// Chain returns the chain for streams of f on route r; nil is a stream without a route configuration. It is cheap and
// takes no lock. It fails where r does not fit f, though it may fit others; the host then replies 500.
func (f *Filter) Chain(r *Route) (*chain.Chain, error) {
	l, err := f.look(r)
	if err != nil {
		return nil, err
	}
	return l.chain, nil
}

// Chains returns Chain(r) and the chains of its consumers, for hosts that ask ahead what streams may want. It returns
// none where Chain fails.
func (f *Filter) Chains(r *Route) []*chain.Chain {
	l, err := f.look(r)
	if err != nil {
		return nil
	}
	return l.chains(nil)
}

// Metrics returns those of all chains that f has now, for hosts that declare metrics ahead. An object is in it once;
// names are there more than once where routes or consumers have instances of their own.
func (f *Filter) Metrics() []*core.Metric {
	f.a.mu.Lock()
	defer f.a.mu.Unlock()
	all := f.own.metrics(nil)
	for _, l := range f.chains.All() {
		all = l.metrics(all)
	}
	return unique(append(all, process.metrics()...))
}

// ChainMetrics returns the metrics that streams of Chain(r) may record: the chain's and those of its consumers' chains.
// It returns none where Chain fails.
func (f *Filter) ChainMetrics(r *Route) []*core.Metric {
	l, err := f.look(r)
	if err != nil {
		return nil
	}
	return unique(append(l.metrics(nil), process.metrics()...))
}

// MetricsVersion changes when streams of Chain(r) may come to record metrics that ChainMetrics did not return before,
// because a consumer was added. It takes no lock.
func (f *Filter) MetricsVersion(r *Route) uint64 {
	l, err := f.look(r)
	if err != nil || l.consumers == nil {
		return 0
	}
	return l.consumers.version.Load()
}

func unique(all []*core.Metric) []*core.Metric {
	seen := make(map[*core.Metric]bool, len(all))
	return slices.DeleteFunc(all, func(m *core.Metric) bool {
		again := seen[m]
		seen[m] = true
		return again
	})
}
