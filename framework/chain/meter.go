package chain

import (
	"maps"
	"sync"
	"sync/atomic"

	"mosn.io/moe/framework/internal/core"
)

// Meter counts what goes wrong, and a plugin's own replies, by plugin (the tag "plugin"), and requests by consumer. A
// late reply is one that came after the response had begun and has reset the stream.
type Meter struct {
	// Name is whose streams are counted, where a chain has Options.Measure: that of the filter. It is set before chains are
	// made.
	Name string

	panics, timeouts, misuses, replies, lateReplies, consumers *core.Metric

	mu         sync.Mutex
	byPlugin   map[string]cells
	byConsumer atomic.Pointer[map[string]*core.Cell] // replaced as a whole, so that requests take no lock
	others     *core.Cell
}

// counted is what a Meter counts.
var counted = struct{ panics, timeouts, misuses, replies, lateReplies, consumers *core.Definition }{
	byPlugin("moe.panics", "Panics of the plugin."),
	byPlugin("moe.timeouts", "Streams that the plugin kept waiting for too long."),
	byPlugin("moe.misuses", "Changes that came too late, invalid headers, wrong lengths, and other bugs of the plugin."),
	byPlugin("moe.replies", "Requests that the plugin has answered."),
	byPlugin("moe.late_replies", "Replies, and failures, that came after the response had begun and have reset the stream."),
	core.Define(core.Definition{
		Name: "moe.consumer.requests", Tags: []string{"consumer"},
		Help: "Requests of the consumer, when authentication has passed; beyond 1000 consumers, `(others)`.",
	}),
}

func byPlugin(name, help string) *core.Definition {
	return core.Define(core.Definition{Name: name, Tags: []string{"plugin"}, Help: help})
}

// Stats cannot have a series for each of 100,000 consumers: those that come after maxConsumers are counted together.
const (
	maxConsumers   = 1000
	otherConsumers = "(others)"
)

type cells struct{ panics, timeouts, misuses, replies, lateReplies *core.Cell }

// NewMeter returns a Meter for chains whose metrics one host declares.
func NewMeter() *Meter {
	m := &Meter{
		panics: counted.panics.Metric(), timeouts: counted.timeouts.Metric(), misuses: counted.misuses.Metric(), replies: counted.replies.Metric(),
		lateReplies: counted.lateReplies.Metric(), consumers: counted.consumers.Metric(), byPlugin: map[string]cells{},
	}
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
	return []*core.Metric{m.panics, m.timeouts, m.misuses, m.replies, m.lateReplies, m.consumers}
}

func (m *Meter) cells(plugin string) cells {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.byPlugin[plugin]
	if !ok {
		c = cells{
			panics: m.panics.With(plugin), timeouts: m.timeouts.With(plugin), misuses: m.misuses.With(plugin),
			replies: m.replies.With(plugin), lateReplies: m.lateReplies.With(plugin),
		}
		m.byPlugin[plugin] = c
	}
	return c
}
