// Package oauthclient asks endpoints of OAuth authorization servers as a client that they know (RFC 6749, section 2.3).
package oauthclient

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/guard"
	"mosn.io/moe/plugins/internal/outbound"
)

// Client is how the authorization server knows who asks.
type Client struct {
	// ID is the client's name.
	ID string `json:"id"`
	// Auth is how it proves who it is: basic and post send the secret, privateKeyJWT (RFC 7523) signs a statement with key,
	// bearer sends token, and none sends the name alone, where the server knows the client by its certificate (RFC 8705).
	Auth string `json:"auth" default:"basic" enum:"basic,post,privateKeyJWT,bearer,none"`
	// Secret is that of basic and post.
	Secret filter.Secret `json:"secret"`
	// Key is that of privateKeyJWT: a private key in PEM, or as a JSON Web Key.
	Key filter.Secret `json:"key"`
	// KeyID is its kid, unless the JSON Web Key has one.
	KeyID string `json:"keyID"`
	// Token is that of bearer.
	Token filter.Secret `json:"token"`

	signer *signer
}

type signer struct {
	key jwk.Key
	alg jwa.SignatureAlgorithm
}

const assertionLife = time.Minute

// Validate checks that Auth has what it needs, and nothing else.
func (c *Client) Validate() error {
	has := map[string]bool{
		"id": c.ID != "", "secret": c.Secret.Reveal() != "", "key": c.Key.Reveal() != "", "keyID": c.KeyID != "",
		"token": c.Token.Reveal() != "",
	}
	needs := map[string][]string{
		"": {"id", "secret"}, "basic": {"id", "secret"}, "post": {"id", "secret"}, "privateKeyJWT": {"id", "key"},
		"bearer": {"token"}, "none": {"id"},
	}[c.Auth]
	var errs []error
	for _, name := range []string{"id", "secret", "key", "keyID", "token"} {
		needed := false
		for _, n := range needs {
			needed = needed || n == name
		}
		switch {
		case needed && !has[name]:
			errs = append(errs, fmt.Errorf("%s: is required with auth: %s", name, c.Auth))
		case !needed && has[name] && (name != "keyID" || c.Auth != "privateKeyJWT"):
			errs = append(errs, fmt.Errorf("%s: is not used with auth: %s", name, c.Auth))
		}
	}
	if c.Auth == "privateKeyJWT" && has["key"] {
		_, err := c.parseKey()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Start reads the key. Call it in Provision.
func (c *Client) Start() (err error) {
	if c.Auth == "privateKeyJWT" {
		c.signer, err = c.parseKey()
	}
	return err
}

// parseKey reads Key. No error quotes it.
func (c *Client) parseKey() (*signer, error) {
	text := strings.TrimSpace(c.Key.Reveal())
	unfit := errors.New("key: is not a private key in PEM or as a JSON Web Key, of RSA, P-256, P-384, P-521 or Ed25519")
	out := &signer{}
	err := guard.Do(func() error {
		k, err := jwk.ParseKey([]byte(text), jwk.WithPEM(!strings.HasPrefix(text, "{")))
		if err != nil {
			return unfit
		}
		if private, err := jwk.IsPrivateKey(k); err != nil || !private {
			return unfit
		}
		if out.alg, err = algorithmOf(k); err != nil {
			return unfit
		}
		if c.KeyID != "" {
			if err := k.Set(jwk.KeyIDKey, c.KeyID); err != nil {
				return unfit
			}
		}
		out.key = k
		return nil
	})
	if err != nil {
		return nil, unfit // whatever it says may quote the key
	}
	return out, nil
}

func algorithmOf(k jwk.Key) (alg jwa.SignatureAlgorithm, err error) {
	if named, ok := k.Algorithm(); ok {
		if alg, ok := jwa.LookupSignatureAlgorithm(named.String()); ok && alg != jwa.NoSignature() && !alg.IsSymmetric() {
			return alg, nil
		}
		return alg, errors.New("unfit")
	}
	switch k := k.(type) {
	case jwk.RSAPrivateKey:
		return jwa.RS256(), nil
	case jwk.ECDSAPrivateKey:
		crv, _ := k.Crv()
		switch crv {
		case jwa.P256():
			return jwa.ES256(), nil
		case jwa.P384():
			return jwa.ES384(), nil
		case jwa.P521():
			return jwa.ES512(), nil
		}
	case jwk.OKPPrivateKey:
		if crv, _ := k.Crv(); crv == jwa.Ed25519() {
			return jwa.EdDSA(), nil
		}
	}
	return alg, errors.New("unfit")
}

// assertion is a statement of who the client is, for one request (RFC 7523, section 3).
func (c *Client) assertion(audience string, now time.Time) (string, error) {
	text, err := json.Marshal(map[string]any{
		"iss": c.ID, "sub": c.ID, "aud": audience, "jti": rand.Text(), "iat": now.Unix(),
		"exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed, err := jws.Sign(text, jws.WithKey(c.signer.alg, c.signer.key))
	if err != nil {
		return "", errors.New("cannot sign who the client is")
	}
	return string(signed), nil
}

// Answer is what an endpoint answers.
type Answer struct {
	// Status is that of the response.
	Status int
	// Body is its text, of any type.
	Body []byte
}

// maxAnswer is how long a body may be.
const maxAnswer = 1 << 20

// Post sends a form to an endpoint. The form is changed. Errors say nothing of it, nor of the address.
func (c *Client) Post(ctx context.Context, by *http.Client, endpoint *url.URL, form url.Values) (a Answer, err error) {
	switch c.Auth {
	case "post":
		form.Set("client_id", c.ID)
		form.Set("client_secret", c.Secret.Reveal())
	case "none":
		form.Set("client_id", c.ID)
	case "privateKeyJWT":
		text, err := c.assertion(endpoint.String(), time.Now())
		if err != nil {
			return a, err
		}
		form.Set("client_id", c.ID)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", text)
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return a, outbound.Plain(err)
	}
	q.Header.Set("content-type", "application/x-www-form-urlencoded")
	q.Header.Set("accept", "application/json")
	switch c.Auth {
	case "", "basic": // both are encoded as in a form (RFC 6749, section 2.3.1)
		q.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret.Reveal()))
	case "bearer":
		q.Header.Set("authorization", "Bearer "+c.Token.Reveal())
	}
	w, err := by.Do(q)
	if err != nil {
		return a, outbound.Plain(err)
	}
	defer w.Body.Close()
	body, err := outbound.ReadAll(w.Body, maxAnswer)
	if err != nil {
		return a, outbound.Plain(err)
	}
	return Answer{Status: w.StatusCode, Body: body}, nil
}
