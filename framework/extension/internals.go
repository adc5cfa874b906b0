package extension

import (
	"context"
	"slices"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/logs"
)

// Internals is for the framework's own packages, the only ones that can name its argument. What it leads to may change
// at any time.
func Internals(core.Internal) internals { return internals{} }

type internals struct{}

// EnvConfig is what the framework makes an Env from.
type EnvConfig struct {
	Host      core.ConfigHost
	ID        string                    // in the chain
	Plugin    string                    // the registered name
	Consumers *ConsumerSet              // nil: none
	Decode    func(raw, into any) error // strict, as framework/config's; nil: plain JSON. Any goroutine calls it
	Log       *logs.Settings            // of whoever is the first to use it; nil: the standard ones
}

// NewEnv makes an Env. The function it returns closes it.
func (internals) NewEnv(c EnvConfig) (*Env, func()) {
	e := &Env{
		ID: c.ID, Plugin: c.Plugin, host: c.Host, consumers: c.Consumers, decode: c.Decode,
		idle: make(chan struct{}),
	}
	settings := logs.Standard
	if c.Log != nil {
		settings = *c.Log
	}
	e.log = logs.New(c.Host.Log(), c.ID, settings)
	e.logger = e.log.Logger()
	if e.consumers == nil {
		e.consumers = noConsumers
	}
	if e.decode == nil {
		e.decode = decodeJSON
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e, func() {
		e.close(closeWait)
		e.log.Close()
	}
}

// Log returns the log of e.
func (internals) Log(e *Env) *logs.Log { return e.log }

// Seal says that Provision has returned: from then on metrics that are declared and consumers that are indexed are
// mistakes of the plugin. It may be called again.
func (internals) Seal(e *Env) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sealed = true
}

// Metrics returns what the plugin has declared, once e is sealed.
func (internals) Metrics(e *Env) []*core.Metric {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.metrics)
}

// Sum returns the sum of all additions to c in this process, whatever the tags; 0 for nil.
func (internals) Sum(c *Counter) int64 {
	if c == nil {
		return 0
	}
	return c.m.Sum()
}

// Prepared returns what prepare makes, which it calls once for e.
func (internals) Prepared(e *Env, prepare func() any) any {
	e.prepare.Do(func() { e.prepared = prepare() })
	return e.prepared
}

// NewConsumerSet makes a set. Names must differ.
func (internals) NewConsumerSet(list []*Consumer) (*ConsumerSet, error) { return newConsumerSet(list) }

// SetOverlay keeps with c what the plugins of a consumer from a file are merged from.
func (internals) SetOverlay(c *Consumer, overlay any) { c.overlay = overlay }

// Overlay returns what SetOverlay has set.
func (internals) Overlay(c *Consumer) any { return c.overlay }

// ConsumerMetadata returns what Envoy's metadata say of c: its name, and its groups as a list or nil.
func (internals) ConsumerMetadata(c *Consumer) (name, groups any) { return c.metadata() }
