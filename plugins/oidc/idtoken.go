package oidc

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/jws"
)

// leeway is by how much the provider's clock may be ahead of ours.
const leeway = 5 * time.Minute

// idTokenKeys are the provider's keys as an [oidc.KeySet].
type idTokenKeys struct{ remote *jws.Remote }

// VerifySignature returns the payload of a token that one of the keys has signed. If none has, the keys are read once more:
// the provider may have made new ones since.
func (k idTokenKeys) VerifySignature(ctx context.Context, text string) ([]byte, error) {
	t, err := jws.Parse(text, nil)
	if err != nil {
		return nil, fmt.Errorf("it %w", err)
	}
	err = k.verify(t)
	if err == nil {
		return t.Payload, nil
	}
	if over := k.remote.Renew(); over != nil {
		select {
		case <-over:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		err = k.verify(t)
	}
	if err != nil {
		return nil, err
	}
	return t.Payload, nil
}

func (k idTokenKeys) verify(t *jws.Token) error {
	keys := k.remote.Current()
	if keys == nil {
		return fmt.Errorf("%w: its keys cannot be read", errDown)
	}
	return keys.Verify(t)
}

// supported returns the algorithms that the provider signs ID tokens with, as far as they are public ones. RS256 is what
// all providers must support.
func supported(algorithms []string) []string {
	list := slices.DeleteFunc(slices.Clone(algorithms), func(a string) bool { return !slices.Contains(jws.Asymmetric, a) })
	if len(list) == 0 {
		return []string{oidc.RS256}
	}
	return list
}

// verify checks an ID token (OpenID Connect Core, section 3.1.3.7), but for the nonce.
func (p *provider) verify(ctx context.Context, m *metadata, raw string, t *oauth2.Token) (*oidc.IDToken, error) {
	id, err := m.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("%w: the ID token: %w", errToken, err)
	}
	var payload json.RawMessage
	if err := id.Claims(&payload); err != nil {
		return nil, fmt.Errorf("%w: the ID token: %w", errToken, err)
	}
	if why := p.wrongClaims(id, payload, time.Now()); why != "" {
		return nil, fmt.Errorf("%w: the ID token %s", errToken, why)
	}
	if id.AccessTokenHash != "" && id.VerifyAccessToken(t.AccessToken) != nil {
		return nil, fmt.Errorf("%w: the ID token is of another access token", errToken)
	}
	return id, nil
}

// wrongClaims says what is wrong with claims that the verifier does not check, or "".
func (p *provider) wrongClaims(id *oidc.IDToken, payload []byte, now time.Time) string {
	members, err := claims.Object(nil, payload) // by exact names, and each once
	if err != nil {
		return err.Error()
	}
	party, hasParty := "", false
	issued := false
	for _, m := range members {
		switch m.Name {
		case "azp":
			hasParty = true
			party, _ = claims.Str(m.Value)
		case "iat":
			seconds, err := strconv.ParseFloat(string(m.Value), 64)
			issued = err == nil && seconds > 0 && seconds <= float64(now.Add(leeway).Unix())
		}
	}
	switch {
	case id.Subject == "":
		return "names no user"
	case !issued:
		return "does not say when it was issued, or says a time to come"
	case hasParty && party != p.o.ClientID:
		return "is for another client"
	case !hasParty && len(id.Audience) > 1:
		return "is for several services and does not say which client it was issued to"
	}
	return ""
}

// bearer refuses tokens of another type than Bearer (OpenID Connect Core, section 3.1.3.3): what they are good for is not
// known here. A provider that gives no type means it.
func bearer(t *oauth2.Token) error {
	if t.TokenType != "" && !strings.EqualFold(t.TokenType, "bearer") {
		return fmt.Errorf("%w: the access token is of another type than Bearer", errToken)
	}
	return nil
}
