package mosn

import (
	"context"
	"errors"
	"fmt"

	"mosn.io/api"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/guard"
	"mosn.io/moe/framework/network"
)

// onNetwork is the door to package network for the framework's own packages.
var onNetwork = network.Internals(core.Internal{})

// NetworkFilters runs MOSN's network filters, from a list as a filter chain has it in mosn_config.json. It is the network
// filter "mosn".
//
// What follows the list in MOSN, such as tcp_proxy, follows it as a filter of Envoy's: it gets what the last filter of the
// list lets pass.
type NetworkFilters struct {
	// NetworkFilters are the filters, in the order in which MOSN runs them.
	NetworkFilters []NetworkFilter `json:"network_filters" validate:"required"`

	list    []networkFactory
	reports *reports
	health  hostHealth
	env     *network.Env
}

// NetworkFilter is one entry of the filters of MOSN's filter chains.
type NetworkFilter struct {
	// Type is the name under which the filter is registered.
	Type string `json:"type" validate:"required"`
	// Config is the filter's own, as the filter defines it.
	Config map[string]any `json:"config,omitempty"`
}

// networkFactory makes the filters of one entry of the list.
type networkFactory struct {
	typ string
	api.NetworkFilterChainFactory
}

func init() { network.RegisterPerConnection("mosn", newNetHandler) }

// Provision makes the filters' factories.
func (f *NetworkFilters) Provision(env *network.Env) error {
	f.env = env
	f.reports = newReports(env)
	prepareVariables()
	logTo(env.Log())
	var errs []error
	for i, entry := range f.NetworkFilters {
		factory, err := networkFilters.create(entry.Type, entry.Config)
		if err == nil {
			err = f.try(entry.Type, factory)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("network_filters[%d]%w", i, err))
			continue
		}
		f.list = append(f.list, networkFactory{entry.Type, factory})
	}
	return errors.Join(errs...)
}

// try has a factory make filters of a connection that does not exist. One that adds nothing has found its configuration
// wrong too late to say so, and connections would pass unchecked.
func (f *NetworkFilters) try(typ string, factory api.NetworkFilterChainFactory) (err error) {
	if _, is := factory.(api.FactoryInitializer); is {
		return fmt.Errorf(": %s: %w", typ, &UnsupportedError{
			"FactoryInitializer.Init", "the factory wants MOSN's listener, and listeners are Envoy's",
		})
	}
	var c networkCollected
	defer func() {
		if v := recover(); v != nil {
			err = nil // it may need a connection
			text, _ := guard.Text(v)
			f.env.Log().Warn("the factory of a MOSN filter panics when it makes filters without a connection; if it needs none, "+
				"its configuration is at fault, and connections will be reset", "type", typ, "panic", text)
		}
	}()
	factory.CreateFilterChain(newContext(context.Background()), &c)
	if len(c.reads)+len(c.writes) == 0 {
		return fmt.Errorf(": %s: the factory adds no filter to a connection; its configuration may be wrong: see the log", typ)
	}
	return nil
}

// networkCollected is what a factory adds for one connection.
type networkCollected struct {
	typ    string // of the factory whose turn it is
	reads  []readFilter
	writes []writeFilter
}

type writeFilter struct {
	typ string
	api.WriteFilter
}

func (c *networkCollected) AddReadFilter(f api.ReadFilter) {
	c.reads = append(c.reads, readFilter{typ: c.typ, ReadFilter: f})
}

func (c *networkCollected) AddWriteFilter(f api.WriteFilter) {
	c.writes = append(c.writes, writeFilter{c.typ, f})
}
