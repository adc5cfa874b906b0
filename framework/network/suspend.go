package network

import (
	"context"
	"time"
)

// suspension is a function of Go under way.
type suspension struct {
	data  *Data // nil: OnConnection's
	timer *time.Timer
}

// resume carries out what a function of Go has returned.
func (f *Flow) resume(s *suspension, a Action) {
	s.timer.Stop()
	if s.data == nil {
		f.resumeConnection(s, a)
		return
	}
	dir := s.data.dir
	w := &f.ways[dir]
	if w.waiting != s {
		return
	}
	w.waiting = nil
	f.decide(s.data, a)
	f.serve(dir)
	f.delay()
}

func (f *Flow) resumeConnection(s *suspension, a Action) {
	if f.connecting != s {
		return
	}
	if f.writing > 0 { // the filters behind would begin
		f.postpone(op{kind: opResult, waiting: s, action: a})
		return
	}
	f.connecting = nil
	if f.begin(a) {
		return
	}
	// Envoy would tell the next filter of the end before we could pass the bytes: to inject begins the next filter, too.
	if !f.ways[Read].queueEnd {
		f.host.ContinueReading()
	}
	f.serve(Read)
	f.serve(Write)
}

// serve offers what has come while a direction stood still.
func (f *Flow) serve(dir Direction) {
	w := &f.ways[dir]
	for w.waiting == nil && f.connecting == nil && !f.closing && !f.closed && (len(w.queue) > 0 || w.queueEnd) {
		p, end := w.queue, w.queueEnd
		w.queue, w.queueEnd = nil, false
		if w.pipe != nil {
			w.pipe.received(dir, p, end)
			continue
		}
		d := &Data{flow: f, dir: dir, p: append(w.held, p...), kept: true, end: end}
		w.held = nil
		f.offer(d)
	}
	if w.pipe == nil {
		f.bound(dir, len(w.queue))
	}
}

// delay has Envoy wait with closing while there are bytes for the client that are yet to be decided about.
func (f *Flow) delay() {
	w := &f.ways[Write]
	if want := !f.closing && !f.closed && (w.waiting != nil || w.pipe != nil && w.pipe.busy()); want != f.delayed {
		f.delayed = want
		f.host.DelayClose(want)
	}
}

// limit is how many bytes may be held.
func (f *Flow) limit() int {
	if n := f.host.BufferLimit(); n > 0 {
		return n
	}
	return defaultLimit
}

// bound keeps what waits within limits.
func (f *Flow) bound(dir Direction, waiting int) {
	w := &f.ways[dir]
	switch {
	case f.closing || f.closed:
	case dir == Write:
		if waiting > MaxWaiting {
			f.finish(Close("the filter is too slow for the upstream"))
		}
	case waiting >= f.limit() && !w.disabled:
		w.disabled = true
		f.host.DisableReading(true)
	case waiting < f.limit() && w.disabled:
		w.disabled = false
		f.host.DisableReading(false)
	}
}

// start runs a function of Go.
func (f *Flow) start(run func(context.Context) Action, d *Data) *suspension {
	s := &suspension{data: d}
	ctx := f.context()
	s.timer = time.AfterFunc(GoTimeout, func() {
		_ = f.push(op{kind: opResult, waiting: s, action: Close("a function of Go takes longer than " + GoTimeout.String())})
	})
	go f.beside("a function of Go", func() Action { return run(ctx) }, func(a Action) {
		_ = f.push(op{kind: opResult, waiting: s, action: a})
	})
	return s
}
