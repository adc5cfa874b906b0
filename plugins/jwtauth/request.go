package jwtauth

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"
	"unsafe"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/bearer"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/jws"
	"mosn.io/moe/plugins/internal/remember"
)

// identity is what a verified token leads to. It does not change.
type identity struct {
	provider *Provider
	keys     *jws.Set  // that it was verified with
	until    time.Time // zero: for ever
	says     claims.Described
}

// good reports whether the token would still be verified.
func (id *identity) good(now time.Time) bool {
	return (id.until.IsZero() || now.Before(id.until)) && id.provider.current() == id.keys
}

// OnRequestHeaders looks for the token and checks it, at once where the key is at hand.
func (j *JWTAuth) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	j.Strip(h) // the client does not say who it is
	text, n := j.From.Find(h)
	switch {
	case n == 0:
		return j.refusals.Refuse(s, missing)
	case n > 1, strings.IndexByte(text, ',') >= 0: // Envoy joins two fields authorization to one
		return j.refusals.Refuse(s, several)
	case len(text) > bearer.MaxToken:
		return j.refusals.Refuse(s, malformed)
	}
	return j.decide(s, h, text, true)
}

// decide verifies a token. With mayWait it may ask for keys that are not known and answer later.
func (j *JWTAuth) decide(s filter.Stream, h filter.RequestHeaders, text string, mayWait bool) filter.Action {
	now := time.Now()
	var sum remember.Key
	if j.cache != nil {
		sum = sha256.Sum256(unsafe.Slice(unsafe.StringData(text), len(text))) // which only reads it
		good := func(id *identity) bool { return id.good(now) }
		if id, ok := j.cache.Get(&sum, good); ok {
			j.hits.Inc()
			return j.accept(s, h, id)
		}
	}
	known := j.lastHeader.Load()
	t, err := jws.Parse(text, known)
	if err != nil {
		return j.refusals.Refuse(s, malformed)
	}
	c, err := readClaims(t.Payload)
	if err != nil {
		return j.refusals.Refuse(s, malformed)
	}
	p := j.providerOf(c.iss)
	if p == nil {
		return j.refusals.Refuse(s, badIssuer)
	}
	keys, why := p.verify(t)
	if (why == noKeys || why == badKey) && mayWait && p.remote != nil {
		if over := p.remote.Renew(); over != nil {
			return j.later(s, h, text, p, over)
		}
	}
	if why != nil {
		return j.refusals.Refuse(s, why)
	}
	id := &identity{provider: p, keys: keys}
	if id.until, why = p.check(t, c, now); why != nil {
		return j.refusals.Refuse(s, why)
	}
	if id.says, err = j.Describe(c.iss, c.members); err != nil {
		return j.refusals.Refuse(s, badClaim)
	}
	if j.cache != nil {
		j.cache.Put(&sum, id)
	}
	if known == nil || known.Text != t.Text { // only of a verified token, so that clients cannot evict it
		last := t.Header
		last.Text = strings.Clone(last.Text)
		j.lastHeader.Store(&last)
	}
	return j.accept(s, h, id)
}

// later decides when the reading of keys is over.
func (j *JWTAuth) later(s filter.Stream, h filter.RequestHeaders, text string, p *Provider, over <-chan struct{},
) filter.Action {
	return filter.Go(func(ctx context.Context) filter.Action {
		wait := time.NewTimer(p.remote.Client.Timeout)
		defer wait.Stop()
		select {
		case <-over:
		case <-wait.C:
		case <-ctx.Done():
		}
		return j.decide(s, h, text, false)
	})
}

// providerOf returns the provider of an issuer, or the one without an issuer.
func (j *JWTAuth) providerOf(issuer string) (other *Provider) {
	for i := range j.Providers {
		switch p := &j.Providers[i]; p.Issuer {
		case issuer:
			return p
		case "":
			other = p
		}
	}
	return other
}

// verify checks the signature.
func (p *Provider) verify(t *jws.Token) (*jws.Set, *reason) {
	keys := p.current()
	if keys == nil {
		return nil, noKeys
	}
	switch keys.Verify(t) {
	case nil:
		return keys, nil
	case jws.ErrUnknownKey:
		return nil, badKey
	case jws.ErrAlgorithm:
		return nil, badAlg
	}
	return nil, badSign
}

// accept lets the request pass.
func (j *JWTAuth) accept(s filter.Stream, h filter.RequestHeaders, id *identity) filter.Action {
	if !j.Tell(s, h, &id.says) {
		return j.refusals.Refuse(s, unknown)
	}
	if !j.Forward {
		j.From.Take(h)
	}
	j.accepted.Inc()
	return filter.Continue
}
