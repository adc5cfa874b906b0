package ratelimit

import (
	"fmt"
	"time"

	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/expression"
	"mosn.io/moe/plugins/internal/requestkey"
	"mosn.io/moe/plugins/internal/rules"
)

// Rule limits the requests of each key.
type Rule struct {
	// Name tells rules apart, in header fields, metrics and metadata.
	Name string `json:"name" default:"default"`
	// Key is what requests are counted by. Requests that are alike in all parts share a count; without parts all do.
	Key requestkey.Key `json:"key" validate:"max=8"`
	// Limit is how many units may be used in the time per.
	Limit uint32 `json:"limit" validate:"min=1,max=1000000000"`
	// Per is the time that limit is for.
	Per time.Duration `json:"per" default:"1s"`
	// Algorithm is how units are counted: tokenBucket, gcra, fixedWindow or slidingWindow.
	Algorithm string `json:"algorithm" default:"tokenBucket" enum:"tokenBucket,gcra,fixedWindow,slidingWindow"`
	// Burst is how many units may be used at once, with tokenBucket (by default as many as limit) and gcra (by default 1).
	Burst uint32 `json:"burst" validate:"max=1000000000"`
	// MaxDelay is how long a request may be held back until it is within the limit, with tokenBucket and gcra.
	MaxDelay time.Duration `json:"maxDelay"`
	// Cost is how many units a request uses.
	Cost uint32 `json:"cost" default:"1" validate:"min=1,max=1000000000"`
	// CostExpression is an expression of CEL, of type int, for the units in place of cost. 0 or less counts nothing.
	CostExpression string `json:"costExpression"`
	// When is an expression of CEL, of type bool: the rule is for the requests for which it is true.
	When string `json:"when"`

	algorithm algorithm
	cost      expression.Program
	when      rules.Condition
	prefix    []byte // see prefixOf
}

const (
	longestPer   = 366 * 24 * time.Hour
	longestFill  = 100 * longestPer // of a bucket
	longestDelay = 20 * time.Second // below the chain's own timeout
	fastest      = 100              // nanoseconds for a unit
)

func (r *Rule) validate(metadata []authz.Metadata) (errs []error) {
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf(field+": "+format, args...))
	}
	if err := rules.CheckName(r.Name); err != nil {
		bad("name", "%w", err)
	}
	errs = append(errs, r.Key.Check("key", metadata)...)
	rateOK := true
	if r.Per < time.Millisecond || r.Per > longestPer {
		bad("per", "must be 1ms to a year")
		rateOK = false
	} else if int64(r.Per)/int64(max(r.Limit, 1)) < fastest {
		bad("limit", "must be 10,000,000 a second at most")
		rateOK = false
	}
	buckets := r.Algorithm == "tokenBucket" || r.Algorithm == "gcra"
	if r.Burst > 0 && !buckets {
		bad("burst", "is for the algorithms tokenBucket and gcra only")
	}
	if r.MaxDelay < 0 || r.MaxDelay > longestDelay {
		bad("maxDelay", "must be 0s to %v", longestDelay)
	} else if r.MaxDelay > 0 && !buckets {
		bad("maxDelay", "is for the algorithms tokenBucket and gcra only")
	}
	if burst := r.burst(); rateOK && buckets && float64(burst)*float64(r.Per)/float64(r.Limit) > float64(longestFill) {
		bad("burst", "a bucket of this size takes more than 100 years to fill")
	}
	var err error
	if r.CostExpression != "" {
		if r.cost, err = expression.Compile(r.CostExpression, expression.Int, expression.Options{Metadata: metadata}); err != nil {
			bad("costExpression", "%w", err)
		}
	}
	if r.when, err = rules.NewCondition(r.Name, r.When, metadata); err != nil {
		bad("when", "%w", err)
	}
	return errs
}

// burst returns the size of the bucket.
func (r *Rule) burst() uint32 {
	switch {
	case r.Burst > 0:
		return r.Burst
	case r.Algorithm == "gcra":
		return 1
	}
	return r.Limit
}

// most returns the cost that fits at most.
func (r *Rule) most() uint32 {
	if r.Algorithm == "tokenBucket" || r.Algorithm == "gcra" {
		return r.burst()
	}
	return r.Limit
}

// start chooses the algorithm, once the rule is valid.
func (r *Rule) start(id string) {
	r.prefix = r.prefixOf(id)
	switch r.Algorithm {
	case "fixedWindow":
		r.algorithm = fixed{r.Limit, int64(r.Per)}
	case "slidingWindow":
		r.algorithm = sliding{r.Limit, int64(r.Per)}
	default:
		r.algorithm = newBucket(r.Limit, r.burst(), r.Per)
	}
}

// units returns what a request costs by the rule, 0 if the rule is not for it.
func (r *Rule) units(q *authz.Request) (uint32, error) {
	if ok, err := r.when.Of(q); err != nil || !ok {
		return 0, err
	}
	if r.cost == nil {
		return r.Cost, nil
	}
	copied := *q
	v, err := r.cost.Evaluate(&copied)
	if err != nil {
		return 0, fmt.Errorf("costExpression of the rule %s: %w", r.Name, err)
	}
	return uint32(min(max(v.Int, 0), 1<<32-1)), nil
}
