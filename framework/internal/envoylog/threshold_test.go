package envoylog

import (
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// levels is an Envoy whose level changes.
type levels struct {
	lowest atomic.Int64
	asked  atomic.Int64
}

func (l *levels) sink() Sink {
	return Sink{
		Enabled: func(at Level) bool {
			l.asked.Add(1)
			return int64(at) >= l.lowest.Load()
		},
		Write: func(Level, []byte) {},
	}
}

// What a look finds is what slog's levels are compared with.
func TestLook(t *testing.T) {
	for name, c := range map[string]struct {
		lowest   Level
		on, off  slog.Level
		allOrNot bool
	}{
		"trace":    {lowest: Trace, on: slog.LevelDebug - 4, allOrNot: true},
		"debug":    {lowest: Debug, on: slog.LevelDebug, off: slog.LevelDebug - 1},
		"info":     {lowest: Info, on: slog.LevelInfo, off: slog.LevelInfo - 1},
		"warn":     {lowest: Warn, on: slog.LevelWarn, off: slog.LevelWarn - 1},
		"error":    {lowest: Error, on: slog.LevelError, off: slog.LevelError - 1},
		"critical": {lowest: Critical, off: slog.LevelError + 100, allOrNot: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := &levels{}
			l.lowest.Store(int64(c.lowest))
			th := newThreshold(l.sink())
			th.look()
			if !c.allOrNot || c.lowest == Trace {
				if !th.enabled(c.on) {
					t.Errorf("%v is off, want on", c.on)
				}
			}
			if !c.allOrNot || c.lowest == Critical {
				before := l.asked.Load()
				if th.enabled(c.off) || l.asked.Load() != before {
					t.Errorf("%v is on, or Envoy was asked; want off by what is known", c.off)
				}
			}
		})
	}
}

// A change of Envoy's level is noticed, in either direction, without a new handler.
func TestThresholdFollowsEnvoy(t *testing.T) {
	l := &levels{}
	h := New(l.sink())
	// what h is enabled for, from debug on
	enabled := func() (names []string) {
		for level := slog.LevelDebug; level <= slog.LevelError; level += 4 {
			if h.Enabled(t.Context(), level) {
				names = append(names, level.String())
			}
		}
		return names
	}
	expect := func(lowest Level, want ...string) {
		t.Helper()
		l.lowest.Store(int64(lowest))
		deadline := time.Now().Add(time.Minute)
		for !slices.Equal(enabled(), want) {
			if time.Now().After(deadline) {
				t.Fatalf("with Envoy at %d, %v are enabled, want %v", lowest, enabled(), want)
			}
			time.Sleep(time.Millisecond)
		}
	}
	expect(Info, "INFO", "WARN", "ERROR")
	expect(Trace, "DEBUG", "INFO", "WARN", "ERROR")
	expect(Error, "ERROR")
	expect(Debug, "DEBUG", "INFO", "WARN", "ERROR")
	expect(Critical)
}
