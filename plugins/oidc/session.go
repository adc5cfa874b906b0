package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"sync"
	"time"
)

// session is what the session's cookie holds.
type session struct {
	Subject       string          `json:"s"`
	Claims        json.RawMessage `json:"c"` // of the ID token
	Begun         int64           `json:"b"`
	Access        string          `json:"a,omitempty"`
	AccessExpires int64           `json:"x,omitempty"`
	Refresh       string          `json:"r,omitempty"`
	ID            string          `json:"i,omitempty"`
}

// early is how long before its end an access token is taken for expired, so that it lasts for the request.
const early = 10 * time.Second

func (s *session) expires(o *OIDC) time.Time { return time.Unix(s.Begun, 0).Add(o.Lifetime) }

// stale reports whether the access token is over.
func (s *session) stale(now time.Time) bool {
	return s.AccessExpires != 0 && now.Add(early).Unix() >= s.AccessExpires
}

// refreshes has the requests that come at a time with one refresh token share what the provider gives for it: many
// providers take each refresh token once only, and take a second use for theft.
type refreshes struct {
	mu sync.Mutex
	m  map[[sha256.Size]byte]*refresh
}

type refresh struct {
	done    chan struct{}
	session *session
	text    string // sealed
	err     error
	over    time.Time // when the result came; zero before done is closed
}

const (
	// remembered is how long a result is handed to requests that come late with the old cookie.
	remembered = 30 * time.Second
	// shared is how long a result is handed on even if its access token is over: to requests that came together with the
	// one that got it.
	shared = time.Second
	// maxRefreshes bounds how many are remembered.
	maxRefreshes = 10_000
	// maxLinks bounds how many results a request follows, from one refresh token to the next.
	maxLinks = 10
)

// recent reports whether a result has just come.
func (x *refresh) recent(now time.Time) bool { return now.Sub(x.over) <= shared }

// usable reports whether a result may be handed to another request with the same refresh token. A refresh token that the
// provider has replaced is used up, so that its result is the only way on from it.
func (x *refresh) usable(token string, now time.Time) bool {
	switch {
	case x.over.IsZero() || x.recent(now):
		return true
	case now.Sub(x.over) > remembered:
		return false
	case x.err != nil:
		return true
	}
	return !x.session.stale(now) || x.session.Refresh != token
}

// do returns what f returns, or has returned to another request of late. start runs f in the background.
func (r *refreshes) do(ctx context.Context, token string, start func(func()) bool,
	f func() (*session, string, error),
) *refresh {
	key := sha256.Sum256([]byte(token))
	r.mu.Lock()
	x := r.m[key]
	if now := time.Now(); x == nil || !x.usable(token, now) {
		x = &refresh{done: make(chan struct{})}
		if r.m == nil {
			r.m = map[[sha256.Size]byte]*refresh{}
		}
		r.tidy(now)
		r.m[key] = x
		run := func() {
			x.err = errDown // if f panics
			defer func() {
				r.mu.Lock()
				x.over = time.Now()
				if x.err != nil && x.err != errEnded && r.m[key] == x {
					delete(r.m, key) // the next request may have more luck
				}
				r.mu.Unlock()
				close(x.done)
			}()
			x.session, x.text, x.err = f()
		}
		if !start(run) {
			delete(r.m, key)
			x.err = errDown
			close(x.done)
		}
	}
	r.mu.Unlock()
	select {
	case <-x.done:
		return x
	case <-ctx.Done():
		return &refresh{err: errDown}
	}
}

// tidy forgets results that are no longer needed.
func (r *refreshes) tidy(now time.Time) {
	for k, x := range r.m {
		if !x.over.IsZero() && (now.Sub(x.over) > remembered || len(r.m) >= maxRefreshes) {
			delete(r.m, k)
		}
	}
}
