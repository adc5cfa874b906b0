package network

import (
	"context"
	"time"
)

// op is something to be done on the connection's thread.
type op struct {
	kind    opKind
	dir     Direction
	how     How
	p       []byte
	reason  string
	waiting *suspension
	action  Action
	run     func()
	timer   *Timer // whose run is
	sent    func() // once bytes have gone on or were dropped, or nil
}

type opKind uint8

const (
	opInject opKind = iota
	opEnd
	opClose
	opResult // of a function of Go
	opRun    // of a timer
	opCall   // the framework's own
)

// push queues something to be done. It is done when a method of the filter that is under way returns, and otherwise soon.
func (f *Flow) push(o op) error {
	f.mu.Lock()
	if f.over {
		f.mu.Unlock()
		return ErrDone
	}
	switch o.kind {
	case opInject, opEnd:
		if f.ended[o.dir] {
			f.mu.Unlock()
			return ErrEnded
		}
		f.ended[o.dir] = o.kind == opEnd
	}
	f.ops = append(f.ops, o)
	f.mu.Unlock()
	f.host.Wake()
	return nil
}

// pop returns the next thing to be done.
func (f *Flow) pop() (o op, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ops) == 0 {
		return o, false
	}
	o = f.ops[0]
	f.ops = f.ops[1:]
	if len(f.ops) == 0 {
		f.ops = nil
	}
	return o, true
}

// Settle does what was asked for since the last event.
func (f *Flow) Settle() {
	if f.settling {
		return
	}
	f.settling = true
	defer func() { f.settling = false }()
	f.apply()
}

// BeginWrite begins an event of the direction [Write], and EndWrite ends it, after all that the host does within it.
//
// Until then nothing goes on to the upstream: a filter behind this one may answer at once, and Envoy, which keeps one
// buffer of what it writes for a connection, would have lost that of the event when the filter returns
// (https://github.com/envoyproxy/envoy/blob/main/source/common/network/connection_impl.cc, ConnectionImpl::write).
func (f *Flow) BeginWrite() { f.writing++ }

// EndWrite is BeginWrite's other end.
func (f *Flow) EndWrite() {
	f.writing--
	if f.writing > 0 || len(f.postponed) == 0 {
		return
	}
	ops := f.postponed
	f.postponed, f.readWaits = nil, false
	f.mu.Lock()
	if f.over {
		f.mu.Unlock()
		return
	}
	f.ops = append(ops, f.ops...)
	f.mu.Unlock()
	f.host.Wake()
}

// postpone keeps what must not be done within an event of Write for an event of its own.
func (f *Flow) postpone(o op) { f.postponed = append(f.postponed, o) }

// postponeRead postpones what is for the upstream.
func (f *Flow) postponeRead() {
	if !f.readWaits {
		f.readWaits = true
		f.postpone(op{kind: opCall, run: func() { f.flush(Read) }})
	}
}

// apply does what was asked for.
func (f *Flow) apply() {
	for {
		o, ok := f.pop()
		if !ok {
			return
		}
		f.perform(o)
	}
}

func (f *Flow) perform(o op) {
	w := &f.ways[o.dir]
	switch o.kind {
	case opInject:
		if !f.closing && !w.sentEnd && !w.outEnd {
			w.out = append(w.out, o.p...)
			if o.sent != nil {
				w.sent = append(w.sent, o.sent)
			}
			f.flush(o.dir)
		} else if o.sent != nil {
			o.sent()
		}
	case opEnd:
		if !f.closing && !w.sentEnd {
			w.outEnd, w.cut = true, true
			f.flush(o.dir)
		}
	case opClose:
		a := Close(o.reason)
		if o.how == Abort {
			a = Reset(o.reason)
		}
		f.finish(a)
	case opResult:
		f.resume(o.waiting, o.action)
	case opRun:
		f.timerEnded(o.timer)
		if a := f.fenced("a function of AfterFunc", func() Action { o.run(); return Continue }); a.kind == actReset {
			f.finish(a)
		}
	case opCall:
		o.run()
	}
}

func (f *Flow) after(d time.Duration, run func()) *Timer {
	t := &Timer{f: f}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		t.timer = time.NewTimer(d)
		t.timer.Stop()
		return t
	}
	if f.timers == nil {
		f.timers = map[*Timer]bool{}
	}
	f.timers[t] = true
	t.timer = time.AfterFunc(d, func() { _ = f.push(op{kind: opRun, run: run, timer: t}) })
	return t
}

func (f *Flow) timerEnded(t *Timer) {
	f.mu.Lock()
	delete(f.timers, t)
	f.mu.Unlock()
}

// context returns the context of the connection.
func (f *Flow) context() context.Context {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx == nil {
		f.ctx, f.cancel = context.WithCancelCause(context.Background())
		if f.over {
			f.cancel(ErrDone)
		}
	}
	return f.ctx
}
