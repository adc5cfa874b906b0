// Package remotecheck limits requests by counters in a Redis server that all Envoys share.
//
// It shows Go: the phase ends later, with what a function returns that runs on a goroutine of its own, so that waiting
// for the network costs Envoy's thread nothing. While it runs, the request stands still and its headers may be changed.
// The context ends with the stream; a deadline of its own keeps a slow store from slowing the request. What to do
// when the store does not answer is the operator's choice.
package remotecheck

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"mosn.io/moe/framework/filter"
)

// RemoteCheck limits the requests of one client address in a window.
type RemoteCheck struct {
	// Address of the Redis server.
	Address string `json:"address" validate:"required,hostport"`
	// Limit is how many requests a client may make in a window.
	Limit int `json:"limit" default:"100" validate:"min=1"`
	// Window is how long one lasts. It begins with a client's first request.
	Window time.Duration `json:"window" default:"1m"`
	// Timeout for asking the store.
	Timeout time.Duration `json:"timeout" default:"100ms"`
	// FailOpen lets requests through when the store does not answer.
	FailOpen bool `json:"failOpen"`

	store  *store
	failed *filter.Counter
}

func init() { filter.Register[RemoteCheck]("remotecheck", filter.Traffic) }

// Validate refuses a window that the store cannot keep.
func (r *RemoteCheck) Validate() error {
	if r.Window < time.Millisecond || r.Timeout <= 0 {
		return fmt.Errorf("window: must be a millisecond at least, and timeout: positive")
	}
	return nil
}

// Provision does not connect: a store that is down must not keep Envoy from starting.
func (r *RemoteCheck) Provision(env *filter.Env) error {
	r.store = newStore(r.Address)
	r.failed = env.Counter("failed")
	return nil
}

// Close closes the connections.
func (r *RemoteCheck) Close() error { return r.store.Close() }

// OnRequestHeaders asks the store.
func (r *RemoteCheck) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	client := s.RemoteAddr().Addr().String()
	return filter.Go(func(ctx context.Context) filter.Action {
		ctx, cancel := context.WithTimeout(ctx, r.Timeout)
		defer cancel()
		n, err := r.store.count(ctx, "requests:"+client, r.Window)
		switch {
		case err != nil && r.FailOpen:
			r.failed.Inc()
			s.Log().Warn("the store does not answer", "error", err)
			return filter.Continue
		case err != nil:
			r.failed.Inc()
			return filter.Fail(err)
		case n > r.Limit:
			return filter.Reply(http.StatusTooManyRequests, "")
		}
		h.Set("x-ratelimit-remaining", strconv.Itoa(r.Limit-n))
		return filter.Continue
	})
}
