package chain

import (
	"context"
	"errors"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

const (
	never    = int(^uint(0) >> 1)
	anywhere = -1
)

// joinPoint says where a stream joins its consumer's chain.
func joinPoint(plugins []Plugin, o Options) int {
	if o.ForConsumer == nil && o.Identity == nil {
		return never
	}
	n := 0
	for i, p := range plugins {
		if i > 0 && p.Reg.Stage < plugins[i-1].Reg.Stage {
			return anywhere // the operator has chosen the order
		}
		if p.Reg.Stage <= filter.Authn {
			n = i + 1
		}
	}
	return n
}

var errPrefix = errors.New("the consumer's chain does not begin with the plugins that have run")

// join has the stream go on with its consumer's chain, when it has one. It reports false when that failed and the
// request was answered, or when it waits for the chain.
func (st *Stream) join(d *dir) bool {
	st.Mu.Lock()
	consumer, _ := st.Consumer.(*filter.Consumer)
	st.Mu.Unlock()
	c := st.chain
	if consumer == nil {
		st.joined = c.joinAt != anywhere
		return true
	}
	st.joined = true
	if id := st.home.options.Identity; id != nil && !st.identified {
		st.identified = true
		st.identify(id, consumer)
	}
	if st.home.options.ForConsumer == nil {
		return true
	}
	if st.joinErr != nil {
		return st.joinTo(d, consumer, nil, st.joinErr)
	}
	to, err := st.consumerChain(consumer)
	if wait, ok := err.(notReady); ok {
		st.joined = false
		st.suspend(Request, d, func(ctx context.Context) core.Action {
			return core.Action{Kind: core.Again, P: &core.Payload{Err: wait.call(ctx)}}
		})
		return false
	}
	return st.joinTo(d, consumer, to, err)
}

// joinTo has the stream go on with to, which is held for it.
func (st *Stream) joinTo(d *dir, consumer *filter.Consumer, to *Chain, err error) bool {
	c := st.chain
	if err == nil && to == nil {
		return true
	}
	if err == nil && to == c {
		to.releaseFromStream()
		return true
	}
	k := d.idx
	if err == nil && !samePlugins(c.plugins, to.plugins, k) {
		err = errPrefix
	}
	if err == nil {
		st.switchTo(to, k)
		return true
	}
	if to != nil {
		to.releaseFromStream()
	}
	p := max(k-1, 0)
	if len(c.loggers) > 0 {
		c.loggers[p].Error("no chain for the consumer", "consumer", consumer.Name, "error", err)
	}
	st.reply(Request, k, failed, "moe.consumer")
	return false
}

// consumerChain guards against a panic of what assembled the chain.
func (st *Stream) consumerChain(c *filter.Consumer) (to *Chain, err error) {
	defer func() {
		if v := recover(); v != nil {
			to, err = nil, errors.New("panic while the chain was made")
		}
	}()
	return st.home.options.ForConsumer(c)
}

func samePlugins(a, b []Plugin, n int) bool {
	if n > len(b) {
		return false
	}
	for i := range n {
		if a[i].Name != b[i].Name || a[i].Config != b[i].Config {
			return false
		}
	}
	return true
}

// switchTo replaces the plugins from position k on.
func (st *Stream) switchTo(to *Chain, k int) {
	if st.chain != st.home {
		st.chain.releaseFromStream() // the chain of a consumer that the stream had before
	}
	kept := st.own[:k]
	st.Mu.Lock()
	st.Plugins, st.Loggers, st.Misuse = to.names, to.loggers, to.report
	st.Mu.Unlock()
	st.chain = to
	switch {
	case to.perStream:
		st.makeHandlers(append(make([]phases, 0, len(to.plugins)), kept...))
	default:
		st.own = to.static
	}

	// An early response is at plugins before k; their positions in its order change with the number of plugins.
	n, r := len(to.plugins), &st.d[Response]
	r.used = true
	shift := n - r.n
	st.d[Request].n, r.n = n, n
	if r.stage == idle && !r.sent && !r.susp && r.hold < 0 {
		return
	}
	r.idx, r.base, r.tbase, r.first = r.idx+shift, r.base+shift, r.tbase+shift, r.first+shift
	if r.hold >= 0 {
		r.hold += shift
	}
	for _, p := range r.pipes {
		p.pos += shift
	}
	if r.src != nil {
		r.src.start += shift
	}
}
