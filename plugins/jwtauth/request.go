package jwtauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"
	"unsafe"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/bearer"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/jwe"
	"mosn.io/moe/plugins/internal/jws"
	"mosn.io/moe/plugins/internal/possession"
	"mosn.io/moe/plugins/internal/remember"
)

// identity is what a verified token leads to. It does not change.
type identity struct {
	provider *Provider
	keys     *jws.Set  // that it was verified with
	until    time.Time // zero: for ever
	says     claims.Described
	bound    possession.Confirmation
	payload  string // for payloadHeader
}

// query is a token as a request has it.
type query struct {
	text string
	sum  remember.Key // with which it is remembered
	dpop bool         // whether it came with the scheme DPoP
}

// good reports whether the token would still be verified.
func (id *identity) good(now time.Time) bool {
	return (id.until.IsZero() || now.Before(id.until)) && id.provider.current() == id.keys
}

// OnRequestHeaders looks for the token and checks it, at once where the key is at hand.
func (j *JWTAuth) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	j.Strip(h) // the client does not say who it is
	if j.PayloadHeader != "" {
		h.Del(j.PayloadHeader)
	}
	text, n := j.From.Find(h)
	proven, m := j.DPoP.Find(h)
	switch {
	case n+m == 0:
		return j.refusals.Refuse(s, missing)
	case m == 1:
		text = proven
	}
	switch {
	case n+m > 1, strings.IndexByte(text, ',') >= 0: // Envoy joins two fields authorization to one
		return j.refusals.Refuse(s, several)
	case len(text) > bearer.MaxToken:
		return j.refusals.Refuse(s, malformed)
	}
	now := time.Now()
	q := query{text: text, dpop: m == 1}
	if j.cache != nil {
		q.sum = sha256.Sum256(unsafe.Slice(unsafe.StringData(text), len(text))) // which only reads it
		good := func(id *identity) bool { return id.good(now) }
		if id, ok := j.cache.Get(&q.sum, good); ok {
			j.hits.Inc()
			return j.accept(s, h, id, q)
		}
	}
	if j.Decryption != nil {
		if jwe.Is(text) {
			return j.decrypt(s, h, q)
		}
		if j.Decryption.Required {
			return j.refusals.Refuse(s, notSecret)
		}
	}
	id, p, why := j.verify(text, now)
	if over := p.unknownKey(why); over != nil {
		return j.later(s, h, q, p, over)
	}
	return j.conclude(s, h, q, id, why)
}

// unknownKey asks for a new reading of the keys if that may help, and returns a channel that is closed when it is over.
func (p *Provider) unknownKey(why *reason) <-chan struct{} {
	if why != noKeys && why != badKey || p == nil || p.remote == nil {
		return nil
	}
	return p.remote.Renew()
}

// later decides when the reading of keys is over.
func (j *JWTAuth) later(s filter.Stream, h filter.RequestHeaders, q query, p *Provider, over <-chan struct{}) filter.Action {
	return filter.Go(func(ctx context.Context) filter.Action {
		p.wait(ctx, over)
		id, _, why := j.verify(q.text, time.Now())
		return j.conclude(s, h, q, id, why)
	})
}

// wait waits until a reading of the keys is over, or has taken too long.
func (p *Provider) wait(ctx context.Context, over <-chan struct{}) {
	wait := time.NewTimer(p.remote.Client.Timeout)
	defer wait.Stop()
	select {
	case <-over:
	case <-wait.C:
	case <-ctx.Done():
	}
}

// decrypt decides about the token in an encrypted one. It does so on a goroutine, as decryption takes long.
func (j *JWTAuth) decrypt(s filter.Stream, h filter.RequestHeaders, q query) filter.Action {
	return filter.Go(func(ctx context.Context) filter.Action {
		inner, err := j.Decryption.set.Decrypt(ctx, q.text)
		if err != nil {
			return j.refusals.Refuse(s, badCipher)
		}
		id, p, why := j.verify(inner, time.Now())
		if over := p.unknownKey(why); over != nil {
			p.wait(ctx, over)
			id, _, why = j.verify(inner, time.Now())
		}
		return j.conclude(s, h, q, id, why)
	})
}

// verify checks a token that is signed. It returns the provider that its issuer is, if there is one, also where it refuses.
func (j *JWTAuth) verify(text string, now time.Time) (*identity, *Provider, *reason) {
	known := j.lastHeader.Load()
	t, err := jws.Parse(text, known)
	if err != nil {
		return nil, nil, malformed
	}
	c, err := readClaims(t.Payload)
	if err != nil {
		return nil, nil, malformed
	}
	p := j.providerOf(c.iss)
	if p == nil {
		return nil, nil, badIssuer
	}
	keys, why := p.verify(t)
	if why != nil {
		return nil, p, why
	}
	id := &identity{provider: p, keys: keys}
	if id.until, why = p.check(t, c, now); why != nil {
		return nil, p, why
	}
	if !j.IgnoreBinding {
		if id.bound, err = possession.Read(c.cnf); err != nil {
			return nil, p, possession.NotBound
		}
	}
	if j.PayloadHeader != "" {
		id.payload = base64.RawURLEncoding.EncodeToString(t.Payload)
	}
	if id.says, err = j.Describe(c.iss, c.members); err != nil {
		return nil, p, badClaim
	}
	if known == nil || known.Text != t.Text { // only of a verified token, so that clients cannot evict it
		last := t.Header
		last.Text = strings.Clone(last.Text)
		j.lastHeader.Store(&last)
	}
	return id, p, nil
}

// conclude remembers a token that is good and lets its request pass, or refuses the request.
func (j *JWTAuth) conclude(s filter.Stream, h filter.RequestHeaders, q query, id *identity, why *reason) filter.Action {
	if why != nil {
		return j.refusals.Refuse(s, why)
	}
	if j.cache != nil {
		j.cache.Put(&q.sum, id)
	}
	return j.accept(s, h, id, q)
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
func (j *JWTAuth) accept(s filter.Stream, h filter.RequestHeaders, id *identity, q query) filter.Action {
	if why := id.bound.Check(s, h, j.DPoP, q.text, q.dpop); why != nil {
		return j.refusals.Refuse(s, why)
	}
	if !j.Tell(s, h, &id.says) {
		return j.refusals.Refuse(s, unknown)
	}
	if !j.Forward {
		j.From.Take(h)
		j.DPoP.Take(h)
	}
	if j.PayloadHeader != "" {
		h.Set(j.PayloadHeader, id.payload)
	}
	if j.ClearRouteCache {
		if err := s.ClearRouteCache(); err != nil {
			s.Log().Error("cannot have the route chosen again", "error", err)
		}
	}
	j.accepted.Inc()
	return filter.Continue
}
