package bootstraptest

import "mosn.io/moe/framework/bootstrap"

// host is the bootstrap.Host of an extension.
type host struct{ e *Envoy }

// OnThread is bootstrap.Host's. No code of an extension's runs on a thread of Envoy's.
func (host) OnThread() bool { return false }

// Wake is bootstrap.Host's.
func (h host) Wake() {
	e := h.e
	e.mu.Lock()
	coming := e.woken
	e.woken = true
	e.mu.Unlock()
	if coming {
		return
	}
	go e.do(func() {
		e.mu.Lock()
		e.woken = false
		e.mu.Unlock()
		e.instance.Run()
	})
}

// Panicked is bootstrap.Host's.
func (h host) Panicked() {
	h.e.mu.Lock()
	defer h.e.mu.Unlock()
	h.e.panics++
}

// InitFailed is bootstrap.Host's.
func (h host) InitFailed() {
	h.e.mu.Lock()
	defer h.e.mu.Unlock()
	h.e.failures++
}

// Overview is bootstrap.Host's.
func (h host) Overview() bootstrap.Overview {
	h.e.mu.Lock()
	defer h.e.mu.Unlock()
	return h.e.overview
}

// onMain runs f, with the lock, for what only the main thread may do.
func (h host) onMain(what string, f func(e *Envoy)) {
	if !h.e.onMain {
		h.e.t.Errorf("%s is called off Envoy's main thread", what)
	}
	h.e.mu.Lock()
	defer h.e.mu.Unlock()
	f(h.e)
}

// Ready is bootstrap.Host's.
func (h host) Ready() {
	h.onMain("Ready", func(e *Envoy) {
		if e.readies++; e.readies > 1 {
			e.t.Error("Ready is called twice")
		}
	})
}

// AddPage is bootstrap.Host's.
func (h host) AddPage(p *bootstrap.Page) (ok bool) {
	h.onMain("AddPage", func(e *Envoy) {
		ok = !e.taken[p.Path]
		e.taken[p.Path] = true
	})
	return ok
}

// Counter is bootstrap.Host's.
func (h host) Counter(name string) (value uint64, ok bool) {
	h.onMain("Counter", func(e *Envoy) { value, ok = e.counters[name] })
	return value, ok
}

// Gauge is bootstrap.Host's.
func (h host) Gauge(name string) (value uint64, ok bool) {
	h.onMain("Gauge", func(e *Envoy) { value, ok = e.gauges[name] })
	return value, ok
}

// Histogram is bootstrap.Host's.
func (h host) Histogram(name string) (count uint64, total float64, ok bool) {
	h.onMain("Histogram", func(e *Envoy) {
		var s sum
		s, ok = e.sums[name]
		count, total = s.count, s.sum
	})
	return count, total, ok
}
