package assembly

import (
	"context"
	"sync"
	"sync/atomic"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// maxReady is how many consumers' chains of one chain are kept ready. Consumers whose plugins are the same share one.
const maxReady = 1000

// consumerChains are the chains to which streams of one chain switch for their consumers. Those of the first maxReady
// different overlays are made when the consumers are loaded, so that mistakes are found then; others when they are asked
// for, in the place of one that was not used of late.
type consumerChains struct {
	host  core.ConfigHost
	meter *chain.Meter
	base  *plan
	stop  func()

	byName  atomic.Pointer[map[string]*consumerChain] // none for a consumer without plugins
	version atomic.Uint64                             // how many chains were made

	mu     sync.Mutex
	cached map[digest]*consumerChain // that have a live chain
	closed bool
}

// consumerChain is one overlay merged with the chain.
type consumerChain struct {
	plan *plan
	now  atomic.Pointer[live] // nil while there is none

	mu sync.Mutex // held while one is made
}

func newConsumerChains(host core.ConfigHost, meter *chain.Meter, p *plan, set *consumerSet) (*consumerChains, error) {
	cs := &consumerChains{host: host, meter: meter, base: p, stop: func() {}, cached: map[digest]*consumerChain{}}
	fixed := map[digest]*consumerChain{}
	names := map[string]*consumerChain{}
	for name, cp := range p.forWhom {
		names[name] = chainOf(fixed, nil, cp)
	}
	cs.byName.Store(&names)
	err := cs.makeAll(fixed)
	if err == nil && set != nil {
		var stop func()
		stop, err = set.set.Follow(func(list []*filter.Consumer) (func(commit bool), error) {
			return cs.prepare(list, names)
		})
		if err == nil {
			cs.stop = stop
		}
	}
	if err != nil {
		cs.close()
		return nil, err
	}
	return cs, nil
}

// chainOf returns the consumer chain of a plan: one of these, or one of those from before, or a new one.
func chainOf(these, before map[digest]*consumerChain, p *plan) *consumerChain {
	c := these[p.key]
	if c == nil {
		if c = before[p.key]; c == nil {
			c = &consumerChain{plan: p}
		}
		these[p.key] = c
	}
	return c
}

// prepare merges the overlays of consumers from a source. fixed are those of the document. If it fails, or its end does
// not commit, the chains that it has made do not stay.
func (cs *consumerChains) prepare(
	list []*filter.Consumer, fixed map[string]*consumerChain,
) (end func(commit bool), err error) {
	names := make(map[string]*consumerChain, len(fixed))
	these := map[digest]*consumerChain{}
	for name, c := range fixed {
		names[name], these[c.plan.key] = c, c
	}
	before := cs.ready()
	defer func() {
		if end == nil { // it fails or panics
			cs.keep(before)
		}
	}()
	byOverlay := map[*overlay]*consumerChain{}
	r := &reading{}
	for _, consumer := range list {
		o, _ := shared.Overlay(consumer).(*overlay)
		if o == nil {
			continue
		}
		c := byOverlay[o]
		if c == nil {
			p := r.forConsumer(cs.base, o.path, o.name, o.entries)
			p.decoded = &decodings{}
			if err := r.errs.Err(); err != nil {
				return nil, err
			}
			c = chainOf(these, before, p)
			if c.plan == p { // else it was checked before
				if err := p.check(capabilities(cs.host), instances.Lives); err != nil {
					return nil, err
				}
			}
			byOverlay[o] = c
		}
		names[consumer.Name] = c
	}
	if err := cs.makeAll(these); err != nil {
		return nil, err
	}
	for _, c := range these { // those that are made later do without what check has decoded
		c.plan.decoded.forget()
	}
	return func(commit bool) {
		if !commit {
			cs.keep(before)
			return
		}
		cs.byName.Store(&names)
		cs.keep(these)
	}, nil
}

// ready returns the consumer chains that have a live chain.
func (cs *consumerChains) ready() map[digest]*consumerChain {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	ready := make(map[digest]*consumerChain, len(cs.cached))
	for key, c := range cs.cached {
		ready[key] = c
	}
	return ready
}

// makeAll makes chains for as many as fit.
func (cs *consumerChains) makeAll(these map[digest]*consumerChain) error {
	n := 0
	for _, c := range these {
		if n++; n > maxReady {
			return nil
		}
		if err := cs.make(c); err != nil {
			return err
		}
	}
	return nil
}

// make makes the live chain of c, unless there is one.
func (cs *consumerChains) make(c *consumerChain) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.Load() != nil {
		return nil
	}
	l := &live{}
	if err := c.plan.build(l, cs.host, cs.meter); err != nil {
		return err
	}
	l.used.Store(true)
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed {
		go l.close()
		return errClosed
	}
	if len(cs.cached) >= maxReady {
		cs.evict()
	}
	cs.cached[c.plan.key] = c
	process.consumerChains.Add(1)
	c.now.Store(l)
	cs.version.Add(1)
	return nil
}

// evict releases a chain that was not used since the last look, or any. cs.mu is held.
func (cs *consumerChains) evict() {
	for range 2 {
		for key, c := range cs.cached {
			if l := c.now.Load(); l == nil || !l.used.Swap(false) {
				cs.drop(key, c)
				return
			}
		}
	}
}

// drop has no more streams switch to the chain of c. Those that have go on with it. cs.mu is held.
func (cs *consumerChains) drop(key digest, c *consumerChain) {
	delete(cs.cached, key)
	process.consumerChains.Add(-1)
	if l := c.now.Swap(nil); l != nil && l.chain.Release() {
		go l.close() // which may wait for plugins to close
	}
}

// keep releases the chains of all consumers and plugins but these.
func (cs *consumerChains) keep(these map[digest]*consumerChain) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for key, c := range cs.cached {
		if these[key] != c {
			cs.drop(key, c)
		}
	}
}

// chainFor is chain.Options.ForConsumer.
func (cs *consumerChains) chainFor(consumer *filter.Consumer) (*chain.Chain, error) {
	c := (*cs.byName.Load())[consumer.Name]
	if c == nil {
		return nil, nil
	}
	if l := c.acquire(); l != nil {
		return l.chain, nil
	}
	return nil, chain.NotReady(func(context.Context) error { return cs.make(c) })
}

// acquire returns the live chain of c with a reference to it, or nil where there is none.
func (c *consumerChain) acquire() *live {
	l := c.now.Load()
	if l == nil || !l.chain.Acquire() {
		return nil
	}
	if !l.used.Load() {
		l.used.Store(true)
	}
	return l
}

// all returns the live chains.
func (cs *consumerChains) all() (all []*live) {
	if cs == nil {
		return nil
	}
	for _, c := range cs.ready() {
		if l := c.now.Load(); l != nil {
			all = append(all, l)
		}
	}
	return all
}

// close releases all chains, and returns when those that no stream holds are closed.
func (cs *consumerChains) close() {
	cs.stop()
	cs.mu.Lock()
	cs.closed = true
	cached := cs.cached
	cs.cached = nil
	process.consumerChains.Add(-int64(len(cached)))
	cs.mu.Unlock()
	for _, c := range cached {
		if l := c.now.Swap(nil); l != nil && l.chain.Release() {
			l.close()
		}
	}
}
