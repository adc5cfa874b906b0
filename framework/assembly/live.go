package assembly

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/debugview"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/refs"
)

// live is a chain that streams run through, with what it holds. A filter's pairs of one plan share theirs; that of a
// consumer is counted by the chain, as streams hold it too.
type live struct {
	refs.Share[digest]
	chain     *chain.Chain
	consumers *consumerChains // nil where no consumer has one
	set       *consumerSet    // nil where consumers come from the document alone
	instances []*instance
	logs      []func()    // end what the chain says of the instances' logs
	used      atomic.Bool // of late; see consumerChains.evict
}

// build makes l the chain of p, with the meter of its filter. If any of it fails, nothing stays.
func (p *plan) build(l *live, host core.ConfigHost, meter *chain.Meter) (err error) {
	built := false
	defer func() {
		if v := recover(); v != nil { // a plugin that makes something of its configuration for the chain
			slog.New(host.Log()).Error("a plugin panics while its chain is made", "value", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = fmt.Errorf("a plugin panics while its chain is made; the log has the stack")
		}
		if !built {
			l.close()
		}
	}()
	plugins := make([]chain.Plugin, 0, len(p.specs))
	for i := range p.specs {
		in, err := p.acquire(host, &p.specs[i])
		if err != nil {
			return err
		}
		l.instances = append(l.instances, in)
		part, log := in.plugin, logSettings(&p.specs[i].Plugin)
		env := shared.Log(part.Env)
		l.logs = append(l.logs, env.Hold(log))
		part.Log = env.LoggerFor(log)
		plugins = append(plugins, part)
	}
	options := chain.Options{
		Timeout: p.timeout, Meter: meter, AnyScheme: p.any, Unused: l.unused, Part: p.part, Observe: p.traces.Observe(),
		Measure: measures(host, p.metrics),
	}
	if p.authn || len(p.owned) > 0 {
		options.Identity = &chain.Identity{Header: p.header, Owned: p.owned, ReadLater: p.later}
	}
	if p.debug != nil {
		o := *p.debug
		o.Log, o.Leads, o.Follows = slog.New(host.Log()), p.part.Leads, p.part.Follows
		options.Watch = debugview.New(o).Watch
	}
	if p.doc != nil && p.doc.consumers.source != nil {
		if l.set, err = p.doc.consumers.acquire(slog.New(host.Log())); err != nil {
			l.set = nil
			return err
		}
	}
	if len(p.forWhom) > 0 || l.set != nil {
		if l.consumers, err = newConsumerChains(host, meter, p, l.set); err != nil {
			l.consumers = nil
			return err
		}
		options.ForConsumer = l.consumers.chainFor
	}
	l.chain = chain.New(plugins, options)
	built = true
	return nil
}

// measures reports whether calls of phases are counted.
func measures(host core.ConfigHost, m document.Metrics) bool {
	if m == "" {
		h, ok := host.(core.PhaseMeasurer)
		return ok && h.MeasuresPhases()
	}
	return m == document.PhaseMetrics
}

// unused is called when no stream holds the chain of a consumer any more and no new one may. It may be on a stream's
// thread.
func (l *live) unused() { go l.close() }

// close releases what l holds, the last instance first, as it may use those before.
func (l *live) close() {
	if l.consumers != nil {
		l.consumers.close()
	}
	for _, drop := range l.logs {
		drop()
	}
	for _, in := range slices.Backward(l.instances) {
		in.release()
	}
	if l.set != nil {
		l.set.release()
	}
	l.instances, l.logs, l.set, l.consumers = nil, nil, nil, nil
}

// metrics adds those of the chain and of its consumers' chains to all.
func (l *live) metrics(all []*core.Metric) []*core.Metric {
	all = append(all, l.chain.Metrics()...)
	if l.set != nil {
		all = append(all, l.set.metrics()...)
	}
	for _, c := range l.consumers.all() {
		all = c.metrics(all)
	}
	return all
}

// chains adds the chain and those of its consumers to all.
func (l *live) chains(all []*chain.Chain) []*chain.Chain {
	all = append(all, l.chain)
	for _, c := range l.consumers.all() {
		all = c.chains(all)
	}
	return all
}
