package mosn

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// mostOnThread is how long a filter may keep Envoy's thread. Filters that are declared not to block take microseconds; what
// takes this long waits for something, and all streams of the thread wait with it.
const mostOnThread = 200 * time.Millisecond

// A list runs on goroutines once its filters have kept Envoy's thread slowCalls times within slowSpan: one such call may be
// the whole process that paused.
const (
	slowCalls = 3
	slowSpan  = time.Minute
)

// pace is where the filters of one configuration run, and what has been seen of them on Envoy's thread.
type pace struct {
	blocks atomic.Bool // a filter may block, or has done so: they run on goroutines

	mu   sync.Mutex
	ends []time.Duration // when calls ended that took too long, within slowSpan
}

func newPace(blocks bool) *pace {
	p := new(pace)
	p.blocks.Store(blocks)
	return p
}

// slow takes note of a call that has taken too long, and reports whether the filters run on goroutines because of it. Calls
// on several threads at once count as one, since a pause of the process makes all of them slow.
func (p *pace) slow(began, ended time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.ends); n > 0 && began < p.ends[n-1] {
		return false
	}
	p.ends = append(slices.DeleteFunc(p.ends, func(t time.Duration) bool { return ended-t > slowSpan }), ended)
	return len(p.ends) >= slowCalls && !p.blocks.Swap(true)
}

// epoch is what times are taken from: time since a time is one look at the clock, where time.Now is two.
var epoch = time.Now()

// watch takes the time of filters that run on Envoy's thread.
type watch struct {
	plugin *Filters // nil: they run on a goroutine
	last   time.Duration
}

// watch starts the time of the next filter.
func (st *stream) watch() watch {
	if st.plugin.pace.blocks.Load() {
		return watch{}
	}
	return watch{st.plugin, time.Since(epoch)}
}

// lap ends the time of a filter of a type. After some that have taken too long, the list runs on goroutines.
func (w *watch) lap(typ string) {
	if w.plugin == nil {
		return
	}
	now := time.Since(epoch)
	began, took := w.last, now-w.last
	w.last = now
	if took < mostOnThread {
		return
	}
	w.plugin.slow.With(typ).Inc()
	if w.plugin.pace.slow(began, now) {
		w.plugin.env.Log().Error("a MOSN filter that should not block has kept Envoy's thread again and again; from now on, "+
			"the filters of its list run on goroutines", "type", typ, "took", took.String())
	}
}
