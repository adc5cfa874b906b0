package store

import (
	"sync/atomic"
	"time"
)

// Outage follows whether Redis answers, so that it is left alone for a while once it has failed. The zero Outage is that of
// one that answers. Its methods may be called from any goroutine; times are nanoseconds of any clock that is more than 0.
type Outage struct {
	til  atomic.Int64
	down atomic.Bool
}

// Try reports whether Redis is to be asked now: once it has failed, by one caller each time that pause has passed, who has
// timeout to [Outage.Note] what comes of it.
func (o *Outage) Try(now int64, pause, timeout time.Duration) bool {
	til := o.til.Load()
	return til == 0 || now >= til && o.til.CompareAndSwap(til, now+int64(pause)+int64(timeout))
}

// Note notes whether Redis has answered. changed is whether that is news.
func (o *Outage) Note(err error, now int64, pause time.Duration) (changed bool) {
	if err == nil {
		o.til.Store(0)
		return o.down.CompareAndSwap(true, false)
	}
	o.til.Store(now + int64(pause) + 1)
	return o.down.CompareAndSwap(false, true)
}
