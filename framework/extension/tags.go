package extension

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"mosn.io/moe/framework/internal/core"
)

// Tag begins the declaration of metrics that have a tag of that name:
//
//	p.refused = env.Tag("reason").Counter("refused") // in Provision; a *Tagged[*Counter]
//	p.refused.With("expired").Inc()                  // in a phase
//
// How many tags there are is part of the type, so that With cannot be given too few values or too many.
func (e *Env) Tag(name string) Tag { return Tag{e, name} }

// Tag declares metrics with one tag, each as [Env.Counter] and the others do.
type Tag struct {
	env *Env
	tag string
}

// Tag adds a second tag.
func (t Tag) Tag(name string) Tag2 { return Tag2{t.env, [2]string{t.tag, name}} }

// Counter declares a counter.
func (t Tag) Counter(name string) *Tagged[*Counter] {
	return &Tagged[*Counter]{newTagged[[1]string](t.env, core.Counter, name, []string{t.tag}, newCounter)}
}

// Gauge declares a gauge.
func (t Tag) Gauge(name string) *Tagged[*Gauge] {
	return &Tagged[*Gauge]{newTagged[[1]string](t.env, core.Gauge, name, []string{t.tag}, newGauge)}
}

// Histogram declares a histogram.
func (t Tag) Histogram(name string) *Tagged[*Histogram] {
	return &Tagged[*Histogram]{newTagged[[1]string](t.env, core.Histogram, name, []string{t.tag}, newHistogram)}
}

// Tag2 declares metrics with two tags.
type Tag2 struct {
	env  *Env
	tags [2]string
}

// Counter declares a counter.
func (t Tag2) Counter(name string) *Tagged2[*Counter] {
	return &Tagged2[*Counter]{newTagged[[2]string](t.env, core.Counter, name, t.tags[:], newCounter)}
}

// Gauge declares a gauge.
func (t Tag2) Gauge(name string) *Tagged2[*Gauge] {
	return &Tagged2[*Gauge]{newTagged[[2]string](t.env, core.Gauge, name, t.tags[:], newGauge)}
}

// Histogram declares a histogram.
func (t Tag2) Histogram(name string) *Tagged2[*Histogram] {
	return &Tagged2[*Histogram]{newTagged[[2]string](t.env, core.Histogram, name, t.tags[:], newHistogram)}
}

// Tagged is a metric with one tag; M is *[Counter], *[Gauge] or *[Histogram]. Where it is nil, With returns a nil M,
// which does nothing.
type Tagged[M any] struct{ t *tagged[[1]string, M] }

// With returns the metric for a value of the tag, of which 128 bytes count. It allocates nothing for the first thousand
// values, once it has seen them; values beyond are counted together, under the value "(others)". What it returns may be
// kept.
func (t *Tagged[M]) With(value string) (none M) {
	if t == nil {
		return none
	}
	return t.t.with([1]string{value})
}

// Tagged2 is a metric with two tags, as [Tagged] is one with one.
type Tagged2[M any] struct{ t *tagged[[2]string, M] }

// With returns the metric for a value of each tag, in the order in which they were declared.
func (t *Tagged2[M]) With(first, second string) (none M) {
	if t == nil {
		return none
	}
	return t.t.with([2]string{first, second})
}

// maxRemembered is how many values of its tags a metric tells apart, as they may come from requests.
const maxRemembered = 1000

// tagged is a metric with one or two tags; it finds the series of their values.
type tagged[K [1]string | [2]string, M any] struct {
	m    *core.Metric
	wrap func(series) M

	mu    sync.Mutex
	known atomic.Pointer[map[K]M] // replaced as a whole, so that streams take no lock
}

func newTagged[K [1]string | [2]string, M any](
	e *Env, kind core.MetricKind, name string, tags []string, wrap func(series) M,
) *tagged[K, M] {
	t := &tagged[K, M]{m: e.metric(kind, name, tags...), wrap: wrap}
	t.known.Store(&map[K]M{})
	return t
}

func (t *tagged[K, M]) with(values K) M {
	known := *t.known.Load()
	if m, ok := known[values]; ok {
		return m
	}
	list := make([]string, len(values))
	long := false
	for i := range list {
		list[i] = core.ClipTag(values[i])
		long = long || len(list[i]) != len(values[i])
	}
	if long { // the value itself is not kept
		for i := range list {
			list[i] = strings.Clone(list[i])
		}
		return t.wrap(series{t.m, t.m.Cell(list)})
	}
	if len(known) >= maxRemembered {
		return t.wrap(series{t.m, t.m.Others()})
	}
	return t.remember(values, list)
}

func (t *tagged[K, M]) remember(values K, list []string) M {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := maps.Clone(*t.known.Load())
	m, ok := known[values]
	if !ok {
		m = t.wrap(series{t.m, t.m.Cell(list)})
		known[values] = m
		t.known.Store(&known)
	}
	return m
}
