package filtertest

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"testing"
	"time"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/filter"
)

// Load is [New] for a host whose fields must be set first, or whose configuration should be refused.
func (h *Host) Load(t testing.TB, plugins ...any) error {
	h.t = t
	if h.chain != nil {
		return fmt.Errorf("the host has its plugins already; Load is called once")
	}
	if h.Timeout == 0 {
		h.Timeout = 5 * time.Second
	}
	h.metrics, h.ofConsumers, h.meter = map[string]*metric{}, map[string]*chain.Chain{}, chain.NewMeter()
	h.watch()
	t.Cleanup(h.shut)
	var err error
	if h.set, err = shared.NewConsumerSet(h.Consumers); err != nil {
		return err
	}
	list, err := h.provisionAll(plugins)
	if err != nil {
		return err
	}
	h.list = list
	o := h.options()
	if h.ConsumerPlugins != nil {
		for name, plugins := range h.ConsumerPlugins {
			if h.ofConsumers[name], err = h.consumerChain(plugins); err != nil {
				return fmt.Errorf("consumer %s: %w", name, err)
			}
		}
		o.ForConsumer = func(c *filter.Consumer) (*chain.Chain, error) {
			own := h.ofConsumers[c.Name]
			if own != nil && !own.Acquire() {
				return nil, fmt.Errorf("the chain of consumer %s is closed", c.Name)
			}
			return own, nil
		}
	}
	h.chain = chain.New(list, o)
	return nil
}

func (h *Host) options() chain.Options {
	return chain.Options{
		Timeout: h.Timeout, Misuse: h.bug, Meter: h.meter,
		AnyScheme: h.AnyScheme, Identity: &chain.Identity{Header: h.ConsumerHeader},
	}
}

// SetConsumers replaces the consumers while the host runs, as a file does that is watched. An error keeps those that
// there were.
func (h *Host) SetConsumers(list []*filter.Consumer) error { return h.set.Replace(list) }

func (h *Host) provisionAll(plugins []any) (list []chain.Plugin, err error) {
	ids := map[string]int{}
	for _, p := range plugins {
		reg, value, err := h.decode(p)
		if err != nil {
			return nil, err
		}
		id := reg.Name
		if ids[reg.Name]++; ids[reg.Name] > 1 {
			id = fmt.Sprintf("%s%d", reg.Name, ids[reg.Name])
		}
		env, err := h.provision(reg, id, value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", reg.Name, err)
		}
		list = append(list, chain.Plugin{Name: id, Reg: reg, Config: value, Env: env})
	}
	return list, nil
}

// decode finds the registration and the struct of what New was given.
func (h *Host) decode(p any) (*filter.Registration, any, error) {
	if c, ok := p.(Config); ok {
		reg := filter.Lookup(c.Name)
		if reg == nil {
			return nil, nil, fmt.Errorf("unknown plugin %q", c.Name)
		}
		raw, err := config.Parse([]byte(c.JSON))
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		if raw == nil {
			raw = map[string]any{}
		}
		value := reg.New()
		d := &config.Decoder{Plugin: reg.Name}
		return reg, value, d.Decode(raw, value)
	}
	t := reflect.TypeOf(p)
	if t == nil || t.Kind() != reflect.Pointer {
		return nil, nil, fmt.Errorf("expected a pointer to a plugin's struct, got %T", p)
	}
	reg := filter.LookupType(t.Elem())
	if reg == nil {
		return nil, nil, fmt.Errorf("%T is not registered", p)
	}
	return reg, p, config.Complete(reg.Name, p)
}

func (h *Host) provision(reg *filter.Registration, id string, value any) (env *filter.Env, err error) {
	if lacks := reg.Needs & h.Lacks; lacks != 0 {
		return nil, fmt.Errorf("this host lacks %v", lacks)
	}
	env, done := shared.NewEnv(extension.EnvConfig{
		Host: configHost{h}, ID: id, Plugin: reg.Name, Consumers: h.set,
		Decode: config.Decode,
	})
	if v, ok := value.(filter.Provisioner); ok {
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic in Provision: %v", v)
			}
			if err != nil {
				done()
			}
		}()
		if err := v.Provision(env); err != nil {
			return nil, err
		}
	}
	if _, err := internals.Constants(value); err != nil {
		done()
		return nil, err
	}
	h.closers = append(h.closers, func() {
		done()
		if c, ok := value.(io.Closer); ok {
			if err := c.Close(); err != nil {
				h.bug(id, "fails to close: "+err.Error())
			}
		}
	})
	return env, nil
}

// consumerChain is the host's chain with a consumer's plugins over it.
func (h *Host) consumerChain(plugins []any) (*chain.Chain, error) {
	own, err := h.provisionAll(plugins)
	if err != nil {
		return nil, err
	}
	list := append([]chain.Plugin(nil), h.list...)
next:
	for _, p := range own {
		for i := range list {
			if list[i].Name == p.Name {
				list[i] = p
				continue next
			}
		}
		list = append(list, p)
	}
	return chain.New(list, h.options()), nil
}

// shut ends the test.
func (h *Host) shut() {
	h.mu.Lock()
	open := h.open
	h.mu.Unlock()
	if open > 0 {
		h.bug("(host)", fmt.Sprintf("leaves %d streams open", open))
	}
	for _, f := range h.closers {
		f()
	}
	h.leaks()
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
}

// configHost is the core.ConfigHost of a Host.
type configHost struct{ h *Host }

// Name is that of the host.
func (c configHost) Name() string { return "filtertest" }

// Capabilities are all but Host.Lacks.
func (c configHost) Capabilities() uint32 { return ^uint32(c.h.Lacks) }

// Log goes to Host.Log.
func (c configHost) Log() slog.Handler { return c.h.handler() }

// Transport finds what Host.Clusters has.
func (c configHost) Transport(cluster string) (http.RoundTripper, error) {
	if rt := c.h.Clusters[cluster]; rt != nil && c.h.Lacks&filter.CanCallout == 0 {
		return rt, nil
	}
	return nil, fmt.Errorf("cluster %q: %w", cluster, filter.ErrUnsupported)
}
