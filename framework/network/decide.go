package network

// take moves the bytes of the event under way to Go.
func (f *Flow) take(dir Direction, n int) []byte {
	if n == 0 {
		return nil
	}
	p, _ := f.host.Received(dir, nil)
	f.host.Replace(dir, nil)
	return p
}

// offer has the filter decide about bytes.
func (f *Flow) offer(d *Data) (stop bool) {
	w := &f.ways[d.dir]
	var a Action
	switch {
	case w.off:
	case d.dir == Read && f.implements(WantRead):
		a = f.call("OnRead", func() Action { return f.filter.(ReadHandler).OnRead(f.conn, d) })
	case d.dir == Write && f.implements(WantWrite):
		a = f.call("OnWrite", func() Action { return f.filter.(WriteHandler).OnWrite(f.conn, d) })
	}
	f.apply()
	return f.decide(d, a)
}

// decide carries out what the filter has decided about bytes.
func (f *Flow) decide(d *Data, a Action) (stop bool) {
	w := &f.ways[d.dir]
	if f.closing || f.closed {
		return f.drop(d)
	}
	if w.pipe != nil { // since the method began to wait
		w.pipe.received(d.dir, f.lift(d), d.end)
		return true
	}
	switch a.kind {
	case actPass:
		return f.keep(d, a.n)
	case actGo:
		d.mu.Lock()
		d.load()
		if d.fresh {
			f.host.Replace(d.dir, nil)
		}
		d.fresh = false
		d.mu.Unlock()
		w.waiting = f.start(a.run, d)
		f.delay()
		return true
	case actPipe:
		p := f.lift(d)
		f.startPipe(a.pipe)
		w.pipe.received(d.dir, p, d.end)
		return true
	case actClose, actReset:
		f.drop(d)
		f.finish(a)
		return true
	case actDoneAll:
		f.ways[Read].off, f.ways[Write].off = true, true
	case actDone:
		w.off = true
	}
	return f.pass(d, d.Len())
}

// lift ends the handle and moves its bytes to Go: Envoy has none of them any more.
func (f *Flow) lift(d *Data) []byte {
	p := d.take()
	if d.fresh {
		f.host.Replace(d.dir, nil)
	}
	return p
}

// drop ends bytes that go nowhere.
func (f *Flow) drop(d *Data) (stop bool) {
	f.lift(d)
	return true
}

// keep passes n bytes on and holds the rest.
func (f *Flow) keep(d *Data, n int) (stop bool) {
	w := &f.ways[d.dir]
	d.mu.Lock()
	all := d.load()
	d.mu.Unlock()
	n = min(max(n, 0), len(all))
	rest := all[n:]
	switch {
	case d.end:
		f.drop(d)
		f.misuse("held bytes at the end of the stream")
		return true
	case len(rest) > f.limit():
		f.drop(d)
		f.finish(Close("more bytes than the buffer limit would be held"))
		return true
	}
	w.held = rest
	d.Set(all[:n:n])
	return f.pass(d, n)
}

// pass passes the first n bytes on, which are all that d has.
func (f *Flow) pass(d *Data, n int) (stop bool) {
	w := &f.ways[d.dir]
	if len(w.out) == 0 && !w.outEnd && d.untouched(n) {
		w.sentEnd = w.sentEnd || d.end
		return false
	}
	if d.fresh && !w.outEnd {
		p := d.take()
		if len(w.out) > 0 {
			p = append(w.out, p...)
			w.out = nil
		}
		f.host.Replace(d.dir, p)
		w.gone()
		w.sentEnd = w.sentEnd || d.end
		return len(p) == 0 && !d.end
	}
	p := f.lift(d)
	if !w.outEnd {
		w.out, w.outEnd = append(w.out, p...), d.end
	}
	f.flush(d.dir)
	return true
}
