package mosn

import "time"

// mostOnThread is how long a filter may keep Envoy's thread. Filters that are declared not to block take microseconds; what
// takes this long waits for something, and all streams of the thread wait with it.
const mostOnThread = 200 * time.Millisecond

// watch takes the time of filters that run on Envoy's thread.
type watch struct {
	st   *stream // nil: they run on a goroutine
	last time.Time
}

// watch starts the time of the next filter.
func (st *stream) watch() watch {
	if st.plugin.shared.blocks.Load() {
		return watch{}
	}
	return watch{st, time.Now()}
}

// lap ends the time of a filter of a type. After one that has taken too long, the list runs on goroutines.
func (w *watch) lap(typ string) {
	if w.st == nil {
		return
	}
	now := time.Now()
	took := now.Sub(w.last)
	w.last = now
	if took < mostOnThread {
		return
	}
	plugin := w.st.plugin
	plugin.slow.With(typ).Inc()
	if !plugin.shared.blocks.Swap(true) {
		plugin.env.Log().Error("a MOSN filter that should not block has kept Envoy's thread; from now on, "+
			"the filters of its list run on goroutines", "type", typ, "took", took.String())
	}
}
