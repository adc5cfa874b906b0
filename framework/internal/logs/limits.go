package logs

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"mosn.io/moe/framework/internal/core"
)

// Interval is within which lines of one message count as repeated.
const Interval = 10 * time.Second

// What is remembered of messages is bounded, as they may be made of what clients send.
const (
	maxMessages = 256
	maxMessage  = 1 << 10 // bytes of one that tell it apart from others
)

var repeated = core.Define(core.Definition{
	Name: "moe.log.repeated", Tags: []string{"plugin"},
	Help: "Lines of the plugin that were not logged, as their message had been logged too often in ten seconds.",
}).Metric()

// Metrics returns what the process counts of its plugins' logs, for hosts to show.
func Metrics() []*core.Metric { return []*core.Metric{repeated} }

// limits remember how often the messages of a plugin were logged of late.
type limits struct {
	to   slog.Handler
	left *core.Cell // counts the lines that are left out

	mu   sync.Mutex
	seen map[message]*repeats
}

// message is what repeated lines have in common.
type message struct {
	level slog.Level
	text  string
}

// repeats are the lines of a message in an interval.
type repeats struct {
	since  time.Time
	logged int
	left   int         // how many were left out
	tell   *time.Timer // says so when the interval is over; nil where none were left out
}

func (l *limits) init(plugin string, to slog.Handler) {
	l.to, l.left, l.seen = to, repeated.With(plugin), map[message]*repeats{}
}

// pass reports whether a line is to be logged, of n with its message in an interval. The first of a message always is.
func (l *limits) pass(r *slog.Record, n int) bool {
	key := message{r.Level, r.Message}
	if len(key.text) > maxMessage {
		key.text = key.text[:maxMessage]
	}
	l.mu.Lock()
	now := time.Now()
	m := l.seen[key]
	if m != nil && now.Sub(m.since) < Interval {
		defer l.mu.Unlock()
		if m.logged < max(n, 1) {
			m.logged++
			return true
		}
		l.leaveOut(key, m, now)
		return false
	}
	var over summary
	if m != nil {
		over = l.forget(key, m)
	} else if len(l.seen) >= maxMessages {
		over = l.forgetOldest()
	}
	key.text = strings.Clone(key.text)
	l.seen[key] = &repeats{since: now, logged: 1}
	l.mu.Unlock()
	l.write(over)
	return true
}

// leaveOut counts a line that is not logged. mu is held.
func (l *limits) leaveOut(key message, m *repeats, now time.Time) {
	l.left.Add(1)
	m.left++
	if m.tell == nil {
		m.tell = time.AfterFunc(m.since.Add(Interval).Sub(now), func() { l.over(key, m) })
	}
}

// over ends an interval in which lines were left out.
func (l *limits) over(key message, m *repeats) {
	l.mu.Lock()
	var s summary
	if l.seen[key] == m {
		s = l.forget(key, m)
	}
	l.mu.Unlock()
	l.write(s)
}

// forget drops a message, and returns what there is to say of it. mu is held.
func (l *limits) forget(key message, m *repeats) summary {
	delete(l.seen, key)
	if m.tell != nil {
		m.tell.Stop()
	}
	return summary{key, m.left}
}

// forgetOldest drops the message whose interval began first. mu is held.
func (l *limits) forgetOldest() summary {
	var oldest message
	var m *repeats
	for key, one := range l.seen {
		if m == nil || one.since.Before(m.since) {
			oldest, m = key, one
		}
	}
	return l.forget(oldest, m)
}

// tell ends all intervals.
func (l *limits) tell() {
	l.mu.Lock()
	all := make([]summary, 0, len(l.seen))
	for key, m := range l.seen {
		all = append(all, l.forget(key, m))
	}
	l.mu.Unlock()
	for _, s := range all {
		l.write(s)
	}
}

// summary is how many lines of a message were left out.
type summary struct {
	of   message
	left int
}

// write logs a summary, unless it is of nothing.
func (l *limits) write(s summary) {
	if s.left == 0 {
		return
	}
	r := slog.NewRecord(time.Now(), s.of.level, s.of.text, 0)
	r.AddAttrs(slog.Int("repeated", s.left), slog.String("within", Interval.String()))
	_ = l.to.Handle(context.Background(), r) // there is nowhere to report that a log fails
}
