package chain

import (
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"mosn.io/moe/framework/internal/core"
)

// Meter counts what goes wrong, and a plugin's own replies, by plugin (the tag "plugin"), and requests by consumer.
type Meter struct {
	panics, timeouts, misuses, replies, consumers core.Metric

	mu         sync.Mutex
	byPlugin   map[string]cells
	byConsumer atomic.Pointer[map[string]*core.Cell] // replaced as a whole, so that requests take no lock
	others     *core.Cell
}

// Stats cannot have a series for each of 100,000 consumers: those that come after maxConsumers are counted together.
const (
	maxConsumers   = 1000
	otherConsumers = "(others)"
)

type cells struct{ panics, timeouts, misuses, replies *core.Cell }

// NewMeter returns a Meter for chains whose metrics one host declares.
func NewMeter() *Meter {
	m := &Meter{byPlugin: map[string]cells{}}
	for i, name := range []string{"moe.panics", "moe.timeouts", "moe.misuses", "moe.replies"} {
		metric := m.all()[i]
		metric.Name, metric.Tags = name, []string{"plugin"}
	}
	m.consumers.Name, m.consumers.Tags = "moe.consumer.requests", []string{"consumer"}
	m.others = m.consumers.With(otherConsumers)
	m.byConsumer.Store(&map[string]*core.Cell{})
	return m
}

// consumer returns the count of a consumer's requests.
func (m *Meter) consumer(name string) *core.Cell {
	all := *m.byConsumer.Load()
	if c := all[name]; c != nil {
		return c
	}
	if len(all) >= maxConsumers {
		return m.others
	}
	return m.addConsumer(name)
}

func (m *Meter) addConsumer(name string) *core.Cell {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := maps.Clone(*m.byConsumer.Load())
	if c := all[name]; c != nil {
		return c
	}
	c := m.consumers.With(name)
	all[name] = c
	m.byConsumer.Store(&all)
	return c
}

func (m *Meter) all() []*core.Metric {
	return []*core.Metric{&m.panics, &m.timeouts, &m.misuses, &m.replies, &m.consumers}
}

func (m *Meter) cells(plugin string) cells {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.byPlugin[plugin]
	if !ok {
		c = cells{m.panics.With(plugin), m.timeouts.With(plugin), m.misuses.With(plugin), m.replies.With(plugin)}
		m.byPlugin[plugin] = c
	}
	return c
}

// seen remembers which misuses were logged.
type seen struct {
	mu sync.Mutex
	m  map[string]bool
}

// maxSeen bounds what is remembered, as a misuse may name a header that a client chose.
const maxSeen = 100

// first reports whether what is new. Once maxSeen are remembered, nothing is.
func (s *seen) first(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[what] || len(s.m) >= maxSeen {
		return false
	}
	if s.m == nil {
		s.m = map[string]bool{}
	}
	s.m[what] = true
	return true
}

// misuse counts a bug of a plugin and logs it once. Any goroutine may call it.
func (c *Chain) misuse(plugin int, what string) {
	c.cells[plugin].misuses.Add(1)
	if c.seen.first(c.names[plugin] + what) {
		c.loggers[plugin].Error("misuse: the plugin "+what, "logged", "once")
	}
	if c.options.Misuse != nil {
		c.options.Misuse(c.names[plugin], what)
	}
}

// tell logs what a plugin did, and tells Options.Misuse.
func (c *Chain) tell(plugin int, what string, attrs ...any) {
	c.loggers[plugin].Error("the plugin "+what, attrs...)
	if c.options.Misuse != nil {
		c.options.Misuse(c.names[plugin], what)
	}
}

// recovered is a panic's value with its stack.
type recovered struct {
	value any
	stack []byte
}

// caught is called where a panic is recovered.
func caught(v any) *recovered {
	if r, ok := v.(*recovered); ok {
		return r
	}
	return &recovered{v, debug.Stack()}
}

// panicIn counts and logs a panic of a plugin.
func (st *Stream) panicIn(p int, where string, v any) {
	r := caught(v)
	c := st.chain
	c.cells[p].panics.Add(1)
	c.loggers[p].Error("panic", "phase", where, "value", fmt.Sprint(r.value), "stack", string(r.stack))
	if c.options.Misuse != nil {
		c.options.Misuse(c.names[p], fmt.Sprintf("panics in %s: %v\n%s", where, r.value, r.stack))
	}
}

// failPhase ends the phase in flight for a panic: 500, or a reset when the response has begun.
func (st *Stream) failPhase(di core.Direction, d *dir, v any) {
	p := d.plugin(di, d.idx)
	if st.Observer != nil {
		st.observe(di, d)
	}
	st.panicIn(p, d.phase(di), v)
	if !st.over && d.stage != dead {
		st.reply(di, d.idx, failed, st.chain.details[p]+".panic")
	}
}

// panicked goes on after a panic in a run.
func (st *Stream) panicked(di core.Direction, v any) {
	d := &st.d[di]
	if !st.calling { // the chain's or the host's own
		slog.Error("moe: panic", "value", fmt.Sprint(v), "stack", string(debug.Stack()))
		defer func() { _ = recover() }()
		st.reset("panic")
		return
	}
	st.calling = false
	st.failPhase(di, d, v)
	st.run(di)
}
