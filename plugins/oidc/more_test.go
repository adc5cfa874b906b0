package oidc

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/claims"
)

func TestParameters(t *testing.T) {
	p := newIDP(t)
	o := config(p)
	o.Parameters = map[string]string{"prompt": "login", "acr_values": "a b&c"}
	q := newBrowser(t, filtertest.New(t, o)).begin(p, "/")
	if q.Get("prompt") != "login" || q.Get("acr_values") != "a b&c" {
		t.Errorf("got %v, want prompt and acr_values", q)
	}
}

// TestEndpoints: a provider without discovery, whose keys, issuer and tokens are checked as any other's.
func TestEndpoints(t *testing.T) {
	p := newIDP(t)
	p.set(func() { p.down = true })
	o := config(p)
	o.Endpoints = &Endpoints{
		Authorization: address(t, p.URL+"/auth?x=1"), Token: address(t, p.URL+"/token"), Keys: address(t, p.URL+"/jwks"),
	}
	h := filtertest.New(t, o)
	if to := newBrowser(t, h).signIn(p, "/x"); to != "/x" {
		t.Errorf("led to %q, want /x", to)
	}
	p.set(func() { p.claims = map[string]any{"iss": "https://evil"} })
	b := newBrowser(t, h)
	q := b.begin(p, "/")
	if r := b.Ask("/cb?code=abc&state=" + q.Get("state")); r.Status != 502 {
		t.Errorf("another issuer: got %d, want 502", r.Status)
	}
}

func TestIDTokenHeader(t *testing.T) {
	p := newIDP(t)
	o := config(p)
	o.IDTokenHeader = "X-ID-Token"
	b := newBrowser(t, filtertest.New(t, o))
	if r := b.Ask("/", "x-id-token", "forged", "sec-fetch-mode", "cors"); r.Upstream != nil {
		t.Error("it passes without a session")
	}
	b.signIn(p, "/")
	r := b.Ask("/", "x-id-token", "forged")
	if r.Upstream == nil || len(r.Upstream.Header.Values("x-id-token")) != 1 || strings.Count(r.Upstream.Header.Get("x-id-token"), ".") != 2 {
		t.Errorf("got %d %v, want the ID token", r.Status, r.Upstream)
	}
	names := o.OwnsRequestHeaders()
	if len(names) != 1 || !strings.EqualFold(names[0], "x-id-token") {
		t.Errorf("got the plugin's own headers %v, want x-id-token", names)
	}
}

func TestUserInfo(t *testing.T) {
	said := func(kind, text string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("content-type", kind)
			fmt.Fprint(w, text)
		}
	}
	for _, c := range []struct {
		name   string
		info   func(http.ResponseWriter)
		status int
	}{
		{name: "good", info: said("application/json; charset=utf-8", `{"sub":"tom","phone":"123","roles":["root"]}`), status: 302},
		{name: "another user", info: said("application/json", `{"sub":"eve","phone":"123"}`), status: 502},
		{name: "no user", info: said("application/json", `{"phone":"123"}`), status: 502},
		{name: "a member twice", info: said("application/json", `{"sub":"eve","sub":"tom"}`), status: 502},
		{name: "not JSON", info: said("application/json", `<html>`), status: 502},
		{name: "a signed answer", info: said("application/jwt", `a.b.c`), status: 502},
		{name: "endless", info: said("application/json", "{"+strings.Repeat(" ", 2<<20)+"}"), status: 503},
		{name: "down", status: 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newIDP(t)
			p.set(func() { p.info = c.info })
			o := config(p)
			o.UserInfo = true
			o.ClaimsToHeaders = []claims.ToHeader{{Claim: "phone", Header: "x-phone"}, {Claim: "roles", Header: "x-roles"}}
			h := filtertest.New(t, o)
			b := newBrowser(t, h)
			q := b.begin(p, "/")
			if r := b.Ask("/cb?code=abc&state=" + q.Get("state")); r.Status != c.status || (b.Jar["__Host-oidc"] != "") != (c.status == 302) {
				t.Fatalf("got %d %s, want %d:\n%s", r.Status, r.Details, c.status, h.Log())
			}
			if c.status != 302 {
				return
			}
			if r := b.Ask("/"); r.Upstream == nil || r.Upstream.Header.Get("x-phone") != "123" || r.Upstream.Header.Get("x-roles") != "a,b" {
				t.Errorf("got %d %v, want the phone, and the roles of the ID token", r.Status, r.Upstream)
			}
		})
	}
}
