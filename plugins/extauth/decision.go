package extauth

import (
	"context"
	"errors"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/lookup"
	"mosn.io/moe/plugins/internal/remember"
	"mosn.io/moe/plugins/internal/requestkey"
)

// Cache has answers of the service remembered, for requests that are alike in the parts of a key.
type Cache struct {
	// Key is the parts. It must have all that the service decides by.
	Key requestkey.Key `json:"key" validate:"required,min=1"`
	// Size is how many answers that allow are remembered, and as many that deny beside them.
	Size int `json:"size" default:"10000" validate:"min=1,max=10000000"`
	// TTL is how long an answer is remembered that allows.
	TTL time.Duration `json:"ttl" default:"10s"`
	// DeniedTTL is how long one is remembered that denies; 0s: not at all.
	DeniedTTL time.Duration `json:"deniedTTL" default:"10s"`
}

// maxRemembered is how many bytes of an answer are remembered. The service is asked each time whose answers are longer.
const maxRemembered = 16 << 10

func (p *ExtAuth) checkCache() error {
	c := p.Cache
	if c == nil {
		return nil
	}
	errs := c.Key.Check("cache.key", nil)
	if len(c.Key) == 0 {
		errs = append(errs, errors.New("cache.key: must not be empty"))
	}
	if c.TTL <= 0 || c.DeniedTTL < 0 {
		errs = append(errs, errors.New("cache.ttl: must be more than 0s, and cache.deniedTTL not less"))
	}
	if p.RequestBody != nil {
		errs = append(errs, errors.New("cache: does not go with requestBody, for which no key can stand"))
	}
	return errors.Join(errs...)
}

// decision is what the service has said, for each request that it may have been asked about.
type decision struct {
	allowed bool
	reason  string
	reply   *filter.Action
	// apply changes a request that is allowed. note says in its metadata what the service has. Each may be nil.
	apply func(s filter.Stream, h filter.RequestHeaders)
	note  func(s filter.Stream)
	size  int // in bytes, about
}

// verdict is the decision about a request.
func (p *ExtAuth) verdict(d decision, s filter.Stream, h filter.RequestHeaders) authz.Verdict {
	if d.note != nil {
		d.note(s)
	}
	v := authz.Verdict{Allowed: d.allowed, Reason: d.reason, Reply: d.reply}
	if d.apply != nil {
		v.Apply = func() { d.apply(s, h) }
	}
	return v
}

// key is that of a request, by which its decision is remembered. It is false for one that has none: a part that is there more than
// once, or cannot be found out.
func (p *ExtAuth) key(r *authz.Request) (remember.Key, bool) {
	if p.known == nil || p.Cache.Key.Several(r.Headers) {
		return remember.Key{}, false
	}
	b, err := p.Cache.Key.Append(nil, &p.Mode, r)
	if err != nil {
		r.Stream.Log().Warn("the decision is not remembered", "error", err)
		return remember.Key{}, false
	}
	return p.known.Key(string(b)), true
}

// remember asks the service, or waits for the answer to another request with the same key.
func (p *ExtAuth) remember(ctx context.Context, k remember.Key, q question) (decision, error) {
	return p.known.Ask(ctx, k, func(ctx context.Context) (lookup.Answer[decision], error) {
		d, err := q(ctx)
		return lookup.Answer[decision]{Value: d, Refused: !d.allowed, Forget: d.size > maxRemembered}, err
	})
}
