// Package hmacauth recognises callers by requests that they have signed with a secret.
package hmacauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authn"
	"mosn.io/moe/plugins/internal/nonces"
)

// HMACAuth finds the consumer whose secret a request is signed with.
type HMACAuth struct {
	// Schemes are the forms of signatures that are taken: rfc9421 is HTTP Message Signatures, aws4 is AWS's version 4.
	Schemes []string `json:"schemes" default:"rfc9421,aws4" enum:"rfc9421,aws4" validate:"min=1"`
	// MaxSkew is by how much the time of a signature may differ from this clock's.
	MaxSkew time.Duration `json:"maxSkew" default:"1m"`
	// ReplayCache is how many signatures are remembered, to be refused when they come again; 0: none is.
	ReplayCache int `json:"replayCache" default:"500000" validate:"min=0,max=100000000"`
	// UnsignedBody lets requests pass whose body is not signed.
	UnsignedBody bool `json:"unsignedBody"`
	// Required is what a signature by rfc9421 must cover.
	Required []string `json:"required" default:"@method,@authority,@path,@query"`
	// Label is that of the signature by rfc9421; without one there must be one signature.
	Label string `json:"label"`
	// Region, if it is set, is the one that signatures by aws4 are for.
	Region string `json:"region"`
	// Service, if it is set, is the one that signatures by aws4 are for.
	Service string `json:"service"`
	// Forward leaves the signature in the request.
	Forward bool `json:"forward"`
	// Realm names what the signature is for, in www-authenticate.
	Realm string `json:"realm" default:"moe"`

	consumers *filter.Index[Credential]
	refuse    authn.Refusals
	replays   *nonces.Memory
	now       func() time.Time
}

// Credential is a consumer's access key, which is public, and the secret that the consumer signs with.
type Credential struct {
	// AccessKey is the name of the secret: keyid in rfc9421.
	AccessKey string `json:"accessKey" validate:"required"`
	// Secret is what requests are signed with.
	Secret filter.Secret `json:"secret" validate:"required"`
	// Encoding is how the secret is written.
	Encoding string `json:"encoding" default:"text" enum:"text,base64"`
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.RegisterPerStream("hmacauth", filter.Authn, (*HMACAuth).newStream, filter.WithCredential[Credential](),
		filter.Docs(docs))
}

var (
	ambiguous   = &authn.Wrong{Reason: "ambiguous", Text: "more than one signature"}
	malformed   = &authn.Wrong{Reason: "malformed", Text: "the signature is malformed"}
	algorithm   = &authn.Wrong{Reason: "algorithm", Text: "the signature is of another algorithm than hmac-sha256"}
	incomplete  = &authn.Wrong{Reason: "incomplete", Text: "the signature does not cover what it must, or covers what is not there"}
	wrongScope  = &authn.Wrong{Reason: "scope", Text: "the signature is for another region or service"}
	wrongDigest = &authn.Wrong{Reason: "digest", Text: "the body is not the one that was signed"}
	unknown     = &authn.Wrong{Reason: "unknown", Text: "unknown access key"}
	wrong       = &authn.Wrong{Reason: "wrong", Text: "the signature is wrong"}
	skewed      = &authn.Wrong{Reason: "skewed", Text: "the time of the signature is too far from ours"}
	expired     = &authn.Wrong{Reason: "expired", Text: "the signature has expired"}
	again       = &authn.Wrong{Reason: "replayed", Text: "the signature was there before"}
	busy        = &authn.Wrong{Reason: "full", Text: "no more signatures can be remembered", Status: 503}
)

// Validate checks what tags cannot.
func (p *HMACAuth) Validate() error {
	var errs []error
	if p.MaxSkew < time.Second || p.MaxSkew > 24*time.Hour {
		errs = append(errs, errors.New("maxSkew: must be 1s to 24h"))
	}
	if strings.ContainsAny(p.Realm, "\"\\\r\n") {
		errs = append(errs, errors.New("realm: must not have quotes, backslashes or line breaks"))
	}
	derived := []string{"@method", "@authority", "@scheme", "@target-uri", "@request-target", "@path", "@query"}
	for i, c := range p.Required {
		if c == "" || c != strings.ToLower(c) || c[0] == '@' && !slices.Contains(derived, c) {
			errs = append(errs, fmt.Errorf("required[%d]: expected a header in lower case, or one of %s", i,
				strings.Join(derived, ", ")))
		}
	}
	return errors.Join(errs...)
}

// Validate checks a consumer's credential.
func (c *Credential) Validate() error {
	if c.Encoding == "base64" {
		if _, err := base64.StdEncoding.DecodeString(c.Secret.Reveal()); err != nil {
			return errors.New("secret: invalid base64")
		}
	}
	return nil
}

func (c *Credential) secret() string {
	if c.Encoding != "base64" {
		return c.Secret.Reveal()
	}
	b, _ := base64.StdEncoding.DecodeString(c.Secret.Reveal()) // Validate has tried
	return string(b)
}

// ReadsCredentials is that of filter.CredentialReader.
func (p *HMACAuth) ReadsCredentials() filter.CredentialPlaces {
	return filter.CredentialPlaces{Headers: []string{"authorization", "signature"}}
}

// Provision indexes the consumers.
func (p *HMACAuth) Provision(env *filter.Env) (err error) {
	if p.now == nil {
		p.now = time.Now
	}
	scheme := "Signature"
	if !slices.Contains(p.Schemes, "rfc9421") {
		scheme = awsScheme
	}
	p.refuse.Start(env, scheme+` realm="`+p.Realm+`"`)
	if p.ReplayCache > 0 {
		p.replays = nonces.New(p.ReplayCache, 2*p.MaxSkew+time.Second)
	}
	p.consumers, err = filter.IndexConsumers(env, func(c *Credential) []string { return []string{c.AccessKey} })
	return err
}

// request is one that is being checked.
type request struct {
	*HMACAuth
	aws4     bool
	signed   *signed
	consumer *filter.Consumer // once the signature was found right
}

func (p *HMACAuth) newStream(filter.Stream) *request { return &request{HMACAuth: p} }

// OnRequestHeaders checks the signature as far as it can without the body.
func (r *request) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, end bool) filter.Action {
	end = end || h.Upgrade() != "" // what a tunnel carries is not a body, and not signed
	message := slices.Contains(r.Schemes, "rfc9421") && (h.Has("signature-input") || h.Has("signature"))
	n := 0
	if slices.Contains(r.Schemes, "aws4") {
		for _, v := range h.Values("authorization") {
			if word, _, _ := strings.Cut(v, " "); word == awsScheme {
				n++
			}
		}
		r.aws4 = n > 0
	}
	var err error
	switch {
	case !message && n == 0:
		return r.refuse.Missing()
	case message && n > 0, r.aws4 && len(h.Values("authorization")) > 1:
		return r.refuse.Refuse(s, ambiguous, "")
	case r.aws4:
		hash := ""
		if end {
			hash = hashOf(nil)
		}
		r.signed, err = r.HMACAuth.aws(h, !end, hash)
	default:
		r.signed, err = r.message(h)
	}
	if err != nil {
		return r.wrong(s, err)
	}
	if len(r.signed.bases) > 0 {
		if err := r.verify(); err != nil {
			return r.wrong(s, err)
		}
	}
	switch {
	case r.aws4 && r.signed.body, !r.aws4 && r.signed.digest:
		return filter.WaitBody
	case !r.aws4 && !end && !r.UnsignedBody:
		return r.wrong(s, incomplete)
	}
	return r.allow(s, h)
}

// OnRequest checks the body, and the signature if it needed it.
func (r *request) OnRequest(s filter.Stream, h filter.RequestHeaders, b filter.Body) filter.Action {
	if !r.aws4 {
		if !checkDigest(h, b.Bytes()) {
			return r.wrong(s, wrongDigest)
		}
		return r.allow(s, h)
	}
	late := r.consumer == nil
	var err error
	if r.signed, err = r.HMACAuth.aws(h, true, hashOf(b.Bytes())); err == nil && late {
		err = r.verify()
	}
	if err != nil {
		return r.wrong(s, err)
	}
	return r.allow(s, h)
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

func (r *request) wrong(s filter.Stream, err error) filter.Action {
	who := ""
	if r.signed != nil {
		who = r.signed.key
	}
	w, ok := err.(*authn.Wrong)
	if !ok {
		w = malformed
	}
	return r.refuse.Refuse(s, w, who)
}

// verify checks who signed the request and when, and that the signature is new. It sets r.consumer.
func (r *request) verify() error {
	s, now := r.signed, r.now()
	c, cred := r.consumers.Find(s.key)
	secret := "unknown" // the time that this takes must not tell whether the key is known
	if c != nil {
		secret = cred.secret()
	}
	key := []byte(secret)
	if s.scope != nil {
		key = s.scope.signingKey(secret)
	}
	right := false
	for _, base := range s.bases {
		if hmac.Equal(mac(key, base), s.signature) {
			right = true
			break
		}
	}
	switch {
	case c == nil:
		return unknown
	case !right:
		return wrong
	case !within(s.time, now, r.MaxSkew):
		return skewed
	case !s.expires.IsZero() && !now.Before(s.expires):
		return expired
	}
	if r.replays != nil {
		switch r.replays.Add(s.signature, now, s.time) {
		case nonces.Replayed:
			return again
		case nonces.Forgotten: // the clock was set back
			return skewed
		case nonces.Full:
			return busy
		}
	}
	r.consumer = c
	return nil
}

// within reports whether t, which a client chooses, is at most d before or after now. It compares instants: a difference
// of more than 292 years does not fit a Duration, so that neither its value nor its sign can be relied on.
func within(t, now time.Time, d time.Duration) bool {
	return !t.Before(now.Add(-d)) && !t.After(now.Add(d))
}

func (r *request) allow(s filter.Stream, h filter.RequestHeaders) filter.Action {
	if !r.Forward {
		if r.aws4 {
			h.Del("authorization")
		} else if r.Label == "" {
			h.Del("signature")
			h.Del("signature-input")
		}
	}
	return r.refuse.Allow(s, r.consumer)
}
