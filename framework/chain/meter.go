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
	panics, timeouts, misuses, replies, lateReplies, consumers core.Metric

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

type cells struct{ panics, timeouts, misuses, replies, lateReplies *core.Cell }

// NewMeter returns a Meter for chains whose metrics one host declares.
func NewMeter() *Meter {
	m := &Meter{byPlugin: map[string]cells{}}
	for i, name := range []string{"moe.panics", "moe.timeouts", "moe.misuses", "moe.replies", "moe.late_replies"} {
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
	return []*core.Metric{&m.panics, &m.timeouts, &m.misuses, &m.replies, &m.lateReplies, &m.consumers}
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
