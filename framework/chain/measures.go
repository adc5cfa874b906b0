package chain

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// phaseBounds are those of what phases take and wait, in microseconds.
var phaseBounds = []int64{1, 5, 25, 100, 250, 500, 1000, 5000, 25_000, 100_000, 1_000_000, 10_000_000}

// measures are the metrics of Options.Measure. The process has them once: hosts hand over what was recorded since the last
// time, whichever chain has recorded it.
var measures = newMeasures()

// measurements are metrics with their series, by plugin and by chain.
type measurements struct {
	calls, active, replies, errors, begun, streams *core.Metric
	duration, wait                                 *core.Buckets

	byPlugin atomic.Pointer[map[string]*pluginSeries] // a new map for each new plugin, so that to look up takes no lock
	byChain  atomic.Pointer[map[string]*chainSeries]
	mu       sync.Mutex // to make a new map
}

func newMeasures() *measurements {
	define := func(kind core.MetricKind, name, help string, tags ...string) *core.Definition {
		d := core.Definition{Name: name, Kind: kind, Tags: tags, Help: help, Phases: true}
		if kind == core.Histogram {
			d.Bounds = phaseBounds
		}
		return core.Define(d)
	}
	m := &measurements{
		calls: define(core.Counter, "moe.phase.calls", "Calls of the plugin's phase.", "plugin", "phase").Metric(),
		active: define(core.Gauge, "moe.phase.active",
			"Calls of the phase that are under way, with what the plugin has given to `Go`.", "plugin", "phase").Metric(),
		replies: define(core.Counter, "moe.phase.replies",
			"Requests that the plugin has answered, by the class of the status (`2xx` to `5xx`).", "plugin", "phase", "class").Metric(),
		errors: define(core.Counter, "moe.phase.errors",
			"Calls that have failed: by a panic (`panic`), by a wait that took too long (`timeout`), by an error of the plugin's "+
				"(`error`). The phase is `other` for what plugins do between phases, such as a pipe.", "plugin", "phase", "error").Metric(),
		begun:   define(core.Counter, "moe.streams.begun", "Streams that the chain has begun.", "chain").Metric(),
		streams: define(core.Gauge, "moe.streams.active", "Streams that are under way.", "chain").Metric(),
		duration: core.NewBuckets(define(core.Histogram, "moe.phase.duration_us",
			"How long calls of the phase took, in microseconds, with what the plugin has given to `Go`.", "plugin", "phase")),
		wait: core.NewBuckets(define(core.Histogram, "moe.phase.wait_us",
			"How long requests waited for the plugin, in microseconds: for what it has given to `Go` (`go`), or for the body "+
				"that it wants (`body`).", "plugin", "phase", "for")),
	}
	m.byPlugin.Store(&map[string]*pluginSeries{})
	m.byChain.Store(&map[string]*chainSeries{})
	return m
}

// all returns the metrics that hosts are to declare and to flush.
func (m *measurements) all() []*core.Metric {
	all := []*core.Metric{m.calls, m.active, m.replies, m.errors, m.begun, m.streams}
	return append(append(all, m.duration.Metrics()...), m.wait.Metrics()...)
}

// pluginSeries has the series of a plugin's phases, by phase.
type pluginSeries [phase.Count]atomic.Pointer[phaseSeries]

// phaseSeries are those that most calls need; others are looked up.
type phaseSeries struct {
	calls, active *core.Cell
	duration      *core.BucketCell
	wait          [WaitsForConsumer]atomic.Pointer[core.BucketCell]
}

// chainSeries are those of the chains of one name.
type chainSeries struct {
	begun, streams *core.Cell
	active         atomic.Int64
}

// maxMeasured bounds how many plugins and chains have series of their own, as streams may bring documents with ids of
// plugins.
const maxMeasured = 1000

// know makes the series of a plugin's phases, so that hosts that must declare ahead find them.
func (m *measurements) know(plugin string, has phase.Set) {
	s, plugin := m.plugin(plugin)
	for p := range phase.Phase(phase.Count) {
		if has.Has(p) {
			m.of(s, plugin, p)
		}
	}
}

// plugin returns the series of a plugin, and the plugin's name in them.
func (m *measurements) plugin(id string) (*pluginSeries, string) {
	if s := (*m.byPlugin.Load())[id]; s != nil {
		return s, id
	}
	return remember(&m.mu, &m.byPlugin, id, func(string) *pluginSeries { return &pluginSeries{} })
}

// chain returns the series of the chains of a name.
func (m *measurements) chain(name string) *chainSeries {
	if s := (*m.byChain.Load())[name]; s != nil {
		return s
	}
	s, _ := remember(&m.mu, &m.byChain, name, func(name string) *chainSeries {
		return &chainSeries{begun: m.begun.With(name), streams: m.streams.With(name)}
	})
	return s
}

// remember adds a value for name to a map, or for all others where the map is full, and returns it and its name.
func remember[T any](mu *sync.Mutex, in *atomic.Pointer[map[string]*T], name string, fresh func(string) *T) (*T, string) {
	mu.Lock()
	defer mu.Unlock()
	old := *in.Load()
	if len(old) >= maxMeasured && old[name] == nil {
		name = core.OtherValues
	}
	if v := old[name]; v != nil {
		return v, name
	}
	all := maps.Clone(old)
	all[name] = fresh(name)
	in.Store(&all)
	return all[name], name
}

// of returns the series of a phase.
func (m *measurements) of(s *pluginSeries, plugin string, p phase.Phase) *phaseSeries {
	if f := s[p].Load(); f != nil {
		return f
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := s[p].Load(); f != nil {
		return f
	}
	name := p.String()
	f := &phaseSeries{
		calls: m.calls.With(plugin, name), active: m.active.With(plugin, name), duration: m.duration.Cell(plugin, name),
	}
	s[p].Store(f)
	return f
}

// waits returns the series of what a phase waits for.
func (m *measurements) waits(f *phaseSeries, plugin string, p phase.Phase, k WaitKind) *core.BucketCell {
	at := &f.wait[k]
	if c := at.Load(); c != nil {
		return c
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := at.Load(); c != nil {
		return c
	}
	c := m.wait.Cell(plugin, p.String(), k.String())
	at.Store(c)
	return c
}

// Observe is that of Observer, for all streams.
func (m *measurements) Observe(e Observation) {
	if e.Plugin == "" {
		return
	}
	s, plugin := m.plugin(e.Plugin)
	switch e.Kind {
	case PhaseBegins:
		f := m.of(s, plugin, e.Phase)
		f.calls.Add(1)
		f.active.Add(1)
	case PhaseEnds:
		f := m.of(s, plugin, e.Phase)
		f.active.Add(-1)
		f.duration.Record(e.Took.Microseconds())
	case WaitEnds:
		if int(e.Phase) < phase.Count && e.Wait < WaitsForConsumer {
			m.waits(m.of(s, plugin, e.Phase), plugin, e.Phase, e.Wait).Record(e.Took.Microseconds())
		}
	case StreamReplies:
		if e.Own {
			m.replies.Cell([]string{plugin, named(e.Phase.String()), class(e.Status)}).Add(1)
		}
	case PluginPanics:
		m.errors.Cell([]string{plugin, named(e.Details), "panic"}).Add(1)
	case PluginTimesOut:
		m.errors.Cell([]string{plugin, named(e.Phase.String()), "timeout"}).Add(1)
	case PluginFails:
		m.errors.Cell([]string{plugin, named(e.Phase.String()), "error"}).Add(1)
	}
}

// named returns place where that is the name of a phase, and "other" where it is not.
func named(place string) string {
	for p := range phase.Phase(phase.Count) {
		if p.String() == place {
			return place
		}
	}
	return "other"
}

// class returns the class of a status, such as 4xx.
func class(status int) string {
	if status < 100 || status > 599 {
		return "other"
	}
	return strconv.Itoa(status/100) + "xx"
}

// measuredChain observes the streams of the chains of one name.
type measuredChain struct {
	*measurements
	streams *chainSeries
}

// Observe is that of Observer.
func (c *measuredChain) Observe(e Observation) {
	if e.Kind == StreamEnds {
		c.streams.streams.Add(-1)
		c.streams.active.Add(-1)
		return
	}
	c.measurements.Observe(e)
}

// measureStreams returns an Options.Observe that counts, and has next observe the streams too, where there is one.
func measureStreams(name string, next func(*Stream) Observer) func(*Stream) Observer {
	one := &measuredChain{measures, measures.chain(name)}
	return func(st *Stream) Observer {
		one.streams.begun.Add(1)
		one.streams.streams.Add(1)
		one.streams.active.Add(1)
		if next == nil {
			return one
		}
		if o := next(st); o != nil {
			return both{one, o}
		}
		return one
	}
}
