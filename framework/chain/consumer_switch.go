package chain

import (
	"context"
	"errors"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

const (
	never    = position(^uint(0) >> 1)
	anywhere = position(-1)
)

// consumerSwitch is how far a stream is on its way to its consumer's chain.
type consumerSwitch struct {
	settled    bool  // the point of switching is past
	identified bool  // the consumer has been made known outside the chain
	waits      bool  // the request waits for the chain
	err        error // why the chain could not be made that the stream has waited for
}

// switchPoint says where a stream switches to its consumer's chain.
func switchPoint(plugins []Plugin, o Options) position {
	if o.ForConsumer == nil && o.Identity == nil {
		return never
	}
	n := position(0)
	for i, p := range plugins {
		if i > 0 && p.Reg.Stage < plugins[i-1].Reg.Stage {
			return anywhere // the operator has chosen the order
		}
		if p.Reg.Stage <= filter.Authn {
			n = position(i + 1)
		}
	}
	return n
}

var errPrefix = errors.New("the consumer's chain does not begin with the plugins that have run")

// switchChain has the stream go on with its consumer's chain, if it has one. It reports false when that failed and the
// request was answered, or when it waits for the chain.
func (st *Stream) switchChain(d *direction) bool {
	st.Mu.Lock()
	consumer, _ := st.Consumer.(*filter.Consumer)
	st.Mu.Unlock()
	if consumer == nil {
		st.consumer.settled = st.chain.switchAt != anywhere
		return true
	}
	st.consumer.settled = true
	if id := st.home.options.Identity; id != nil && !st.consumer.identified {
		st.consumer.identified = true
		st.identify(id, consumer)
	}
	if st.home.options.ForConsumer == nil {
		return true
	}
	st.consumer.waits = false
	if err := st.consumer.err; err != nil {
		return st.switchFailed(d, consumer, err)
	}
	to, err := st.consumerChain(consumer)
	if wait, ok := err.(notReady); ok {
		st.consumer.settled, st.consumer.waits = false, true
		st.suspendFor(d, WaitsForConsumer, func(ctx context.Context) core.Action {
			return core.Action{Kind: core.Again, P: &core.Payload{Err: wait.call(ctx)}}
		})
		return false
	}
	switch {
	case err != nil:
	case to == nil:
		return true
	case to == st.chain:
		to.releaseFromStream() // the reference that it took before is enough
		return true
	case !samePlugins(st.chain.plugins, to.plugins, int(d.at)):
		err = errPrefix
	default:
		st.switchTo(to, d.at)
		return true
	}
	if to != nil {
		to.releaseFromStream()
	}
	return st.switchFailed(d, consumer, err)
}

// switchFailed answers a request whose consumer's chain cannot be had.
func (st *Stream) switchFailed(d *direction, consumer *filter.Consumer, err error) bool {
	if len(st.chain.loggers) > 0 {
		st.log(index(max(d.at-1, 0))).Error("no chain for the consumer", "consumer", consumer.Name, "error", err)
	}
	st.reply(d, d.at, failed, "moe.consumer")
	return false
}

// expireConsumer answers a request whose consumer's chain is not made in time. No plugin is to blame, and there may be none.
func (st *Stream) expireConsumer(d *direction) {
	if st.Observer != nil {
		st.observeTimeout(d)
	}
	if len(st.chain.loggers) > 0 {
		st.log(index(max(d.at-1, 0))).Error("the consumer's chain is not made in time", "timeout", st.home.options.Timeout.String())
	}
	st.endWait(d, d.at, noConsumerChain, "moe.consumer.timeout")
}

// consumerChain guards against a panic of what assembles the chain.
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

// switchTo replaces the plugins from a position of the request on.
func (st *Stream) switchTo(to *Chain, at position) {
	if st.chain != st.home {
		st.chain.releaseFromStream() // the chain of a consumer that the stream had before
	}
	kept := st.handlers[:at]
	st.Mu.Lock()
	st.Loggers, st.Misuse = to.loggers, to.report
	st.Mu.Unlock()
	st.chain = to
	if to.perStream {
		st.makeHandlers(append(make([]phases, 0, len(to.plugins)), kept...))
	} else {
		st.handlers = to.static
	}
	n := position(len(to.plugins))
	st.d[Request].n = n
	st.d[Response].renumber(n)
}

// renumber has n plugins in the response's direction. An early response is at plugins that stay; their positions change
// with the number of those before them in its order.
func (d *direction) renumber(n position) {
	shift := n - d.n
	d.n = n
	if d.stage == idle && !d.sent && !d.suspended && !d.held.holds {
		return
	}
	d.at, d.first = d.at+shift, d.first+shift
	if !d.used {
		return
	}
	d.flight.from, d.flight.trailersFrom = d.flight.from+shift, d.flight.trailersFrom+shift
	if d.held.holds {
		d.held.by += shift
	}
	for _, p := range d.pipes.all {
		p.at += shift
	}
	if d.reader != nil {
		d.reader.first += shift
	}
}
