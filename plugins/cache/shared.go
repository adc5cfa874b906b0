package cache

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/guard"
	"mosn.io/moe/plugins/internal/store"
)

// Shared has responses stored in Redis too, so that several Envoys share them.
type Shared struct {
	store.Redis
	// Local is for how long this Envoy uses a response without asking Redis again: so long it may not know that another one
	// has stored something newer, or removed it.
	Local time.Duration `json:"local" default:"1s"`
	// RetryAfter is for how long Redis is left alone once it has failed. Then one request tries it.
	RetryAfter time.Duration `json:"retryAfter" default:"500ms"`

	client store.Values
	outage store.Outage
	names  string // what keys and sets begin with
	env    *filter.Env
	failed *filter.Counter
}

// Validate checks the servers and times.
func (s *Shared) Validate() error {
	err := s.Redis.Validate()
	if s.Local < 0 || s.Local > time.Hour {
		err = errors.Join(err, errors.New("local: must be 0s to 1h"))
	}
	if s.RetryAfter < 0 || s.RetryAfter > time.Minute {
		err = errors.Join(err, errors.New("retryAfter: must be 0s to 1m"))
	}
	return err
}

func (s *Shared) start(env *filter.Env) (err error) {
	s.env, s.names, s.failed = env, "cache:"+env.ID+":", env.Counter("redis_failed")
	s.client, err = store.OpenValues(&s.Redis)
	return err
}

func (s *Shared) key(key digest) string {
	return s.names + base64.RawURLEncoding.EncodeToString(key[:])
}

func (s *Shared) set(tag string) string {
	sum := sha256.Sum256([]byte(tag))
	return s.names + "set:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// do has f ask Redis, unless that has failed just now. It reports whether Redis has answered.
func (s *Shared) do(ctx context.Context, f func(ctx context.Context) error) bool {
	if !s.outage.Try(time.Since(began).Nanoseconds()+1, s.RetryAfter, s.Timeout) {
		return false
	}
	limited, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	err := guard.Do(func() error { return f(limited) })
	if err != nil && ctx.Err() != nil {
		return false // the stream has ended, which says nothing about Redis
	}
	switch changed := s.outage.Note(err, time.Since(began).Nanoseconds()+1, s.RetryAfter); {
	case err != nil:
		s.failed.Inc()
		if changed {
			s.env.Log().Warn("Redis does not answer: this Envoy uses what it has stored itself", "error", err)
		}
	case changed:
		s.env.Log().Warn("Redis answers again")
	}
	return err == nil
}

var began = time.Now()

// load has the memory know what Redis has under a key.
func (p *Cache) load(ctx context.Context, key digest) {
	var b []byte
	begun := p.memory.begin()
	ok := p.Redis.do(ctx, func(ctx context.Context) (err error) {
		b, err = p.Redis.client.Get(ctx, p.Redis.key(key))
		return err
	})
	if !ok {
		return
	}
	var entries []*entry
	if b != nil {
		var err error
		if entries, err = decode(b); err != nil {
			p.Redis.failed.Inc()
			p.env.Log().Warn("a response in Redis is left out", "error", err)
		}
	}
	now := p.now()
	entries = slices.DeleteFunc(entries, func(e *entry) bool { return e.Received.Sub(now) > maxSkew })
	p.memory.replace(key, entries, now, begun)
}

// maxSkew is by how much the clock of another Envoy may be ahead of this one's: a response from further in the future would
// stay fresh for as long.
const maxSkew = 5 * time.Second

// keep stores the entry for a request, in Redis in the background. It reports whether it may be stored: what was purged while
// the request was under way may not.
func (p *Cache) keep(r *request, e *entry) bool {
	if !p.memory.put(r.key, e, p.now(), r.begun) {
		return false
	}
	if p.Redis != nil && e.size() <= p.memory.most {
		key, since := r.key, r.begun.at
		p.env.Go(func(ctx context.Context) { p.share(ctx, key, e, since) })
	}
	return true
}

// store keeps an entry, and counts it.
func (p *Cache) store(r *request, e *entry) {
	if p.keep(r, e) {
		p.counts.stored.Inc()
	} else {
		p.counts.unstored.With(notPurged).Inc()
	}
}

// share stores an entry in Redis, beside the variants that are there, unless any of them has been purged there since then.
// Variants that only the memory has were purged before.
func (p *Cache) share(ctx context.Context, key digest, e *entry, since time.Time) {
	var b []byte
	if !p.Redis.do(ctx, func(ctx context.Context) (err error) {
		b, err = p.Redis.client.Get(ctx, p.Redis.key(key))
		return err
	}) {
		return
	}
	entries := []*entry{e}
	there, _ := decode(b) // what is not a response is replaced
	for _, other := range there {
		if !slices.Equal(other.Vary, e.Vary) && len(entries) < p.MaxVariants {
			entries = append(entries, other)
		}
	}
	ttl, sets := time.Second, []string(nil)
	for _, e := range entries {
		ttl = max(ttl, e.use()-e.age(p.now()))
		for _, t := range e.Tags {
			sets = append(sets, p.Redis.set(t))
		}
	}
	p.Redis.do(ctx, func(ctx context.Context) error {
		kept, err := p.Redis.client.Set(ctx, p.Redis.key(key), encode(entries), ttl, sets, since)
		if err == nil && !kept {
			p.counts.unstored.With(notPurged).Inc()
		}
		return err
	})
}

// validating is for how long a response stays in Redis that can only be validated.
const validating = time.Hour

// use is until what age the entry is of use.
func (e *entry) use() time.Duration {
	most := e.Lifetime + max(e.While, e.IfError)
	if e.Header.has("etag") || e.Header.has("last-modified") {
		most += validating
	}
	return most
}

// remove removes what has one of the tags, in Redis too, and returns how many resources that were where it knows most. ok is
// whether Redis has removed all of it, too.
func (p *Cache) remove(ctx context.Context, tags []string) (n int, ok bool) {
	for _, tag := range tags {
		n += p.memory.purge(tag)
	}
	if p.Redis == nil {
		return n, true
	}
	defer func() { // what was read from Redis before it was gone there
		for _, tag := range tags {
			p.memory.purge(tag)
		}
	}()
	there := 0
	ok = true
	for _, tag := range tags {
		for more := true; more; { // each turn has a timeout of its own
			done := p.Redis.do(ctx, func(ctx context.Context) (err error) {
				var k int
				k, more, err = p.Redis.client.PurgeSome(ctx, p.Redis.set(tag))
				there += k
				return err
			})
			if !done {
				ok, more = false, false
			}
		}
	}
	return max(n, there), ok
}
