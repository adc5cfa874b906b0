package concurrency

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"

	"mosn.io/moe/framework/filter"
)

// limiter has the slots of one key, and the queue of those who wait for one.
type limiter struct {
	most     int                                  // slots, with a limit that is fixed
	adaptive adaptivelimiter.AdaptiveLimiter[any] // nil with a limit that is fixed
	room     int                                  // for those who wait

	mu      sync.Mutex
	taken   int
	queues  [levels]list.List // of *waiter, by priority; each in the order of arrival
	waiting int
	waits   *filter.Gauge // of all limiters, those who wait
}

// permit is a slot that is held. It is released once.
type permit struct {
	of       *limiter
	adaptive adaptivelimiter.Permit
}

// waiter is who waits for a slot.
type waiter struct {
	at      *list.Element // nil once it has left the queue
	level   int
	granted bool
	permit  permit
	done    chan struct{} // closed when it has left the queue by the doing of another
}

var (
	errFull    = errors.New("the queue is full")
	errTooLong = errors.New("no slot has become free in time")
)

// try takes a slot, if one is free and nobody waits for it. full is whether a request of this priority could not even wait.
func (l *limiter) try(level int) (p permit, ok, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == 0 {
		if p, ok = l.slot(); ok {
			return p, true, false
		}
	}
	return permit{}, false, l.room == 0 || l.waiting >= l.room && l.lowest() >= level
}

// slot takes a slot if one is free. l.mu is locked.
func (l *limiter) slot() (permit, bool) {
	if l.adaptive != nil {
		a, ok := l.adaptive.TryAcquirePermit()
		return permit{of: l, adaptive: a}, ok
	}
	if l.taken >= l.most {
		return permit{}, false
	}
	l.taken++
	return permit{of: l}, true
}

// lowest is the lowest priority of those who wait, if somebody does.
func (l *limiter) lowest() int {
	for level := range l.queues {
		if l.queues[level].Len() > 0 {
			return level
		}
	}
	return levels
}

// wait waits for a slot, for a bounded time. The error is errFull, errTooLong or that of ctx.
func (l *limiter) wait(ctx context.Context, level int, most time.Duration) (permit, error) {
	l.mu.Lock()
	if l.waiting == 0 {
		if p, ok := l.slot(); ok {
			l.mu.Unlock()
			return p, nil
		}
	}
	if l.waiting >= l.room {
		low := l.lowest()
		if low >= level {
			l.mu.Unlock()
			return permit{}, errFull
		}
		l.leave(l.queues[low].Back().Value.(*waiter)) // the last to come of those with the lowest priority
	}
	w := &waiter{level: level, done: make(chan struct{})}
	w.at = l.queues[level].PushBack(w)
	l.waiting++
	l.waits.Add(1)
	l.mu.Unlock()

	timer := time.NewTimer(most)
	defer timer.Stop()
	var err error
	select {
	case <-w.done:
		if w.granted {
			return w.permit, nil
		}
		return permit{}, errFull
	case <-timer.C:
		err = errTooLong
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	l.mu.Lock()
	if w.at != nil {
		l.remove(w)
	}
	l.mu.Unlock()
	if w.granted { // at the last moment
		if ctx.Err() == nil {
			return w.permit, nil
		}
		w.permit.release(false)
	}
	return permit{}, err
}

// remove takes a waiter out of the queue. l.mu is locked.
func (l *limiter) remove(w *waiter) {
	l.queues[w.level].Remove(w.at)
	w.at = nil
	l.waiting--
	l.waits.Add(-1)
}

// leave takes a waiter out of the queue and tells it. l.mu is locked.
func (l *limiter) leave(w *waiter) {
	l.remove(w)
	close(w.done)
}

// release gives the slot back, to who waits first. measured is whether the time that it was held says how long requests
// take.
func (p permit) release(measured bool) {
	l := p.of
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case p.adaptive == nil:
		l.taken--
	case measured:
		p.adaptive.Record()
	default:
		p.adaptive.Drop()
	}
	for level := levels - 1; level >= 0; level-- {
		for l.queues[level].Len() > 0 {
			next, ok := l.slot()
			if !ok {
				return
			}
			w := l.queues[level].Front().Value.(*waiter)
			w.granted, w.permit = true, next
			l.leave(w)
		}
	}
}
