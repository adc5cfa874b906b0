package bootstrap

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"mosn.io/moe/framework/extension"
)

var (
	// ErrDone is what a [Server] returns once Envoy has given the extension up.
	ErrDone = errors.New("the server has ended")
	// ErrNotFound is of a statistic that Envoy does not have (yet: many begin with their first use).
	ErrNotFound = errors.New("not found")
	// ErrBusy is of a question that Envoy's main thread had no time for within [AskTimeout].
	ErrBusy = errors.New("the main thread of Envoy had no time within " + AskTimeout.String())
	// ErrEnvoyThread is of a question from a thread of Envoy's, such as from a phase of a plugin, which must not wait.
	ErrEnvoyThread = errors.New("asked on a thread of Envoy's, which must not wait; ask from a goroutine")
	// ErrUnsupported is of what the host cannot do.
	ErrUnsupported = extension.ErrUnsupported
)

// AskTimeout is how long a [Server] waits for Envoy's main thread.
const AskTimeout = 10 * time.Second

// Server is Envoy, as an extension sees it. It may be kept, and used by any goroutine at any time.
type Server struct{ x *Instance }

// Context is cancelled, with the cause [ErrDone], when Envoy gives the extension up.
func (s *Server) Context() context.Context { return s.x.ctx }

// Log returns the logger to Envoy's log, with the extension's name.
func (s *Server) Log() *slog.Logger { return s.x.log }

// Counter returns the value of one of Envoy's counters, by its full name, such as "cluster_manager.cluster_added". Envoy
// looks through all of them for it, on its main thread: it is for a few, now and then.
func (s *Server) Counter(name string) (value uint64, err error) {
	err = s.x.lookup(func() (ok bool) {
		value, ok = s.x.host.Counter(name)
		return ok
	})
	return value, err
}

// Gauge returns the value of one of Envoy's gauges, as [Server.Counter] does.
func (s *Server) Gauge(name string) (value uint64, err error) {
	err = s.x.lookup(func() (ok bool) {
		value, ok = s.x.host.Gauge(name)
		return ok
	})
	return value, err
}

// Histogram returns how many values one of Envoy's histograms has, and their sum, since Envoy has begun. Envoy adds what
// was recorded with each flush of its statistics, every 5 s unless configured.
func (s *Server) Histogram(name string) (count uint64, sum float64, err error) {
	err = s.x.lookup(func() (ok bool) {
		count, sum, ok = s.x.host.Histogram(name)
		return ok
	})
	return count, sum, err
}

// Overview returns what is at work in the process that this Envoy is: names and numbers, and nothing of a configuration. It
// does not wait, and may be asked on any thread.
func (s *Server) Overview() Overview { return s.x.host.Overview() }

// Every calls f every d, from d on, until stop is called or Envoy ends, with which ctx is cancelled. It does not call f while
// f runs. A panic in f ends that call alone; it is logged with its stack and counted. d is 1 ms at least.
//
// Timers are Go's, and f runs on a goroutine, so that it may wait.
func (s *Server) Every(d time.Duration, f func(ctx context.Context)) (stop func()) {
	return s.timer("a function of Every", d, f, true)
}

// After calls f once, in d, unless stop is called before or Envoy ends.
func (s *Server) After(d time.Duration, f func(ctx context.Context)) (stop func()) {
	return s.timer("a function of After", d, f, false)
}

func (s *Server) timer(what string, d time.Duration, f func(context.Context), again bool) (stop func()) {
	ctx, cancel := context.WithCancel(s.x.ctx)
	t := time.NewTicker(max(d, time.Millisecond))
	go func() {
		defer t.Stop()
		defer cancel()
		for first := true; first || again; first = false {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			if ctx.Err() == nil {
				s.x.await(what, func() { f(ctx) })
			}
		}
	}()
	return cancel
}
