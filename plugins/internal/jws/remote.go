package jws

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/guard"
	"mosn.io/moe/plugins/internal/outbound"
)

const (
	maxKeySet    = 1 << 20 // bytes
	firstBackoff = time.Second
)

// RemoteOptions say how a [Remote] reads.
type RemoteOptions struct {
	// Client reads. Close, if there is one, is called when nothing more will be read with it.
	Client *http.Client
	Close  func()
	// Allowed are the algorithms that keys may be used with.
	Allowed []string
	// Refresh is the time between two successful readings, unless an answer says that it is good for less.
	Refresh time.Duration
	// Cooldown is the least time between two readings that [Remote.Renew] asks for.
	Cooldown time.Duration
	// MaxStale is how long the last keys that could be read are used; 0: for ever.
	MaxStale time.Duration
}

// Remote keeps the keys of a URL up to date, in the background.
type Remote struct {
	RemoteOptions

	env             *filter.Env
	skips           *Skips
	fetched, failed *filter.Counter

	keys atomic.Pointer[Set]
	good atomic.Int64 // when they were read last, in Unix nanoseconds

	mu      sync.Mutex
	url     *url.URL
	running chan struct{} // closed when the reading that is under way is over; nil if none is
	asked   time.Time     // when a request last asked for a reading
	kick    chan struct{}

	last last // of the loop
}

// last is what the last successful reading gave.
type last struct {
	url  *url.URL
	etag string
	text []byte
	set  *Set // not in use yet: the reading is not over
}

// NewRemote returns a Remote that reads nothing before it has a URL. It declares the counters keys_read, keys_failed and
// those of [NewSkips], so that it must be called in Provision.
func NewRemote(env *filter.Env, o RemoteOptions) *Remote {
	if o.Refresh == 0 {
		o.Refresh = 10 * time.Minute
	}
	return &Remote{
		RemoteOptions: o, env: env, skips: NewSkips(env), kick: make(chan struct{}, 1),
		fetched: env.Counter("keys_read"), failed: env.Counter("keys_failed"),
	}
}

// Follow reads the keys of u from now on. Those of an earlier URL are used until the first reading is over.
func (r *Remote) Follow(u *url.URL) {
	r.mu.Lock()
	before := r.url
	if before == nil || before.String() != u.String() {
		r.url = u
	}
	r.mu.Unlock()
	switch {
	case before == nil:
		r.env.Go(func(ctx context.Context) {
			if r.Close != nil {
				defer r.Close()
			}
			r.loop(ctx)
		})
	case before.String() != u.String():
		r.wake()
	}
}

// Current returns the keys, or nil if none have been read, or not for MaxStale.
func (r *Remote) Current() *Set {
	s := r.keys.Load()
	if s == nil || r.MaxStale > 0 && time.Now().UnixNano()-r.good.Load() > int64(r.MaxStale) {
		return nil
	}
	return s
}

// Renew asks for a reading and returns a channel that is closed when it is over, or nil if the last request for one was
// within Cooldown. Requests that ask at the same time share one.
func (r *Remote) Renew() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running != nil {
		return r.running
	}
	now := time.Now()
	if now.Sub(r.asked) < r.Cooldown {
		return nil
	}
	r.asked = now
	r.running = make(chan struct{})
	r.wake()
	return r.running
}

func (r *Remote) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// loop reads the keys again and again, sooner when asked to, later and later while it fails.
func (r *Remote) loop(ctx context.Context) {
	var failures int
	for {
		u := r.begin()
		var next time.Duration
		err := guard.Do(func() (err error) {
			next, err = r.read(ctx, u)
			return err
		})
		if err != nil && ctx.Err() == nil {
			r.failed.Inc()
			r.env.Log().Warn("cannot read the keys; those that were read before stay", "url", u.Redacted(),
				"error", err, "failures", failures+1)
			next = min(firstBackoff<<min(failures, 10), r.Refresh)
			failures++
		} else if err == nil {
			failures = 0
		}
		r.end() // now whoever waited sees what came of it
		if ctx.Err() != nil {
			return
		}
		next += time.Duration(rand.Int64N(int64(next)/10 + 1)) // so that not all Envoys ask at once
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-r.kick:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

func (r *Remote) begin() *url.URL {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		r.running = make(chan struct{})
	}
	select { // whoever asked is answered by the reading that begins
	case <-r.kick:
	default:
	}
	return r.url
}

// end hands over what was read. Whoever sees the new keys no longer sees the old reading under way: if their key is not
// among them, the next reading is another one.
func (r *Remote) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last.set != nil {
		r.keys.Store(r.last.set)
		r.last.set = nil
	}
	close(r.running)
	r.running = nil
}

// read reads the keys and returns for how long they are good.
func (r *Remote) read(ctx context.Context, u *url.URL) (next time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("accept", "application/jwk-set+json, application/json")
	same := r.last.url == u
	if same && r.last.etag != "" {
		req.Header.Set("if-none-match", r.last.etag)
	}
	w, err := r.Client.Do(req)
	if err != nil {
		return 0, err
	}
	defer w.Body.Close()
	next = freshness(w.Header, r.Refresh)
	if w.StatusCode == http.StatusNotModified && same && r.last.etag != "" {
		r.good.Store(time.Now().UnixNano())
		r.fetched.Inc()
		return next, nil
	}
	if w.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the status is %d", w.StatusCode)
	}
	text, err := outbound.ReadAll(w.Body, maxKeySet)
	if err != nil {
		return 0, err
	}
	if r.keys.Load() == nil || !bytes.Equal(r.last.text, text) {
		set, skipped, err := ReadKeys(text, r.Allowed)
		r.skips.Report(skipped, "url", u.Redacted())
		if err != nil {
			return 0, fmt.Errorf("the answer %w", err)
		}
		r.last.set = set
		r.env.Log().Info("read keys", "url", u.Redacted(), "keys", set.Len())
	}
	r.last.url, r.last.text, r.last.etag = u, text, w.Header.Get("etag")
	r.good.Store(time.Now().UnixNano())
	r.fetched.Inc()
	return next, nil
}

// freshness is how long the answer says it is good (RFC 9111, section 5.2.2.1), within bounds.
func freshness(h http.Header, every time.Duration) time.Duration {
	for directive := range strings.SplitSeq(h.Get("cache-control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		if n, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil && n >= 0 && n < int(every/time.Second) {
			return max(time.Duration(n)*time.Second, min(every, 10*time.Second))
		}
	}
	return every
}
