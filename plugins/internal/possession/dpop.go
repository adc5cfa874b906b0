package possession

import (
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/bearer"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/guard"
	"mosn.io/moe/plugins/internal/jws"
	"mosn.io/moe/plugins/internal/nonces"
	"mosn.io/moe/plugins/internal/origin"
)

// DPoP has clients prove with each request that they have the key that a token is bound to.
type DPoP struct {
	// Required refuses tokens that are not bound to a key.
	Required bool `json:"required"`
	// MaxAge is by how much the time of a proof may differ from this clock's.
	MaxAge time.Duration `json:"maxAge" default:"1m"`
	// ReplayCache is how many proofs are remembered, to be refused when they come again.
	ReplayCache int `json:"replayCache" default:"100000" validate:"min=1,max=100000000"`
	// Origins are those by which clients know this service, where the host of requests is another: https://api.example.
	Origins []string `json:"origins"`

	origins origin.Set
	seen    *nonces.Memory
	now     func() time.Time
}

const (
	maxProof = 8 << 10 // bytes
	maxID    = 512     // of a proof's jti
)

// algorithms are those of proofs, for www-authenticate.
var algorithms = fmt.Sprintf(", algs=%q", strings.Join(jws.Asymmetric, " "))

// Challenge is what www-authenticate says where DPoP is configured; "" for nil.
func (d *DPoP) Challenge(realm string) string {
	if d == nil {
		return ""
	}
	return fmt.Sprintf("DPoP realm=%q", realm) + algorithms
}

// Validate says what is wrong with the configuration.
func (d *DPoP) Validate() error {
	var errs []error
	if d.MaxAge < time.Second || d.MaxAge > time.Hour {
		errs = append(errs, errors.New("maxAge: must be 1s to 1h"))
	}
	if d.ReplayCache < 1 {
		errs = append(errs, errors.New("replayCache: must be at least 1"))
	}
	for i, o := range d.Origins {
		if err := origin.Check(o); err != nil || strings.Contains(o, "*") {
			errs = append(errs, fmt.Errorf("origins[%d]: must be an origin such as https://api.example", i))
		}
	}
	return errors.Join(errs...)
}

// Credentials adds to places where a token is found with the scheme DPoP, and its proof, which another Envoy would take.
func (d *DPoP) Credentials(places filter.CredentialPlaces) filter.CredentialPlaces {
	if d == nil {
		return places
	}
	for _, name := range []string{"authorization", "dpop"} {
		if !slices.Contains(places.Headers, name) {
			places.Headers = append(places.Headers, name)
		}
	}
	return places
}

// Start begins to remember proofs. Call it in Provision; as most methods, it may be called on nil, where DPoP is not configured.
func (d *DPoP) Start() (err error) {
	if d == nil {
		return nil
	}
	d.now = time.Now
	d.seen = nonces.New(d.ReplayCache, 2*d.MaxAge+time.Second)
	d.origins, err = origin.Parse(d.Origins, nil)
	return err
}

// Find returns the token that a request has with the scheme DPoP, and how many it has.
func (d *DPoP) Find(h filter.RequestHeaders) (token string, n int) {
	if d == nil {
		return "", 0
	}
	for _, v := range h.Values("authorization") {
		if scheme, rest, _ := strings.Cut(v, " "); strings.EqualFold(scheme, "DPoP") {
			token = strings.Trim(rest, " ")
			n++
		}
	}
	return token, n
}

// Take takes off what a proof needs, and the token with it.
func (d *DPoP) Take(h filter.RequestHeaders) {
	if d == nil {
		return
	}
	h.Del("dpop")
	if _, n := d.Find(h); n > 0 {
		h.Del("authorization")
	}
}

// prove checks the proof of a request for a token that is bound to a key (RFC 9449, section 4.3).
func (d *DPoP) prove(h filter.RequestHeaders, token string, key []byte) *bearer.Reason {
	proofs := h.Values("dpop")
	if len(proofs) != 1 || len(proofs[0]) > maxProof {
		return badProof
	}
	t, err := jws.Parse(proofs[0], nil)
	if err != nil || t.Type != "dpop+jwt" || !slices.Contains(jws.Asymmetric, t.Algorithm) || !signedBy(t, key) {
		return badProof
	}
	said, err := claims.Object(nil, t.Payload)
	if err != nil {
		return badProof
	}
	p := proof(said)
	id, method := p.text("jti"), p.text("htm")
	made, ok := claims.NumericDate(p.member("iat"))
	now := d.now()
	switch sum := sha256.Sum256([]byte(token)); {
	case id == "" || len(id) > maxID || method != h.Method() || !ok,
		!d.here(h, p.text("htu")),
		made.Before(now.Add(-d.MaxAge)) || made.After(now.Add(d.MaxAge)),
		subtle.ConstantTimeCompare([]byte(p.text("ath")), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) != 1:
		return badProof
	}
	switch d.seen.Add(append(slices.Clone(key), id...), now, made) {
	case nonces.Fresh:
		return nil
	case nonces.Full:
		return full
	}
	return replayed
}

// proof is what a proof says.
type proof []claims.Member

func (p proof) member(name string) []byte {
	for _, m := range p {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

func (p proof) text(name string) string {
	s, _ := claims.Str(p.member(name))
	return s
}

// signedBy reports whether the key in a proof's header has made its signature, is public, and has a thumbprint.
func signedBy(t *jws.Token, thumbprint []byte) bool {
	header, err := base64.RawURLEncoding.Strict().DecodeString(t.Text)
	if err != nil {
		return false
	}
	members, err := claims.Object(nil, header)
	if err != nil {
		return false
	}
	text := proof(members).member("jwk")
	parts, err := claims.Object(nil, text)
	if err != nil || proof(parts).member("d") != nil {
		return false
	}
	good := false
	err = guard.Do(func() error {
		k, err := jwk.ParseKey(text)
		if err != nil {
			return err
		}
		sum, err := k.Thumbprint(crypto.SHA256)
		good = err == nil && subtle.ConstantTimeCompare(sum, thumbprint) == 1
		return err
	})
	if err != nil || !good {
		return false
	}
	set, _, err := jws.ReadKeys(slices.Concat([]byte(`{"keys":[`), text, []byte(`]}`)), jws.Asymmetric)
	if err != nil {
		return false
	}
	t.KeyID = "" // there is one key
	return set.Verify(t) == nil
}

// here reports whether the address in a proof is that of the request, but for the query.
func (d *DPoP) here(h filter.RequestHeaders, address string) bool {
	o, ok := origin.Of(address)
	if !ok || len(d.Origins) > 0 && !d.origins.Has(o) || len(d.Origins) == 0 && !origin.SameHost(o, h.Host()) {
		return false
	}
	_, path, _ := strings.Cut(address, "://")
	if i := strings.IndexAny(path, "/?#"); i >= 0 {
		path = path[i:]
	} else {
		path = ""
	}
	want, _, _ := strings.Cut(h.Path(), "?")
	return origin.SamePath(plain(path), plain(want))
}

// plain is a path without what follows it; an empty one is the root.
func plain(path string) string {
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	if path == "" {
		return "/"
	}
	return path
}
