package concurrency

import (
	"fmt"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"

	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/expression"
	"mosn.io/moe/plugins/internal/keytable"
	"mosn.io/moe/plugins/internal/requestkey"
	"mosn.io/moe/plugins/internal/rules"
)

// Rule limits the requests of each key.
type Rule struct {
	// Name tells rules apart, in metrics and metadata.
	Name string `json:"name" default:"default"`
	// Key is what requests are counted by. Requests that are alike in all parts share the limit; without parts all do.
	Key requestkey.Key `json:"key" validate:"max=8"`
	// Max is how many requests of a key may be in flight. With adaptive it is the most that the limit grows to.
	Max uint32 `json:"max" validate:"min=1,max=1000000"`
	// Adaptive has the limit follow how long requests take.
	Adaptive *Adaptive `json:"adaptive"`
	// Queue is how many requests of a key may wait until one ends.
	Queue uint32 `json:"queue" validate:"max=100000"`
	// MaxWait is how long they wait at most.
	MaxWait time.Duration `json:"maxWait" default:"1s"`
	// Priority is an expression of CEL, of type int, from 0 to 9: of the requests that wait, those with a higher one go on
	// first, and take the place of others when the queue is full. Without it all have 0.
	Priority string `json:"priority"`
	// When is an expression of CEL, of type bool: the rule is for the requests for which it is true.
	When string `json:"when"`

	priority expression.Program
	when     rules.Condition
	table    *keytable.Table[*limiter]
}

// Adaptive has a limit follow how long requests take: it shrinks while recent ones take longer than they used to (the
// gradient between the two), and grows while they do not and the limit is made use of.
type Adaptive struct {
	// Min is the least that the limit shrinks to.
	Min uint32 `json:"min" default:"1" validate:"min=1,max=1000000"`
	// Initial is where it begins; 0 is the smaller of 20 and max.
	Initial uint32 `json:"initial" validate:"max=1000000"`
	// Window is how often it is decided anew, if there were samples requests meanwhile.
	Window time.Duration `json:"window" default:"1s"`
	// Samples is how many requests have to end before it is decided anew.
	Samples uint32 `json:"samples" default:"50" validate:"min=1,max=1000000"`
	// Quantile is that of the durations in a window that counts.
	Quantile float64 `json:"quantile" default:"0.9"`
}

const (
	longestWait = 20 * time.Second // below the chain's own timeout
	levels      = 10               // of priority
)

func (r *Rule) validate(metadata []authz.Metadata) (errs []error) {
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf(field+": "+format, args...))
	}
	if err := rules.CheckName(r.Name); err != nil {
		bad("name", "%w", err)
	}
	errs = append(errs, r.Key.Check("key", metadata)...)
	if r.MaxWait < 0 || r.MaxWait > longestWait {
		bad("maxWait", "must be 0s to %v", longestWait)
	}
	if r.Priority != "" && r.Queue == 0 {
		bad("priority", "is for requests that wait: set queue")
	}
	if a := r.Adaptive; a != nil {
		if a.Initial == 0 {
			a.Initial = max(a.Min, min(20, r.Max))
		}
		if a.Min > a.Initial || a.Initial > r.Max {
			bad("adaptive", "needs min <= initial <= max")
		}
		if a.Window < time.Millisecond || a.Window > time.Hour {
			bad("adaptive.window", "must be 1ms to 1h")
		}
		if !(a.Quantile > 0 && a.Quantile < 1) {
			bad("adaptive.quantile", "must be between 0 and 1")
		}
	}
	var err error
	if r.Priority != "" {
		if r.priority, err = expression.Compile(r.Priority, expression.Int, expression.Options{Metadata: metadata}); err != nil {
			bad("priority", "%w", err)
		}
	}
	if r.when, err = rules.NewCondition(r.Name, r.When, metadata); err != nil {
		bad("when", "%w", err)
	}
	return errs
}

// level is the priority of a request.
func (r *Rule) level(q *authz.Request) (int, error) {
	if r.priority == nil {
		return 0, nil
	}
	copied := *q
	v, err := r.priority.Evaluate(&copied)
	if err != nil {
		return 0, fmt.Errorf("priority of the rule %s: %w", r.Name, err)
	}
	return int(min(max(v.Int, 0), levels-1)), nil
}

// newLimiter makes that of one key.
func (p *Concurrency) newLimiter(r *Rule) *limiter {
	l := &limiter{most: int(r.Max), room: int(r.Queue), waits: p.counts.waiting}
	a := r.Adaptive
	if a == nil {
		return l
	}
	gauge := p.counts.limit.With(r.Name)
	gauge.Add(int64(a.Initial))
	l.adaptive = adaptivelimiter.NewBuilder[any]().
		WithLimits(uint(a.Min), uint(r.Max), uint(a.Initial)).
		WithRecentWindow(a.Window, max(a.Window, 30*time.Second), uint(a.Samples)).
		WithRecentQuantile(a.Quantile).
		OnLimitChanged(func(e adaptivelimiter.LimitChangedEvent) { gauge.Add(int64(e.NewLimit) - int64(e.OldLimit)) }).
		Build()
	return l
}
