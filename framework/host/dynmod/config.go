package dynmod

/*
#include "moe.h"
*/
import "C"

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host"
	"mosn.io/moe/framework/host/dynmod/internal/dynlog"
	"mosn.io/moe/framework/host/dynmod/internal/wire"
	"mosn.io/moe/framework/host/internal/inproc"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/telemetry"
)

// flushWait is how long traces may take to leave when Envoy drops the last configuration.
const flushWait = time.Second

// logger writes to Envoy's log.
var logger = dynlog.Handler

// filterConfig is one configuration of the filter in Envoy.
type filterConfig struct {
	filter *assembly.Filter
	own    *bound // without a route's changes

	secrets map[string]C.size_t // Envoy's numbers of those listed

	id      uint32
	refused inproc.Once[uint32] // routes whose streams are refused
	metrics map[string]metricID

	mu       sync.Mutex
	c        *C.moe_config     // nil once Envoy destroys it
	routes   map[uint32]*bound // by route id
	tasks    []task            // for the main thread
	callouts callouts
	quiet    chan struct{} // closed when no callout runs any more, if somebody waits for that
}

// Configurations and those of routes, by the numbers that C has of them.
var (
	configs inproc.Table[*filterConfig]
	routes  inproc.Table[*assembly.Route]
)

// moeConfigNew makes the configuration of a filter; false has Envoy reject it.
//
//export moeConfigNew
func moeConfigNew(c *C.moe_config, name *C.char, nameLen C.size_t, value *C.char, valueLen C.size_t) (ok C.bool) {
	filterName := goString(name, nameLen)
	defer inproc.Fence(logger, "framework panic in the filter "+filterName)
	doc, err := readDocument(goString(value, valueLen))
	if err != nil {
		return reject("filter", filterName, err)
	}
	conf := &filterConfig{c: c, metrics: map[string]metricID{}, routes: map[uint32]*bound{}}
	if conf.filter, err = assembler.Filter(filterName, doc); err != nil {
		return reject("filter", filterName, err)
	}
	own, err := conf.filter.Chain(nil)
	if err == nil {
		conf.secrets, err = subscribe(c, conf.filter.Secrets())
	}
	if err != nil {
		conf.filter.Close()
		return reject("filter", filterName, err)
	}
	conf.define(c, conf.filter.Metrics())
	conf.define(c, seenBefore())
	conf.define(c, undeclaredMetrics)
	conf.own = conf.bind(own, nil)
	c.id = C.uint32_t(configs.Add(conf, func(id uint32) { conf.id = id }))
	c.wants, c.constants = conf.own.wants, conf.own.constants
	return true
}

//export moeConfigDestroy
func moeConfigDestroy(id C.uint32_t) {
	defer inproc.Fence(logger, "framework panic while a filter was destroyed")
	conf := configs.Get(uint32(id))
	if conf == nil {
		return
	}
	conf.destroy()
	inproc.Background(logger, "closing a filter", conf.filter.Close)
	for range configs.All() {
		return
	}
	flush := func() { telemetry.Flush(flushWait) }
	if bool(C.moe_on_main_thread()) {
		flush() // Envoy may be about to exit, and waits for nothing else
	} else {
		inproc.Background(logger, "flushing traces", flush) // a worker has streams that wait
	}
}

// moeRouteNew makes a per-route configuration and returns its number; 0 has Envoy reject it.
//
//export moeRouteNew
func moeRouteNew(name *C.char, nameLen C.size_t, value *C.char, valueLen C.size_t) (id C.uint32_t) {
	filterName := goString(name, nameLen)
	defer inproc.Fence(logger, "framework panic in the route of "+filterName)
	doc, err := readDocument(goString(value, valueLen))
	if err == nil {
		var r *assembly.Route
		if r, err = assembler.Route(filterName, doc); err == nil {
			return C.uint32_t(routes.Add(r, nil))
		}
	}
	reject("route", filterName, err)
	return 0
}

//export moeRouteDestroy
func moeRouteDestroy(id C.uint32_t) {
	r := routes.Remove(uint32(id))
	if r == nil {
		return
	}
	for conf := range configs.All() {
		conf.mu.Lock()
		delete(conf.routes, uint32(id))
		conf.mu.Unlock()
		conf.refused.Forget(uint32(id))
	}
	inproc.Background(logger, "closing a route", r.Close)
}

func readDocument(raw string) (any, error) {
	doc, err := wire.Parse([]byte(raw))
	if err != nil {
		return nil, fmt.Errorf("filter_config: %w", err)
	}
	return doc, nil
}

// reject logs why; Envoy itself says no more than that the module failed to initialise.
func reject(what, name string, err error) C.bool {
	slog.New(logger).Error("configuration rejected: "+err.Error(), what, name)
	return false
}

// bound returns the chain of a route.
func (conf *filterConfig) bound(route uint32) (*bound, error) {
	if route == 0 {
		return conf.own, nil
	}
	conf.mu.Lock()
	defer conf.mu.Unlock()
	if b := conf.routes[route]; b != nil {
		return b, nil
	}
	r := routes.Get(route)
	ch, err := conf.filter.Chain(r)
	if err != nil {
		return nil, err
	}
	b := conf.own
	if ch != conf.own.chain {
		b = conf.bind(ch, r)
	}
	conf.routes[route] = b
	return b, nil
}

// refuse logs, once for each route, that its streams are refused.
func (conf *filterConfig) refuse(route uint32, err error) {
	if conf.refused.First(route) {
		slog.New(logger).Error("requests of this route are refused: " + err.Error())
	}
}

// bound is a chain with the metrics of one of Envoy's configurations.
type bound struct {
	chain     *chain.Chain
	conf      *filterConfig
	route     *assembly.Route
	wants     C.uint32_t // those of a stream that begins, see offer
	constants [core.Directions]*C.moe_constants
	metrics   atomic.Pointer[[]boundMetric]
	grown     atomic.Uint64 // assembly.Filter.Grown when they were paired
	flushed   atomic.Uint64 // core.MetricsDirtied when they were flushed last
	pace      core.Pace     // of lazy ones
}

// bind pairs a route's chain, and those of its consumers, with conf's metrics.
func (conf *filterConfig) bind(ch *chain.Chain, r *assembly.Route) *bound {
	b := &bound{chain: ch, conf: conf, route: r}
	b.wants, b.constants = offer(ch)
	b.pair(conf.filter.MetricsVersion(r))
	return b
}

// pair pairs the metrics that there are now, when the chains of consumers had grown so far.
func (b *bound) pair(grown uint64) {
	b.grown.Store(grown)
	metrics := b.conf.bindMetrics(b.conf.filter.ChainMetrics(b.route))
	b.metrics.Store(&metrics)
}

// configHost is core.ConfigHost for all configurations of the process, because plugins are shared between them. Metrics
// need nothing of it: each configuration declares what its filter lists.
type configHost struct{}

var assembler = assembly.New(configHost{})

func (configHost) Name() string { return "dynmod" }

func (configHost) Capabilities() uint32 {
	if !hasSecrets {
		return uint32(host.Dynmod &^ filter.CanReadSecret)
	}
	return uint32(host.Dynmod)
}

func (configHost) Log() slog.Handler { return logger }

func (configHost) Transport(cluster string) (http.RoundTripper, error) {
	return &transport{cluster: cluster}, nil
}
