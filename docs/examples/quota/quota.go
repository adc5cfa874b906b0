// Package quota gives each consumer a number of requests in a time.
//
// It shows what a plugin of a later stage does with consumers: Stream.Consumer says who calls, and counts are kept by
// name, so that consumers whose configuration is the same, and who therefore share the plugin's instance, do not share
// their quota. Memory is bounded: the counts are begun anew with each window, and there are as many as consumers.
package quota

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"mosn.io/moe/framework/filter"
)

// Quota lets Requests of each consumer pass in each window.
type Quota struct {
	// Requests is how many of each consumer pass in a window.
	Requests int `json:"requests" validate:"min=1"`
	// Window is how long one is.
	Window time.Duration `json:"window" default:"1m"`

	refused *filter.Counter
	mu      sync.Mutex
	began   time.Time
	used    map[string]int // by the consumer's name
}

func init() { filter.Register[Quota]("examplequota", filter.Traffic) }

// Validate refuses a window that never begins anew.
func (q *Quota) Validate() error {
	if q.Window < time.Second {
		return errors.New("window: must be 1s at least")
	}
	return nil
}

// Provision declares the counter.
func (q *Quota) Provision(env *filter.Env) error {
	q.refused = env.Counter("refused")
	return nil
}

// OnRequestHeaders counts a request of the consumer; those of callers that are not known are counted together.
func (q *Quota) OnRequestHeaders(s filter.Stream, _ filter.RequestHeaders, _ bool) filter.Action {
	name := ""
	if c := s.Consumer(); c != nil {
		name = c.Name
	}
	left, wait := q.take(name, time.Now())
	if left < 0 {
		q.refused.Inc()
		return filter.Reply(429, "quota exceeded\n", filter.WithHeader("retry-after", strconv.Itoa(wait)))
	}
	return filter.Continue
}

// take returns how many requests are left, less than 0 if there was none, and in how many seconds the window ends.
func (q *Quota) take(name string, now time.Time) (left, wait int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.used == nil || now.Sub(q.began) >= q.Window {
		q.began, q.used = now, map[string]int{}
	}
	wait = int((q.Window - now.Sub(q.began) + time.Second - 1) / time.Second)
	if q.used[name] >= q.Requests {
		return -1, wait
	}
	q.used[name]++
	return q.Requests - q.used[name], wait
}
