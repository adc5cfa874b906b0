package envoylog

import (
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// lookInterval is how often Envoy is asked which levels it writes: its admin page may change that at any time, and tells
// nobody.
const lookInterval = time.Second

// threshold is the lowest level that Envoy writes, as it was at the latest look, so that a line below it costs a load and
// no call into Envoy. Before the first look nothing is below it.
type threshold struct {
	sink   Sink
	lowest atomic.Int64 // a slog.Level
	follow sync.Once
}

func newThreshold(s Sink) *threshold {
	t := &threshold{sink: s}
	t.lowest.Store(math.MinInt64)
	return t
}

// enabled reports whether Envoy writes lines of a level. A level that has come to be written is noticed within
// lookInterval.
func (t *threshold) enabled(l slog.Level) bool {
	if int64(l) < t.lowest.Load() {
		return false
	}
	t.follow.Do(func() {
		go func() { //moe:goroutine it runs as long as the process, and calls nothing but Envoy
			for {
				t.look()
				time.Sleep(lookInterval)
			}
		}()
	})
	return t.sink.Enabled(levelOf(l))
}

// look asks Envoy.
func (t *threshold) look() {
	for l := Trace; l <= Error; l++ {
		if t.sink.Enabled(l) {
			t.lowest.Store(int64(lowestOf(l)))
			return
		}
	}
	t.lowest.Store(math.MaxInt64)
}

// lowestOf returns the lowest of slog's levels that is written as l.
func lowestOf(l Level) slog.Level {
	switch l {
	case Trace:
		return math.MinInt64
	case Debug:
		return slog.LevelDebug
	case Info:
		return slog.LevelInfo
	case Warn:
		return slog.LevelWarn
	}
	return slog.LevelError
}
