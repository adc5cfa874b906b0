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
	sent    func() // once bytes have gone on, or nil
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
			f.flush(o.dir)
		}
		if o.sent != nil {
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
		f.timerEnded()
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
	f.timers++
	f.mu.Unlock()
	t.timer = time.AfterFunc(d, func() { _ = f.push(op{kind: opRun, run: run}) })
	return t
}

func (f *Flow) timerEnded() {
	f.mu.Lock()
	f.timers--
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
