package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxAnswer bounds what is read from the provider.
const maxAnswer = 1 << 20

// exchange turns a code into the name of a user.
func (o *OIDC) exchange(ctx context.Context, code string, a attempt) (user string, err error) {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {a.Verifier},
		"redirect_uri": {o.Redirect.String()},
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.Token.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("content-type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(o.ClientID), url.QueryEscape(o.ClientSecret.Reveal()))
	w, err := o.client.Do(r)
	if err != nil {
		return "", err
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusOK {
		return "", fmt.Errorf("token endpoint: %s", w.Status)
	}
	var answer struct {
		IDToken string `json:"id_token"`
	}
	if err := json.NewDecoder(io.LimitReader(w.Body, maxAnswer)).Decode(&answer); err != nil {
		return "", fmt.Errorf("token endpoint: %w", err)
	}
	c, err := parse(answer.IDToken)
	if err != nil {
		return "", fmt.Errorf("ID token: %w", err)
	}
	switch {
	case c.Issuer != o.Issuer:
		err = errors.New("is of another issuer")
	case !slices.Contains(c.Audience, o.ClientID):
		err = errors.New("is for another client")
	case c.Nonce != a.Nonce:
		err = errors.New("is of another sign-in")
	case time.Now().Unix() >= c.Expires:
		err = errors.New("has expired")
	case c.Subject == "":
		err = errors.New("names no user")
	}
	if err != nil {
		return "", fmt.Errorf("ID token: %w", err)
	}
	return c.Subject, nil
}

type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	Nonce    string   `json:"nonce"`
	Expires  int64    `json:"exp"`
}

// audience is a string or a list of them.
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// parse reads the claims. The signature is not checked: the token came over TLS from the provider itself.
func parse(token string) (c claims, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errors.New("is not a JWT")
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return c, errors.New("is not a JWT")
	}
	return c, json.Unmarshal(b, &c)
}
