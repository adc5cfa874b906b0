// Package deadline bounds waits that are many and short. All waits of a list have the same length, so that the first to
// have begun is the first to expire, and one timer serves them all. Once armed it stays so until it fires: to start and
// stop a timer for each wait costs more than the wait, because it wakes the runtime's poller.
package deadline

import (
	"sync"
	"time"
)

// List is a list of waits of one length.
type List[T any] struct {
	length time.Duration
	expire func(T)

	mu          sync.Mutex
	first, last *Wait[T]
	timer       *time.Timer
	armed       bool
}

// Wait is one wait. It is the caller's memory, which takes part in one list at a time; the list guards it.
type Wait[T any] struct {
	value            T
	deadline         time.Time
	prev, next       *Wait[T]
	waiting, expired bool
}

// Init sets how long a wait lasts, and what is called, on the timer's goroutine, with the value of one that expires. It
// is called before the list is used.
func (l *List[T]) Init(length time.Duration, expire func(T)) { l.length, l.expire = length, expire }

// Length returns how long a wait lasts.
func (l *List[T]) Length() time.Duration { return l.length }

// Begin starts w for v. If w is under way it starts anew.
func (l *List[T]) Begin(w *Wait[T], v T) {
	deadline := time.Now().Add(l.length)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(w)
	w.value, w.deadline, w.prev, w.waiting, w.expired = v, deadline, l.last, true, false
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
	if !l.armed {
		l.arm(l.length)
	}
}

// End ends w, if it is under way, and reports whether it had expired before.
func (l *List[T]) End(w *Wait[T]) (expired bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(w)
	return w.expired
}

// remove takes w out of the list and lets go of its value. l.mu is held.
func (l *List[T]) remove(w *Wait[T]) {
	if !w.waiting {
		return
	}
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	*w = Wait[T]{}
}

// arm sets the timer. l.mu is held.
func (l *List[T]) arm(d time.Duration) {
	l.armed = true
	if l.timer == nil {
		l.timer = time.AfterFunc(d, l.fire)
	} else {
		l.timer.Reset(d)
	}
}

// fire runs on the timer's goroutine.
func (l *List[T]) fire() {
	now := time.Now()
	var due []T
	l.mu.Lock()
	l.armed = false
	for l.first != nil && !now.Before(l.first.deadline) {
		w := l.first
		due = append(due, w.value)
		l.remove(w)
		w.expired = true
	}
	if l.first != nil {
		l.arm(l.first.deadline.Sub(now))
	}
	l.mu.Unlock()
	for _, v := range due {
		l.expire(v)
	}
}
