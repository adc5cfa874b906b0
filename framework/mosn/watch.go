package mosn

import "time"

// mostOnThread is how long a filter may keep Envoy's thread. Filters that are declared not to block take microseconds; what
// takes this long waits for something, and all streams of the thread wait with it.
const mostOnThread = 200 * time.Millisecond

// epoch is what times are taken from: time since a time is one look at the clock, where time.Now is two.
var epoch = time.Now()

// watch takes the time of filters that run on Envoy's thread.
type watch struct {
	plugin *Filters // nil: they run on a goroutine
	last   time.Duration
}

// watch starts the time of the next filter.
func (st *stream) watch() watch {
	if st.plugin.shared.blocks.Load() {
		return watch{}
	}
	return watch{st.plugin, time.Since(epoch)}
}

// lap ends the time of a filter of a type. After one that has taken too long, the list runs on goroutines.
func (w *watch) lap(typ string) {
	if w.plugin == nil {
		return
	}
	now := time.Since(epoch)
	took := now - w.last
	w.last = now
	if took < mostOnThread {
		return
	}
	w.plugin.slow.With(typ).Inc()
	if !w.plugin.shared.blocks.Swap(true) {
		w.plugin.env.Log().Error("a MOSN filter that should not block has kept Envoy's thread; from now on, "+
			"the filters of its list run on goroutines", "type", typ, "took", took.String())
	}
}
