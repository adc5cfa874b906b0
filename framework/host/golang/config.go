package golang

/*
#include <stdlib.h>
#include "gate.h"
#include "resolve.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host"
	"mosn.io/moe/framework/host/internal/inproc"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/telemetry"
)

// conf is one configuration that Envoy has a number of: a filter's, a route's, or what both make.
type conf struct {
	c       *C.golang_config
	name    string           // plugin_name
	filter  *assembly.Filter // nil: a route's
	route   *assembly.Route  // nil: a filter's
	ours    bool             // route was made here, of two
	bound   *bound           // the chain, nil for a route's
	metrics *metrics         // of the filter
	parents []*conf          // what it was made of
	err     error            // why its streams are refused
	refused sync.Once        // it was logged
}

// bound is a chain with the metrics of one of Envoy's configurations.
type bound struct {
	chain   *chain.Chain
	metrics *metrics
	own     []*core.Metric
	flushed atomic.Uint64 // core.MetricsDirtied when they were flushed last
	pace    core.Pace     // of lazy ones
}

// confs are all configurations: by Envoy's numbers, and by what C knows them by until nothing uses them.
var confs = struct {
	sync.RWMutex
	numbered map[uint64]*conf
	used     map[*C.golang_config]*conf
	last     uint64
}{numbered: map[uint64]*conf{}, used: map[*C.golang_config]*conf{}}

func (c *conf) register() C.uint64_t {
	c.c = (*C.golang_config)(C.calloc(1, C.sizeof_golang_config))
	c.c.uses = 1
	for _, p := range c.parents {
		p.use()
	}
	confs.Lock()
	defer confs.Unlock()
	confs.last++
	c.c.id = C.uint64_t(confs.last)
	confs.numbered[confs.last], confs.used[c.c] = c, c
	return c.c.id
}

// use keeps c until release. The caller holds the lock of confs, or uses c already.
func (c *conf) use() { atomic.AddInt64((*int64)(unsafe.Pointer(&c.c.uses)), 1) }

func (c *conf) release() {
	if atomic.AddInt64((*int64)(unsafe.Pointer(&c.c.uses)), -1) == 0 {
		unused(c.c)
	}
}

// Live returns how many streams Envoy has shown and not destroyed, and how many configurations, of all levels, are in
// use. Any goroutine may call it.
func Live() (streams, configurations int) {
	confs.RLock()
	defer confs.RUnlock()
	return int(atomic.LoadInt64((*int64)(unsafe.Pointer(&C.golang_live)))), len(confs.used)
}

var errUnknown = errors.New("a configuration that Envoy has destroyed is used")

// configOf returns a configuration, which it uses, and its chain.
func configOf(id uint64) (*conf, *bound, error) {
	confs.RLock()
	defer confs.RUnlock()
	c := confs.numbered[id]
	if c == nil {
		return nil, nil, errUnknown
	}
	c.use()
	if c.err == nil && c.bound == nil {
		return c, nil, fmt.Errorf("%s: a route's configuration without a filter's", c.name)
	}
	return c, c.bound, c.err
}

// refuse logs, once, that streams are refused.
func (c *conf) refuse(err error) {
	if c == nil {
		slog.New(logger).Error("a request is refused: " + err.Error())
		return
	}
	c.refused.Do(func() {
		slog.New(logger).Error("requests are refused: "+err.Error(), "plugin_name", c.name)
	})
}

// envoyGoFilterNewHttpPluginConfig makes a configuration and returns its number; 0 has Envoy reject it.
//
//export envoyGoFilterNewHttpPluginConfig
func envoyGoFilterNewHttpPluginConfig(c *C.httpConfig) (id C.uint64_t) {
	sweeper.Do(func() { go sweep() })
	name := given(c.plugin_name_ptr, C.int(c.plugin_name_len))
	var err error
	ofRoute := c.is_route_config != 0
	func() {
		defer recovered(&err, "the framework")
		id, err = load(c, name, ofRoute)
	}()
	if err == nil {
		return id
	}
	what := "filter"
	if ofRoute {
		what = "route"
	}
	slog.New(logger).Error("configuration rejected: "+err.Error(), what, name)
	if ofRoute && !bool(C.golang_on_main_thread()) {
		// Envoy parses a static route's configuration at its first request, and would end if it were rejected then.
		return (&conf{name: name, err: err}).register()
	}
	if !ofRoute {
		finalize(c)
	}
	return 0
}

// load reads a configuration of plugin_name name.
func load(c *C.httpConfig, name string, ofRoute bool) (C.uint64_t, error) {
	doc, err := document([]byte(given(c.config_ptr, C.int(c.config_len))))
	if err != nil {
		return 0, fmt.Errorf("plugin %q: %w", name, err)
	}
	if ofRoute {
		r, err := assembler.Route(name, doc)
		if err != nil {
			return 0, err
		}
		return (&conf{name: name, route: r}).register(), nil
	}
	f, err := assembler.Filter(name, doc)
	if err != nil {
		return 0, err
	}
	ch, err := f.Chain(nil)
	if err != nil {
		f.Close()
		return 0, err
	}
	m := newMetrics(c)
	m.declare(f.Metrics())
	conf := &conf{name: name, filter: f, metrics: m, bound: bind(ch, m, f.ChainMetrics(nil))}
	return conf.register(), nil
}

// recovered turns a panic into an error.
func recovered(err *error, who string) {
	if p := recover(); p != nil {
		inproc.LogPanic(logger, "panic while a configuration was loaded", p)
		*err = fmt.Errorf("panic in %s: %v", who, p)
	}
}

// envoyGoFilterMergeHttpPluginConfig puts a more special configuration over a more general one. Envoy asks for it on
// the thread of the first request that needs it, and no way to report that it fails: such streams are refused.
//
//export envoyGoFilterMergeHttpPluginConfig
func envoyGoFilterMergeHttpPluginConfig(name, nameLen, parent, child C.uint64_t) C.uint64_t {
	merged := &conf{name: given(name, C.int(nameLen))}
	confs.RLock()
	p, c := confs.numbered[uint64(parent)], confs.numbered[uint64(child)]
	for _, from := range []*conf{p, c} {
		if from != nil {
			from.use()
			defer from.release()
		}
	}
	confs.RUnlock()
	if p == nil || c == nil {
		merged.err = errUnknown
		return merged.register()
	}
	merged.parents = []*conf{p, c}
	merged.err = func() (err error) {
		defer recovered(&err, "the framework")
		return merged.merge(p, c)
	}()
	return merged.register()
}

func (m *conf) merge(p, c *conf) (err error) {
	if err := errors.Join(p.err, c.err); err != nil {
		return err
	}
	m.filter, m.metrics, m.route = p.filter, p.metrics, c.route
	if p.route != nil {
		if m.route, err = assembler.Merge(p.route, c.route); err != nil {
			return err
		}
		m.ours = true
	}
	if m.filter == nil {
		return nil
	}
	ch, err := m.filter.Chain(m.route)
	if err != nil {
		return err
	}
	m.bound = p.bound
	if ch != p.bound.chain {
		m.bound = bind(ch, m.metrics, m.filter.ChainMetrics(m.route))
	}
	return nil
}

// graceTime is how long a merged configuration is known after Envoy has destroyed it: another thread may have read its
// number and not used it yet.
const graceTime = 2 * time.Second

// envoyGoFilterDestroyHttpPluginConfig forgets a configuration; streams that run finish on it.
//
//export envoyGoFilterDestroyHttpPluginConfig
func envoyGoFilterDestroyHttpPluginConfig(id C.uint64_t, later C.int64_t) {
	if later != 0 {
		time.AfterFunc(graceTime, func() { forget(uint64(id)) })
		return
	}
	forget(uint64(id))
}

func forget(id uint64) {
	confs.Lock()
	c := confs.numbered[id]
	delete(confs.numbered, id)
	last := len(confs.numbered) == 0
	confs.Unlock()
	if c != nil {
		c.release()
	}
	switch flush := func() { telemetry.Flush(flushWait) }; {
	case !last:
	case bool(C.golang_on_main_thread()):
		flush() // Envoy may be about to exit, and waits for nothing else
	default:
		inproc.Background(logger, "flushing traces", flush) // a worker has streams that wait
	}
}

// flushWait is how long traces may take to leave when Envoy drops the last configuration, as it does before it exits.
const flushWait = time.Second

// unused is called once nothing uses a configuration any more. To close plugins may take as long as their goroutines
// do, and so is done off Envoy's threads.
func unused(c *C.golang_config) {
	confs.RLock()
	conf := confs.used[c]
	confs.RUnlock()
	inproc.Background(logger, "closing a configuration", conf.close)
}

func (c *conf) close() {
	switch {
	case len(c.parents) > 0:
		if c.ours {
			c.route.Close()
		}
		for _, p := range c.parents {
			p.release()
		}
	case c.filter != nil:
		c.filter.Close()
		finalize(c.metrics.c)
	case c.route != nil:
		c.route.Close()
	}
	confs.Lock()
	delete(confs.used, c.c)
	confs.Unlock()
	C.free(unsafe.Pointer(c.c))
}

// configHost is core.ConfigHost for all configurations of the process, because plugins are shared between them.
type configHost struct{}

var assembler = assembly.New(configHost{})

func (configHost) Name() string      { return Name }
func (configHost) Log() slog.Handler { return logger }

// Capabilities depend on who plays Envoy's filter, which no longer changes when configurations are loaded.
func (configHost) Capabilities() uint32 {
	if C.golang_limits()&C.GOLANG_LIMIT_BODY_WAITS != 0 {
		return uint32(host.Bridge)
	}
	return uint32(host.Golang)
}

// MayListSecrets says where they are listed: Envoy reads that list, before anything gets to plugins.
func (configHost) MayListSecrets() error {
	return errors.New("belongs to the Golang filter itself, not to its plugins: list them in the field generic_secrets " +
		"of its configuration, beside plugin_name")
}

func (configHost) Transport(cluster string) (http.RoundTripper, error) {
	return nil, fmt.Errorf("cluster %s: Envoy's Golang filter cannot be asked to call its clusters: %w",
		cluster, filter.ErrUnsupported)
}
