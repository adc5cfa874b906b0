// Package limitreq limits the rate of requests with a token bucket per Envoy.
//
// It shows state that all streams of a configuration share: it is in the plugin's struct, and because any worker
// thread may call, a mutex guards it. A configuration that is pushed again unchanged keeps its instance, so the bucket
// is not full again after every push. It also shows Validate, a counter, and a reply with a header.
package limitreq

import (
	"errors"
	"math"
	"strconv"
	"sync"
	"time"

	"mosn.io/moe/framework/filter"
)

// LimitReq lets rate requests a second through, and burst at once.
type LimitReq struct {
	// Rate is in requests a second; 0.1 is one in ten seconds.
	Rate float64 `json:"rate" validate:"required"`
	// Burst is how many may come at once, after a pause.
	Burst float64 `json:"burst" default:"1"`

	limited *filter.Counter
	mu      sync.Mutex
	tokens  float64
	last    time.Time
}

func init() { filter.Register[LimitReq]("limitreq", filter.Traffic) }

// Validate refuses a bucket that never holds a token.
func (l *LimitReq) Validate() error {
	if !(l.Rate > 0) || math.IsInf(l.Rate, 1) {
		return errors.New("rate: must be positive")
	}
	if !(l.Burst >= 1) {
		return errors.New("burst: must be 1 at least")
	}
	return nil
}

// Provision fills the bucket.
func (l *LimitReq) Provision(env *filter.Env) error {
	l.limited = env.Counter("limited")
	l.tokens, l.last = l.Burst, time.Now()
	return nil
}

// OnRequestHeaders takes a token or tells the client when to come back.
func (l *LimitReq) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	if wait := l.take(time.Now()); wait > 0 {
		l.limited.Inc()
		return filter.Reply(429, "", filter.WithHeader("retry-after", strconv.FormatFloat(math.Ceil(wait), 'f', 0, 64)))
	}
	return filter.Continue
}

// take takes a token, or returns in how many seconds there will be one.
func (l *LimitReq) take(now time.Time) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if passed := now.Sub(l.last); passed > 0 { // another thread's now may be later than ours
		l.tokens = min(l.Burst, l.tokens+passed.Seconds()*l.Rate)
		l.last = now
	}
	if l.tokens < 1 {
		return (1 - l.tokens) / l.Rate
	}
	l.tokens--
	return 0
}
