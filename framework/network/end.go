package network

// finish closes the connection.
func (f *Flow) finish(a Action) {
	if f.closing || f.closed {
		return
	}
	how := Flush
	if a.kind == actReset {
		how = Abort
	} else {
		f.inject(Read)
		f.inject(Write)
		if f.closed {
			return
		}
	}
	f.closing = true
	f.delay()
	last := f.ways[Read].out
	lastEnd := f.ways[Read].outEnd
	for dir := range f.ways {
		f.ways[dir].drop()
	}
	shut := func() { f.host.Close(how, "moe."+f.reg.Name+": "+a.reason) }
	if how == Abort || f.writing == 0 || len(last) == 0 && !lastEnd {
		shut()
		return
	}
	f.postpone(op{kind: opCall, run: func() { // what was injected before goes first
		f.ways[Read].out, f.ways[Read].outEnd = last, lastEnd
		f.inject(Read)
		f.ways[Read].out, f.ways[Read].outEnd = nil, false
		if !f.closed {
			shut()
		}
	}})
}

// drop drops what the direction has kept.
func (w *way) drop() {
	w.queue, w.held, w.out = nil, nil, nil
	w.queueEnd, w.outEnd = false, false
	w.gone()
}

// misuse closes a connection whose filter returned what it must not.
func (f *Flow) misuse(what string) {
	f.log.Error("misuse: the filter " + what + "; the connection is closed")
	f.finish(Reset("misuse"))
}

// Fault closes the connection after a panic of the framework's own.
func (f *Flow) Fault() { f.finish(Reset("framework panic")) }

// Closed is the end of the connection.
func (f *Flow) Closed(by Closer) {
	if f.closed {
		return
	}
	f.closed = true
	if f.implements(WantClose) && !f.unmade {
		f.call("OnClose", func() Action {
			f.filter.(CloseHandler).OnClose(f.conn, by)
			return Continue
		})
	}
	f.End()
}

// End ends the flow: nothing is called any more, and whoever waits gets ErrDone.
func (f *Flow) End() {
	f.closed = true
	f.mu.Lock()
	over, cancel := f.over, f.cancel
	f.over, f.ops = true, nil
	for t := range f.timers {
		t.timer.Stop()
	}
	f.timers = nil
	f.mu.Unlock()
	if over {
		return
	}
	f.postponed = nil
	if cancel != nil {
		cancel(ErrDone)
	}
	for dir := range f.ways {
		f.ways[dir].drop()
		if p := f.ways[dir].pipe; p != nil {
			p.fail(ErrDone)
		}
		if s := f.ways[dir].waiting; s != nil {
			s.timer.Stop()
		}
	}
	if f.connecting != nil {
		f.connecting.timer.Stop()
	}
}
