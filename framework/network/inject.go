package network

// flush passes on what waits for that, unless Envoy waits for what becomes of bytes: those of this direction go the same
// way, and those of the other may bring Envoy to send an answer meanwhile.
func (f *Flow) flush(dir Direction) {
	if !f.ways[Read].inHook && !f.ways[Write].inHook {
		f.inject(dir)
	}
}

func (f *Flow) inject(dir Direction) {
	w := &f.ways[dir]
	if f.closed || len(w.out) == 0 && !w.outEnd {
		return
	}
	if dir == Read && f.writing > 0 {
		f.postponeRead()
		return
	}
	if dir == Read && !f.ready {
		if !f.upstreamReady() {
			f.poll()
			return
		}
		f.ready = true
	}
	p, end := w.out, w.outEnd
	w.out, w.outEnd = nil, false
	w.sentEnd = w.sentEnd || end
	w.gone()
	f.host.Inject(dir, p, end)
}

// gone tells that nothing is left of out.
func (w *way) gone() {
	sent := w.sent
	w.sent = nil
	for _, f := range sent {
		f()
	}
}

// upstreamReady reports whether nobody behind this filter keeps Envoy from reading, as tcp_proxy does until it has an
// upstream. What this filter itself keeps back does not count.
func (f *Flow) upstreamReady() bool {
	if f.ways[Read].disabled {
		f.host.DisableReading(false)
		defer f.host.DisableReading(true)
	}
	return f.host.ReadingEnabled()
}

// poll looks again soon whether there is an upstream: Envoy tells a filter of none.
func (f *Flow) poll() {
	if f.polling {
		return
	}
	f.polling = true
	f.after(readyPoll, func() {
		f.polling = false
		f.flush(Read)
	})
}
