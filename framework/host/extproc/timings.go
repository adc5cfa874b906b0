package extproc

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/internal/phase"
)

// latencies are upper bounds.
var latencies = [...]time.Duration{
	10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 5 * time.Millisecond,
	25 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second,
}

// timing is how often something was done, and how long it took.
type timing struct {
	count, nanos atomic.Int64
	buckets      [len(latencies)]atomic.Int64
}

func (t *timing) add(d time.Duration) {
	t.count.Add(1)
	t.nanos.Add(int64(d))
	for i, bound := range latencies {
		if d <= bound {
			t.buckets[i].Add(1)
			break
		}
	}
}

// write writes a histogram in seconds, if there is anything in it.
func (t *timing) write(b *strings.Builder, name, tags string) {
	count := t.count.Load()
	if count == 0 {
		return
	}
	buckets := make([]int64, len(latencies))
	for i := range buckets {
		buckets[i] = t.buckets[i].Load()
	}
	histogram(b, name, tags, buckets, func(i int) string { return seconds(latencies[i]) }, count,
		seconds(time.Duration(t.nanos.Load())))
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'g', -1, 64) }

// maxTimed bounds how many plugins have timings of their own, as streams may bring documents with ids of plugins.
const maxTimed = 1000

// timings are those of plugins' phases. It is a chain.Observer for all streams.
type timings struct {
	byPlugin atomic.Pointer[map[string]*timingsOf] // a new map for each new plugin, so that to look up takes no lock

	mu    sync.Mutex // to make a new map
	other timingsOf  // of plugins beyond maxTimed
}

type timingsOf [phase.Count]timing

// Observe adds to a plugin's timings.
func (t *timings) Observe(e chain.Observation) {
	if e.Kind == chain.PhaseEnds {
		t.of(e.Plugin)[e.Phase].add(e.Took)
	}
}

func (t *timings) all() map[string]*timingsOf {
	if m := t.byPlugin.Load(); m != nil {
		return *m
	}
	return nil
}

func (t *timings) of(plugin string) *timingsOf {
	if of := t.all()[plugin]; of != nil {
		return of
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.all()
	switch of := old[plugin]; {
	case of != nil:
		return of
	case len(old) >= maxTimed:
		return &t.other
	}
	m := make(map[string]*timingsOf, len(old)+1)
	maps.Copy(m, old)
	m[plugin] = &timingsOf{}
	t.byPlugin.Store(&m)
	return m[plugin]
}

func (t *timings) write(b *strings.Builder) {
	const name = "moe_extproc_plugin_seconds"
	fmt.Fprintf(b, "# HELP %s Time of a plugin's phase, with what it gave to Go.\n# TYPE %s histogram\n", name, name)
	all := t.all()
	for _, plugin := range slices.Sorted(maps.Keys(all)) {
		all[plugin].write(b, name, plugin)
	}
	t.other.write(b, name, "")
}

func (t *timingsOf) write(b *strings.Builder, name, plugin string) {
	for p := range t {
		t[p].write(b, name, labels([]string{"plugin", "phase"}, []string{plugin, phase.Phase(p).String()}))
	}
}
