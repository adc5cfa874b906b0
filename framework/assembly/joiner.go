package assembly

import (
	"context"
	"sync"
	"sync/atomic"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// maxJoined is how many consumers' chains of one chain are kept ready. Consumers whose plugins are the same share one.
const maxJoined = 1000

// joiner has the chains that streams of one chain go on with for their consumers. Those of the first maxJoined different
// overlays are made when the consumers are loaded, so that mistakes are found then; others when they are asked for, in
// the place of one that was not used of late.
type joiner struct {
	host  core.ConfigHost
	meter *chain.Meter
	base  *plan
	crowd *crowd
	stop  func()

	byName atomic.Pointer[map[string]*joint] // a consumer's chain; none for one without plugins
	grown  atomic.Uint64                     // how many chains were made

	mu     sync.Mutex
	cached map[digest]*joint // that have a chain
	closed bool
}

// joint is one overlay merged with the chain.
type joint struct {
	plan *plan
	now  atomic.Pointer[joined] // nil while there is no chain

	mu sync.Mutex // held while one is made
}

// joined is a chain that streams may hold. The joiner holds it, too.
type joined struct {
	*built
	used atomic.Bool // of late
}

func newJoiner(host core.ConfigHost, meter *chain.Meter, p *plan, c *crowd) (*joiner, error) {
	j := &joiner{host: host, meter: meter, base: p, crowd: c, stop: func() {}, cached: map[digest]*joint{}}
	fixed := map[digest]*joint{}
	names := map[string]*joint{}
	for name, cp := range p.forWhom {
		names[name] = jointFor(fixed, nil, cp)
	}
	j.byName.Store(&names)
	err := j.makeAll(fixed)
	if err == nil && p.doc.consumers.source != nil {
		j.stop, err = c.set.Follow(func(list []*filter.Consumer) (func(), error) { return j.prepare(list, names) })
	}
	if err != nil {
		j.close()
		return nil, err
	}
	return j, nil
}

// jointFor returns the joint of a plan: one of these, or one of those from before, or a new one.
func jointFor(these, before map[digest]*joint, p *plan) *joint {
	jt := these[p.key]
	if jt == nil {
		if jt = before[p.key]; jt == nil {
			jt = &joint{plan: p}
		}
		these[p.key] = jt
	}
	return jt
}

// prepare merges the overlays of consumers from a source. fixed are those of the document.
func (j *joiner) prepare(list []*filter.Consumer, fixed map[string]*joint) (commit func(), err error) {
	names := make(map[string]*joint, len(fixed))
	these := map[digest]*joint{}
	for name, jt := range fixed {
		names[name], these[jt.plan.key] = jt, jt
	}
	j.mu.Lock()
	before := make(map[digest]*joint, len(j.cached))
	for key, jt := range j.cached {
		before[key] = jt
	}
	j.mu.Unlock()
	byOverlay := map[*overlay]*joint{}
	r := &reading{}
	for _, c := range list {
		o, _ := shared.Overlay(c).(*overlay)
		if o == nil {
			continue
		}
		jt := byOverlay[o]
		if jt == nil {
			cp := r.forConsumer(j.base, o.path, o.name, o.entries)
			if err := r.errs.Err(); err != nil {
				return nil, err
			}
			if err := cp.check(capabilities(j.host), instances.lives); err != nil {
				return nil, err
			}
			jt = jointFor(these, before, cp)
			byOverlay[o] = jt
		}
		names[c.Name] = jt
	}
	if err := j.makeAll(these); err != nil {
		return nil, err
	}
	return func() {
		j.byName.Store(&names)
		j.forget(these)
	}, nil
}

// makeAll makes chains for as many as fit.
func (j *joiner) makeAll(these map[digest]*joint) error {
	n := 0
	for _, jt := range these {
		if n++; n > maxJoined {
			return nil
		}
		if _, err := j.make(jt); err != nil {
			return err
		}
	}
	return nil
}

// make returns the chain of jt, made now if there is none. The caller does not hold it.
func (j *joiner) make(jt *joint) (*joined, error) {
	jt.mu.Lock()
	defer jt.mu.Unlock()
	if jd := jt.now.Load(); jd != nil {
		return jd, nil
	}
	b, err := jt.plan.build(j.host, j.meter)
	if err != nil {
		return nil, err
	}
	jd := &joined{built: b}
	jd.used.Store(true)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		go b.release()
		return nil, errClosed
	}
	if len(j.cached) >= maxJoined {
		j.evict()
	}
	j.cached[jt.plan.key] = jt
	jt.now.Store(jd)
	j.grown.Add(1)
	return jd, nil
}

// evict lets go of a chain that was not used since the last look, or of any. j.mu is held.
func (j *joiner) evict() {
	for range 2 {
		for key, jt := range j.cached {
			if jd := jt.now.Load(); jd == nil || !jd.used.Swap(false) {
				j.drop(key, jt)
				return
			}
		}
	}
}

// drop has no more streams join the chain of jt. Those that have go on with it. j.mu is held.
func (j *joiner) drop(key digest, jt *joint) {
	delete(j.cached, key)
	if jd := jt.now.Swap(nil); jd != nil {
		if jd.chain.Release() {
			go jd.release() // which may wait for plugins to close
		}
	}
}

// forget lets go of the chains of consumers, or plugins, that are not there any more.
func (j *joiner) forget(these map[digest]*joint) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for key, jt := range j.cached {
		if these[key] != jt {
			j.drop(key, jt)
		}
	}
}

// chainFor is chain.Options.ForConsumer.
func (j *joiner) chainFor(c *filter.Consumer) (*chain.Chain, error) {
	jt := (*j.byName.Load())[c.Name]
	if jt == nil {
		return nil, nil
	}
	if jd := jt.hold(); jd != nil {
		return jd.chain, nil
	}
	return nil, chain.NotReady(func(context.Context) error {
		_, err := j.make(jt)
		return err
	})
}

func (jt *joint) hold() *joined {
	jd := jt.now.Load()
	if jd == nil || !jd.chain.Acquire() {
		return nil
	}
	if !jd.used.Load() {
		jd.used.Store(true)
	}
	return jd
}

// all returns the chains that are ready.
func (j *joiner) all() (all []*built) {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, jt := range j.cached {
		if jd := jt.now.Load(); jd != nil {
			all = append(all, jd.built)
		}
	}
	return all
}

// close lets go of all chains, and returns when those that no stream holds are closed.
func (j *joiner) close() {
	j.stop()
	j.mu.Lock()
	j.closed = true
	cached := j.cached
	j.cached = nil
	j.mu.Unlock()
	for _, jt := range cached {
		if jd := jt.now.Swap(nil); jd != nil && jd.chain.Release() {
			jd.release()
		}
	}
}
