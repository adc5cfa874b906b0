package jwtauth

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
	"mosn.io/moe/plugins/internal/outbound"
)

const (
	maxKeySet    = 1 << 20 // bytes
	firstBackoff = time.Second
)

// remote keeps the keys of a URL up to date, in the background.
type remote struct {
	url      *url.URL
	client   *http.Client
	env      *filter.Env
	allowed  []string
	every    time.Duration // between two readings that went well
	cooldown time.Duration // between two readings that requests asked for
	stale    time.Duration // how long the last good keys are used

	keys            atomic.Pointer[keySet]
	good            atomic.Int64 // when they were read last, in Unix nanoseconds
	fetched, failed *filter.Counter
	etag            string  // of the loop
	next            *keySet // likewise: what was read, until the reading is over
	mu              sync.Mutex
	running         chan struct{} // closed when the reading that is under way is over; nil if none is
	asked           time.Time     // when a request last asked for a reading
	kick            chan struct{}
}

func newRemote(env *filter.Env, client *http.Client, p *Provider) *remote {
	k := &p.Keys
	r := &remote{
		url: k.URL, client: client, env: env, allowed: p.allowed(), every: k.Refresh, cooldown: k.Cooldown,
		stale: k.MaxStale, kick: make(chan struct{}, 1),
		fetched: env.Counter("keys_read"), failed: env.Counter("keys_failed"),
	}
	if r.every == 0 {
		r.every = 10 * time.Minute
	}
	return r
}

// current returns the keys, nil if there are none, or none that are fresh enough.
func (r *remote) current() *keySet {
	s := r.keys.Load()
	if s == nil || r.stale > 0 && time.Now().UnixNano()-r.good.Load() > int64(r.stale) {
		return nil
	}
	return s
}

// renew asks for a reading and returns a channel that is closed when it is over, or nil if there was one of late. Many
// requests that ask at a time share one.
func (r *remote) renew() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running != nil {
		return r.running
	}
	if now := time.Now(); now.Sub(r.asked) < r.cooldown {
		return nil
	} else {
		r.asked = now
	}
	r.running = make(chan struct{})
	select {
	case r.kick <- struct{}{}:
	default:
	}
	return r.running
}

// loop reads the keys again and again, sooner when asked to, later and later while it fails.
func (r *remote) loop(ctx context.Context) {
	var failures int
	for {
		r.begin()
		next, err := r.read(ctx)
		if err != nil && ctx.Err() == nil {
			r.failed.Inc()
			r.env.Log().Warn("cannot read the keys; those that were read before stay", "url", r.url.Redacted(),
				"error", err, "failures", failures+1)
			next = min(firstBackoff<<min(failures, 10), r.every)
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

func (r *remote) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		r.running = make(chan struct{})
	}
	select { // what asked is answered by the reading that begins
	case <-r.kick:
	default:
	}
}

// end hands over what was read. Who sees the new keys does not see the old reading under way any more: if his key is
// not among them, the next reading is another one.
func (r *remote) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != nil {
		r.keys.Store(r.next)
		r.next = nil
	}
	close(r.running)
	r.running = nil
}

// read takes the keys that there are, and returns how long they are good.
func (r *remote) read(ctx context.Context) (next time.Duration, err error) {
	defer func() {
		if v := recover(); v != nil { // of a parser
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url.String(), nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("accept", "application/jwk-set+json, application/json")
	if r.etag != "" {
		req.Header.Set("if-none-match", r.etag)
	}
	w, err := r.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer w.Body.Close()
	next = freshness(w.Header, r.every)
	if w.StatusCode == http.StatusNotModified && r.etag != "" {
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
	if old := r.keys.Load(); old == nil || !bytes.Equal(old.text, text) {
		set, skipped, err := parseKeys(text, r.allowed)
		if err != nil {
			return 0, fmt.Errorf("the answer %w", err)
		}
		if len(skipped) > 0 {
			r.env.Log().Warn("some keys are not used", "url", r.url.Redacted(), "why", strings.Join(skipped, "; "))
		}
		r.next = set
		r.env.Log().Info("read keys", "url", r.url.Redacted(), "keys", len(set.keys))
	}
	r.etag = w.Header.Get("etag")
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
