// Package lookup asks other servers about credentials: requests that want to know the same at the same time share one
// question, and what was answered is remembered for a while.
package lookup

import (
	"context"
	"errors"
	"sync"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/guard"
	"mosn.io/moe/plugins/internal/remember"
)

// Cache is what plugins that ask have in their configuration.
type Cache struct {
	// CacheSize is how many good credentials are remembered, and as many bad ones beside them. 0: none.
	CacheSize int `json:"cacheSize" default:"10000" validate:"min=0,max=10000000"`
	// CacheTTL is how long a good credential is remembered at most, and so how long one that is revoked stays good.
	CacheTTL time.Duration `json:"cacheTTL" default:"1m"`
	// RefusedTTL is how long a bad credential is remembered, so that one that is sent again and again is asked about once.
	// 0s: not at all.
	RefusedTTL time.Duration `json:"refusedTTL" default:"10s"`
}

// Validate checks the durations.
func (c *Cache) Validate() error {
	switch {
	case c.CacheSize > 0 && c.CacheTTL <= 0:
		return errors.New("cacheTTL: must be above 0s; cacheSize: 0 remembers nothing")
	case c.RefusedTTL < 0:
		return errors.New("refusedTTL: must not be negative")
	}
	return nil
}

// maxAsking is how many questions may be under way. Each may take as long as the server's time-out, so that a server that
// hangs must not let them pile up.
const maxAsking = 1000

// Errors of [Table.Ask] that are not the question's own.
var (
	// ErrBusy is that too many questions are under way.
	ErrBusy = errors.New("too many questions are under way")
	// ErrClosed is that the configuration is closed.
	ErrClosed = errors.New("the configuration is closed")
)

// Table knows answers by credential.
type Table[V any] struct {
	cache         Cache
	env           *filter.Env
	salt          remember.Salt
	good, refused *remember.Cache[entry[V]]

	mu      sync.Mutex
	asking  map[remember.Key]*question[V]
	hits    *filter.Counter
	lookups *filter.Counter
	failed  *filter.Counter
}

// Answer is what a server says of a credential.
type Answer[V any] struct {
	// Value is what follows from it.
	Value V
	// Refused is whether the credential is bad. Such answers have a room of their own: guesses do not evict what is good.
	Refused bool
	// Forget has the answer not remembered, as one that is too long.
	Forget bool
	// Until is when a good answer ends by itself; the zero Time: never.
	Until time.Time
}

type entry[V any] struct {
	value V
	until time.Time
}

// question is one that is under way.
type question[V any] struct {
	done  chan struct{}
	value V
	err   error
}

// New returns an empty table. It declares the counters cache_hits, lookups and lookups_failed, so that it must be called in
// Provision.
func New[V any](env *filter.Env, c Cache) *Table[V] {
	return &Table[V]{
		cache: c, env: env, salt: remember.NewSalt(),
		good: remember.NewCache[entry[V]](c.CacheSize), refused: remember.NewCache[entry[V]](c.CacheSize),
		asking: map[remember.Key]*question[V]{},
		hits:   env.Counter("cache_hits"), lookups: env.Counter("lookups"), failed: env.Counter("lookups_failed"),
	}
}

// Key returns the key of a credential's parts.
func (t *Table[V]) Key(parts ...string) remember.Key { return t.salt.Key(parts...) }

// Known returns what is remembered of a credential. It waits for nothing.
func (t *Table[V]) Known(k remember.Key, now time.Time) (v V, ok bool) {
	if t.cache.CacheSize == 0 {
		return v, false
	}
	fresh := func(e entry[V]) bool { return now.Before(e.until) }
	e, ok := t.good.Get(&k, fresh)
	if !ok {
		e, ok = t.refused.Get(&k, fresh)
	}
	if ok {
		t.hits.Inc()
	}
	return e.value, ok
}

// Ask returns what f answers for a credential, which is remembered. f runs on a goroutine of the configuration's and may
// serve other requests, too: it must not use a stream, and its context ends with the configuration. An error is the
// question's own, one of those above, or ctx's; none is remembered.
func (t *Table[V]) Ask(ctx context.Context, k remember.Key, f func(ctx context.Context) (Answer[V], error)) (v V, err error) {
	q, err := t.begin(k, f)
	if err != nil {
		return v, err
	}
	select {
	case <-q.done:
		return q.value, q.err
	case <-ctx.Done():
		return v, context.Cause(ctx)
	}
}

// Serve decides about a request by its credential: at once where that is known, and otherwise when f, as in [Table.Ask], has answered.
// An error is logged, unless it is that the stream is over.
func (t *Table[V]) Serve(s filter.Stream, k remember.Key, f func(ctx context.Context) (Answer[V], error),
	conclude func(V, error) filter.Action,
) filter.Action {
	if v, ok := t.Known(k, time.Now()); ok {
		return conclude(v, nil)
	}
	return filter.Go(func(ctx context.Context) filter.Action {
		v, err := t.Ask(ctx, k, f)
		if err != nil && !errors.Is(err, filter.ErrStreamDone) {
			s.Log().Warn("no answer about a credential", "error", err)
		}
		return conclude(v, err)
	})
}

// begin returns the question about a credential that is under way, or has been answered since the caller looked, or a new one.
func (t *Table[V]) begin(k remember.Key, f func(ctx context.Context) (Answer[V], error)) (*question[V], error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q := t.asking[k]; q != nil {
		return q, nil
	}
	if v, ok := t.Known(k, time.Now()); ok {
		q := &question[V]{done: make(chan struct{}), value: v}
		close(q.done)
		return q, nil
	}
	if len(t.asking) >= maxAsking {
		t.failed.Inc()
		return nil, ErrBusy
	}
	q := &question[V]{done: make(chan struct{})}
	started := t.env.Go(func(ctx context.Context) {
		var a Answer[V]
		err := guard.Do(func() (err error) {
			a, err = f(ctx)
			return err
		})
		t.end(k, q, a, err)
	})
	if !started {
		return nil, ErrClosed
	}
	t.asking[k] = q
	return q, nil
}

// end hands the answer to those who wait. It is remembered before the question ends, so that nobody asks in between.
func (t *Table[V]) end(k remember.Key, q *question[V], a Answer[V], err error) {
	q.value, q.err = a.Value, err
	now := time.Now()
	switch until := now.Add(t.cache.CacheTTL); {
	case err != nil:
		t.failed.Inc()
	case a.Forget:
	case a.Refused:
		if t.cache.RefusedTTL > 0 {
			t.refused.Put(&k, entry[V]{a.Value, now.Add(t.cache.RefusedTTL)})
		}
	default:
		if !a.Until.IsZero() && a.Until.Before(until) {
			until = a.Until
		}
		t.good.Put(&k, entry[V]{a.Value, until})
	}
	if err == nil {
		t.lookups.Inc()
	}
	t.mu.Lock()
	delete(t.asking, k)
	t.mu.Unlock()
	close(q.done)
}
