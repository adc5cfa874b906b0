package inproc

import (
	"errors"
	"slices"
	"time"

	"mosn.io/moe/framework/internal/core"
)

// call is something to be done with Envoy's side of an object, on its thread.
type call struct {
	id   *int // tells calls apart
	run  func()
	drop func() // instead of run, when the object is gone
}

var (
	// ErrElsewhere is of a call that would have to wait on a thread of Envoy's.
	ErrElsewhere = errors.New("asked from a phase of another stream, which must not wait for this one: ask from a " +
		"function given to filter.Go")
	// ErrHeld is of a call for which an object's thread has no time: a plugin keeps it in a phase.
	ErrHeld = errors.New("a phase method keeps the stream's thread and may be waiting for this very call: return from " +
		"it first")
)

// patience is how long a call waits for a thread that stays in one crossing. A plugin that waits in a phase for a
// goroutine that asks Envoy would otherwise stop the thread for ever.
const patience = 2 * time.Second

// Ask runs f with Envoy's side of the object and returns when it has run. On the object's thread it runs at once. Other
// goroutines wait: f runs when the thread enters Go next, or before it leaves it, if it is in Go now.
func (h Handle) Ask(f func()) error {
	l := h.life
	l.mu.Lock()
	if l.gen != h.gen || l.door.Gone() {
		l.mu.Unlock()
		return core.ErrStreamDone
	}
	switch door := l.door; {
	case door.OnThread():
		l.mu.Unlock()
		f()
		return nil
	case door.OnAny():
		l.mu.Unlock()
		return ErrElsewhere
	}
	done := make(chan error, 1)
	c := call{
		id: new(int),
		run: func() {
			err := core.ErrStreamDone // where f panics
			defer func() { done <- err }()
			f()
			err = nil
		},
		drop: func() { done <- core.ErrStreamDone },
	}
	l.push(c)
	thread := l.thread
	gone := l.door.Gone() // after Escape, as the end looks for that
	l.mu.Unlock()
	if gone {
		return core.ErrStreamDone
	}
	return h.wait(c, thread, done)
}

// IfHere runs f with Envoy's side of the object if the caller is on its thread, and reports that. It does not wait.
func (h Handle) IfHere(f func()) bool {
	l := h.life
	l.mu.Lock()
	here := l.gen == h.gen && !l.door.Gone() && l.door.OnThread()
	l.mu.Unlock()
	if here {
		f()
	}
	return here
}

// push queues a call and has it served soon. mu is held.
func (l *Life) push(c call) {
	l.calls = append(l.calls, c)
	l.escape()
	if l.depth == 0 {
		l.wake()
	}
}

func (h Handle) wait(c call, t *Thread, done <-chan error) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for last := t.position(); ; {
		select {
		case err := <-done:
			return err
		case <-timer.C:
		}
		now := t.position()
		if now == last && now.inside() && h.withdraw(c) {
			return ErrHeld
		}
		last = now
		timer.Reset(patience)
	}
}

// withdraw takes a call back; false: it is being served.
func (h Handle) withdraw(c call) bool {
	l := h.life
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gen != h.gen {
		return false
	}
	i := slices.IndexFunc(l.calls, func(o call) bool { return o.id == c.id })
	if i < 0 {
		return false
	}
	l.calls = slices.Delete(l.calls, i, i+1)
	return true
}

// Later runs f with Envoy's side of the object: at once on its thread, and otherwise before the object goes on. It does not
// wait. drop, which may be nil, runs instead where the object ends before.
func (h Handle) Later(f, drop func()) error { return h.later(f, drop, false) }

// Now runs f with Envoy's side of the object: at once on its thread, and otherwise soon. It does not wait, and f does not run
// where the object ends before.
func (h Handle) Now(f func()) error {
	l := h.life
	l.mu.Lock()
	soon := l.gen != h.gen || l.depth == 0 || !l.door.OnThread()
	l.mu.Unlock()
	return h.later(f, nil, soon)
}

// Soon is Later for what should not wait for the object's next event. On the object's thread it waits too, until the
// crossing ends.
func (h Handle) Soon(f, drop func()) error { return h.later(f, drop, true) }

func (h Handle) later(f, drop func(), soon bool) error {
	l := h.life
	l.mu.Lock()
	if l.gen != h.gen || l.door.Gone() {
		l.mu.Unlock()
		return core.ErrStreamDone
	}
	if !soon && l.depth > 0 && l.door.OnThread() {
		l.mu.Unlock()
		f()
		return nil
	}
	defer l.mu.Unlock()
	if drop == nil {
		drop = func() {}
	}
	if c := (call{run: f, drop: drop}); soon {
		l.push(c)
	} else {
		l.calls = append(l.calls, c)
	}
	return nil
}

// Lookup is Ask for something that may not exist, which f reports.
func (h Handle) Lookup(f func() bool) error { return h.Try(core.ErrNotFound, f) }

// Try is Ask for something that Envoy may refuse, which f reports; the error is then refused.
func (h Handle) Try(refused error, f func() bool) error {
	ok := false
	if err := h.Ask(func() { ok = f() }); err != nil {
		return err
	}
	if !ok {
		return refused
	}
	return nil
}
