package breaker

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"mosn.io/moe/framework/filter"
)

// circuit is that of one key: a breaker for failures and one for slowness, of which either refuses.
type circuit struct {
	rule   *Rule
	counts ruleCounts
	errs   *gobreaker.TwoStepCircuitBreaker[any] // nil if the rule has no such limit
	slow   *gobreaker.TwoStepCircuitBreaker[any]

	mu   sync.Mutex
	open int       // how many of the two are not closed
	til  time.Time // when the one that opened last lets probes pass
}

type ruleCounts struct {
	opened, closed, probed *filter.Counter
	open                   *filter.Gauge
}

func (c *counts) of(rule string) ruleCounts {
	return ruleCounts{c.opened.With(rule), c.closed.With(rule), c.probed.With(rule), c.open.With(rule)}
}

// What a request is reported as, beside nil for a success.
var (
	errBad     = errors.New("failed, or slow")
	errNothing = errors.New("says nothing about the upstream")
)

func newCircuit(r *Rule, counts ruleCounts, log *slog.Logger) *circuit {
	c := &circuit{rule: r, counts: counts}
	settings := func(kind string, trip func(gobreaker.Counts) bool) gobreaker.Settings {
		return gobreaker.Settings{
			Name: kind, MaxRequests: r.Probes, Interval: r.Window, BucketPeriod: r.Window / buckets, Timeout: r.Open,
			ReadyToTrip:   trip,
			IsExcluded:    func(err error) bool { return errors.Is(err, errNothing) },
			OnStateChange: func(kind string, from, to gobreaker.State) { c.changed(log, kind, from, to) },
		}
	}
	rate := func(part float64, n gobreaker.Counts) bool {
		ended := n.TotalFailures + n.TotalSuccesses
		return part > 0 && ended >= r.MinRequests && float64(n.TotalFailures) >= part*float64(ended)
	}
	if r.ErrorRate > 0 || r.Consecutive > 0 {
		c.errs = gobreaker.NewTwoStepCircuitBreaker[any](settings("errors", func(n gobreaker.Counts) bool {
			return r.Consecutive > 0 && n.ConsecutiveFailures >= r.Consecutive || rate(r.ErrorRate, n)
		}))
	}
	if r.SlowRate > 0 {
		c.slow = gobreaker.NewTwoStepCircuitBreaker[any](settings("slow", func(n gobreaker.Counts) bool {
			return rate(r.SlowRate, n)
		}))
	}
	return c
}

// changed follows the state of one of the two. It is called with that one locked.
func (c *circuit) changed(log *slog.Logger, kind string, from, to gobreaker.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case to == gobreaker.StateOpen:
		c.til = time.Now().Add(c.rule.Open)
		c.counts.opened.Inc()
		if from == gobreaker.StateClosed {
			if c.open++; c.open == 1 {
				c.counts.open.Add(1)
			}
			log.Warn("a circuit opens", "rule", c.rule.Name, "because", kind)
		}
	case to == gobreaker.StateClosed:
		c.counts.closed.Inc()
		if c.open--; c.open == 0 {
			c.counts.open.Add(-1)
		}
		log.Info("a circuit closes", "rule", c.rule.Name)
	}
}

// tripped reports whether the circuit is not closed.
func (c *circuit) tripped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open > 0
}

// forget is called when nobody uses the circuit any more.
func (c *circuit) forget() {
	if c.tripped() {
		c.counts.open.Add(-1)
	}
}

// wait returns how long it takes until the next probe may pass.
func (c *circuit) wait() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, time.Until(c.til))
}

// verdict is how a request has gone.
type verdict struct{ nothing, failed, slow bool }

// allow reports whether a request may pass. It returns a function to report the outcome with, once.
func (c *circuit) allow() (done func(verdict), ok bool) {
	tell := func(bad bool, v verdict) error {
		switch {
		case v.nothing:
			return errNothing
		case bad:
			return errBad
		}
		return nil
	}
	var ofErrs, ofSlow func(error)
	var err error
	if c.errs != nil {
		if ofErrs, err = c.errs.Allow(); err != nil {
			return nil, false
		}
	}
	if c.slow != nil {
		if ofSlow, err = c.slow.Allow(); err != nil {
			if ofErrs != nil {
				ofErrs(errNothing)
			}
			return nil, false
		}
	}
	done = func(v verdict) {
		if ofErrs != nil {
			ofErrs(tell(v.failed, v))
		}
		if ofSlow != nil {
			ofSlow(tell(v.slow, v))
		}
	}
	if c.tripped() {
		c.counts.probed.Inc()
		done = c.probe(done)
	}
	return done, true
}

// longestProbe is for how long a probe may say nothing: others are refused meanwhile.
const longestProbe = time.Minute

// probe has a request that goes on for long, such as a stream of gRPC, whose status comes with its end, say nothing about the
// upstream, so that another one is tried.
func (c *circuit) probe(done func(verdict)) func(verdict) {
	var once sync.Once
	t := time.AfterFunc(max(c.rule.Open, longestProbe), func() { once.Do(func() { done(verdict{nothing: true}) }) })
	return func(v verdict) {
		t.Stop()
		once.Do(func() { done(v) })
	}
}
