package assembly

import (
	"cmp"
	"maps"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/logs"
	"mosn.io/moe/framework/telemetry"
)

// process has what is counted of the whole process, beside what chains and plugins count. What has a size is looked at
// every sampleInterval, while there is a filter.
var process = newCounts()

const sampleInterval = 5 * time.Second

type counts struct {
	loads, inUse, caches *core.Metric
	runtime              []*sampled

	consumerChains atomic.Int64 // that are ready

	mu      sync.Mutex
	filters map[*Filter]bool // open ones
	stop    chan struct{}    // ends the sampler; nil while none runs
	last    map[*core.Cell]int64
}

// sampled is a metric of the Go runtime's.
type sampled struct {
	metric *core.Metric
	name   string // as package runtime/metrics has it
	scale  float64
}

func newCounts() *counts {
	c := &counts{filters: map[*Filter]bool{}, last: map[*core.Cell]int64{}}
	c.loads = core.Define(core.Definition{
		Name: "moe.config.loads", Tags: []string{"of", "result"},
		Help: "Configurations of filters (`filter`) and routes (`route`) that were taken (`ok`) or not (`rejected`).",
	}).Metric()
	c.inUse = core.Define(core.Definition{
		Name: "moe.config.in_use", Kind: core.Gauge, Tags: []string{"of"},
		Help: "Configurations that are in use: those of now, and older ones while streams run on them.",
	}).Metric()
	c.caches = core.Define(core.Definition{
		Name: "moe.cache.entries", Kind: core.Gauge, Tags: []string{"cache"},
		Help: "What is kept: plugins' instances (`instances`), chains (`chains`), those of consumers (`consumer_chains`), sets of " +
			"consumers (`consumer_sets`).",
	}).Metric()
	for _, s := range []struct {
		kind             core.MetricKind
		name, from, help string
		scale            float64
	}{
		{core.Gauge, "moe.go.goroutines", "/sched/goroutines:goroutines", "Goroutines.", 1},
		{core.Gauge, "moe.go.heap_bytes", "/memory/classes/heap/objects:bytes", "Memory of Go objects.", 1},
		{core.Gauge, "moe.go.memory_bytes", "/memory/classes/total:bytes", "Memory that the Go runtime has from the system.", 1},
		{core.Counter, "moe.go.gc_cycles", "/gc/cycles/total:gc-cycles", "Cycles of the garbage collector.", 1},
		{
			core.Counter, "moe.go.gc_cpu_ms", "/cpu/classes/gc/total:cpu-seconds", "CPU that the garbage collector took, in milliseconds.",
			1000,
		},
	} {
		m := core.Define(core.Definition{Name: s.name, Kind: s.kind, Help: s.help + " Looked at every 5 seconds."}).Metric()
		c.runtime = append(c.runtime, &sampled{m, s.from, s.scale})
	}
	for _, of := range []string{"filter", "route"} {
		c.inUse.With(of)
		c.loads.With(of, "ok")
		c.loads.With(of, "rejected")
	}
	return c
}

// metrics returns what hosts are to show of the process.
func (c *counts) metrics() []*core.Metric {
	all := []*core.Metric{c.loads, c.inUse, c.caches, core.Dropped()}
	for _, s := range c.runtime {
		all = append(all, s.metric)
	}
	return append(append(all, logs.Metrics()...), telemetry.Metrics()...)
}

// loaded counts an attempt to load a configuration.
func (c *counts) loaded(of string, err error) {
	result := "ok"
	if err != nil {
		result = "rejected"
	} else {
		c.inUse.With(of).Add(1)
	}
	c.loads.With(of, result).Add(1)
}

// closed counts a configuration that is no longer in use.
func (c *counts) closed(of string) { c.inUse.With(of).Add(-1) }

// open has the sampler look at f too. It runs while there is a filter.
func (c *counts) open(f *Filter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.filters[f] = true
	if c.stop != nil {
		return
	}
	stop := make(chan struct{})
	c.stop = stop
	go func() {
		t := time.NewTicker(sampleInterval)
		defer t.Stop()
		for {
			c.sample()
			select {
			case <-stop:
				return
			case <-t.C:
			}
		}
	}()
}

// inOrder returns the open filters, by host and name.
func (c *counts) inOrder() []*Filter {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Keys(c.filters), func(f, g *Filter) int {
		return cmp.Or(cmp.Compare(f.a.host.Name(), g.a.host.Name()), cmp.Compare(f.name, g.name))
	})
}

// forget is the end of open.
func (c *counts) forget(f *Filter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.filters, f)
	if len(c.filters) == 0 && c.stop != nil {
		close(c.stop)
		c.stop = nil
	}
}

// sample looks at what has a size.
func (c *counts) sample() {
	c.mu.Lock()
	defer c.mu.Unlock()
	chains := 0
	for f := range c.filters {
		chains += len(f.chains.All())
	}
	for cache, n := range map[string]int{
		"instances": len(instances.All()), "consumer_sets": len(consumerSets.All()), "chains": chains,
		"consumer_chains": int(c.consumerChains.Load()),
	} {
		c.set(c.caches.With(cache), int64(n))
	}
	samples := make([]metrics.Sample, len(c.runtime))
	for i, s := range c.runtime {
		samples[i].Name = s.name
	}
	metrics.Read(samples)
	for i, s := range c.runtime {
		switch v := samples[i].Value; v.Kind() {
		case metrics.KindUint64:
			c.set(s.metric.Cell(nil), int64(v.Uint64()))
		case metrics.KindFloat64:
			c.set(s.metric.Cell(nil), int64(v.Float64()*s.scale))
		}
	}
}

// set has a cell be n. c.mu is held.
func (c *counts) set(cell *core.Cell, n int64) {
	cell.Add(n - c.last[cell])
	c.last[cell] = n
}
