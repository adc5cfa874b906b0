package chain

import (
	"sync"
	"time"

	"mosn.io/moe/framework/internal/core"
)

// watch bounds how long the streams of a chain wait for plugins. All waits have the same length, so that the first to
// have begun is the first to run out, and one timer serves them all. Once armed it stays so until it fires: to start
// and stop a timer for each wait costs more than the wait, because it wakes the runtime's poller.
type watch struct {
	timeout time.Duration

	mu          sync.Mutex
	first, last *alarm
	timer       *time.Timer
	armed       bool
}

// alarm is one wait: of a direction of a stream, for a plugin. The watch's mutex guards it.
type alarm struct {
	st         *Stream
	di         core.Direction
	gen, epoch uint32
	sink       core.Sink
	deadline   time.Time
	prev, next *alarm
	waiting    bool
}

// begin starts a's wait; one that is under way starts anew.
func (w *watch) begin(a *alarm, st *Stream, di core.Direction) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(a)
	*a = alarm{
		st: st, di: di, gen: st.Gen, epoch: st.d[di].epoch, sink: st.sink, deadline: now.Add(w.timeout),
		prev: w.last, waiting: true,
	}
	if w.last == nil {
		w.first = a
	} else {
		w.last.next = a
	}
	w.last = a
	if !w.armed {
		w.arm(w.timeout)
	}
}

// end ends a's wait, if there is one.
func (w *watch) end(a *alarm) {
	w.mu.Lock()
	w.remove(a)
	w.mu.Unlock()
}

// remove and arm are called with w.mu held.
func (w *watch) remove(a *alarm) {
	if !a.waiting {
		return
	}
	if a.prev == nil {
		w.first = a.next
	} else {
		a.prev.next = a.next
	}
	if a.next == nil {
		w.last = a.prev
	} else {
		a.next.prev = a.prev
	}
	*a = alarm{}
}

func (w *watch) arm(d time.Duration) {
	w.armed = true
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.ring)
	} else {
		w.timer.Reset(d)
	}
}

// ring runs on the timer's goroutine and tells the streams whose waits have run out.
func (w *watch) ring() {
	now := time.Now()
	var due []alarm
	w.mu.Lock()
	w.armed = false
	for w.first != nil && !now.Before(w.first.deadline) {
		due = append(due, *w.first)
		w.remove(w.first)
	}
	if w.first != nil {
		w.arm(w.first.deadline.Sub(now))
	}
	w.mu.Unlock()
	for _, a := range due {
		a.st.post(a.gen, a.sink, func() {
			if d := &a.st.d[a.di]; d.susp && d.epoch == a.epoch {
				a.st.expire(a.di, d)
			}
		})
	}
}
