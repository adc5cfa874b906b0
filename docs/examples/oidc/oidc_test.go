package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// provider answers at the token endpoint.
type provider struct {
	t         *testing.T
	challenge string
	claims    map[string]any
	status    int
	answer    string
}

func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		p.t.Error(err)
	}
	id, secret, _ := r.BasicAuth()
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if id != "me" || secret != "s" || r.PostForm.Get("redirect_uri") != "https://app/cb" ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != p.challenge {
		p.t.Error("the provider would refuse", r.PostForm, id, secret)
	}
	b, err := json.Marshal(p.claims)
	if err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	w.WriteHeader(p.status)
	if p.answer == "" {
		p.answer = `{"id_token":"e30.` + base64.RawURLEncoding.EncodeToString(b) + `.x"}`
	}
	w.WriteString(p.answer)
	return w.Result(), nil
}

func parseURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatalf("url.Parse: %v", err)
	}
	return u
}

func config(t *testing.T) *OIDC {
	return &OIDC{
		Issuer: "https://idp", Authorize: parseURL(t, "https://idp/auth?x=1"),
		Token: parseURL(t, "https://idp/token"), Redirect: parseURL(t, "https://app/cb"), ClientID: "me",
		ClientSecret: filter.NewSecret("s"), Cluster: "idp", Timeout: 5 * time.Second, Session: time.Hour,
	}
}

func load(t *testing.T, o *OIDC) (*filtertest.Host, *provider) {
	t.Helper()
	p := &provider{t: t, status: 200}
	h := &filtertest.Host{Clusters: map[string]http.RoundTripper{"idp": p}}
	if err := h.Load(t, o); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	return h, p
}

// begin asks for a page and returns what the browser takes to the provider, and the cookie.
func begin(t *testing.T, h *filtertest.Host, p *provider, path string) (query url.Values, state string) {
	t.Helper()
	r := h.Get(path)
	if r.Status != 302 {
		t.Fatalf("r.Status = %d, want 302", r.Status)
	}
	to := parseURL(t, r.Header.Get("location"))
	if to.Host != "idp" || to.Query().Get("x") != "1" || to.Query().Get("redirect_uri") != "https://app/cb" {
		t.Errorf("redirected to %v, want host idp, x=1 and redirect_uri=https://app/cb", to)
	}
	p.challenge = to.Query().Get("code_challenge")
	p.claims = map[string]any{
		"iss": "https://idp", "sub": "tom", "aud": []string{"me"},
		"nonce": to.Query().Get("nonce"), "exp": time.Now().Add(time.Minute).Unix(),
	}
	return to.Query(), cookies(r)[stateCookie]
}

func cookies(r *filtertest.Response) map[string]string {
	m := map[string]string{}
	for _, c := range (&http.Response{Header: r.Header}).Cookies() {
		m[c.Name] = c.Value
	}
	return m
}

func TestSignIn(t *testing.T) {
	h, p := load(t, config(t))
	q, state := begin(t, h, p, "/page?a=b")
	r := h.Get("/cb?code=x&state="+q.Get("state"), "cookie", stateCookie+"="+state)
	if r.Status != 302 || r.Header.Get("location") != "/page?a=b" {
		t.Fatalf(`r.Status = %d, want 302; r.Header.Get("location") = %q, want %q: %v, %q`,
			r.Status, r.Header.Get("location"), "/page?a=b", r.Header, h.Log())
	}
	session := cookies(r)[sessionCookie]
	r = h.Get("/page", "cookie", "a=b; "+sessionCookie+"="+session, "x-user", "root")
	if r.Upstream == nil || r.Upstream.Header.Get("x-user") != "tom" || len(r.Upstream.Header.Values("x-user")) != 1 {
		t.Errorf("got status %d and upstream request %v, want one x-user, tom", r.Status, r.Upstream)
	}
	changed := "A" + session[1:]
	if changed == session {
		changed = "B" + session[1:]
	}
	for name, c := range map[string]string{"changed": changed, "a state": state, "none": ""} {
		t.Run(name, func(t *testing.T) {
			if r := h.Get("/page", "cookie", sessionCookie+"="+c); r.Status != 302 || r.Upstream != nil {
				t.Errorf("%s: r.Status = %d, want 302; r.Upstream = %+v, want nil", name, r.Status, r.Upstream)
			}
		})
	}
	if r := h.Post("/page", "form"); r.Status != 401 {
		t.Error("POST", r.Status)
	}
}

func TestCallbackRefused(t *testing.T) {
	h, p := load(t, config(t))
	q, state := begin(t, h, p, "/")
	with := func(change func()) func() { return change }
	for name, c := range map[string]struct {
		query, cookie string
		change        func()
		status        int
	}{
		"no cookie":      {"code=x&state=" + q.Get("state"), "", nil, 400},
		"another state":  {"code=x&state=y", state, nil, 400},
		"no state":       {"code=x", state, nil, 400},
		"no code":        {"error=access_denied&state=" + q.Get("state"), state, nil, 403},
		"another nonce":  {"code=x&state=" + q.Get("state"), state, with(func() { p.claims["nonce"] = "y" }), 500},
		"another client": {"code=x&state=" + q.Get("state"), state, with(func() { p.claims["aud"] = "you" }), 500},
		"another issuer": {"code=x&state=" + q.Get("state"), state, with(func() { p.claims["iss"] = "x" }), 500},
		"expired":        {"code=x&state=" + q.Get("state"), state, with(func() { p.claims["exp"] = 1 }), 500},
		"no user":        {"code=x&state=" + q.Get("state"), state, with(func() { p.claims["sub"] = "" }), 500},
		"provider errs":  {"code=x&state=" + q.Get("state"), state, with(func() { p.status = 400 }), 500},
		"no ID token":    {"code=x&state=" + q.Get("state"), state, with(func() { p.answer = `{}` }), 500},
		"endless nothing": {
			"code=x&state=" + q.Get("state"), state,
			with(func() { p.answer = strings.Repeat(" ", 2<<20) }), 500,
		},
	} {
		t.Run(name, func(t *testing.T) {
			claims := map[string]any{}
			for k, v := range p.claims {
				claims[k] = v
			}
			defer func() { p.claims, p.status, p.answer = claims, 200, "" }()
			if c.change != nil {
				c.change()
			}
			r := h.Get("/cb?"+c.query, "cookie", stateCookie+"="+c.cookie)
			if r.Status != c.status || cookies(r)[sessionCookie] != "" {
				t.Errorf("r.Status = %d, want %d; cookies(r)[sessionCookie] = %q, want %q: %v",
					r.Status, c.status, cookies(r)[sessionCookie], "", r.Header)
			}
		})
	}
}

// Nobody can be sent to another site through the page to come back to.
func TestBack(t *testing.T) {
	for path, want := range map[string]string{"/a?b": "/a?b", "//evil": "/", `/\evil`: "/", "https://evil": "/", "": "/"} {
		t.Run(fmt.Sprintf("%q", path), func(t *testing.T) {
			if got := back(path); got != want {
				t.Errorf("%s: back(path) = %q, want %q", path, got, want)
			}
		})
	}
}

func TestSeal(t *testing.T) {
	a, b := newSealer(filter.NewSecret("a")), newSealer(filter.NewSecret("b"))
	var got string
	for name, ok := range map[string]bool{
		"good":            a.open("p", a.seal("p", "v", time.Hour), &got),
		"another purpose": !a.open("q", a.seal("p", "v", time.Hour), &got),
		"expired":         !a.open("p", a.seal("p", "v", -time.Hour), &got),
		"another key":     !a.open("p", b.seal("p", "v", time.Hour), &got),
		"garbage":         !a.open("p", "x", &got),
	} {
		t.Run(name, func(t *testing.T) {
			if !ok {
				t.Errorf("%s: ok: got false, want true", name)
			}
		})
	}
	if got != "v" {
		t.Errorf("got %q, want %q", got, "v")
	}
}

func TestRefused(t *testing.T) {
	for name, change := range map[string]func(*OIDC){
		"authorize": func(o *OIDC) { o.Authorize = parseURL(t, "http://idp/auth") },
		"token":     func(o *OIDC) { o.Token, o.Cluster = parseURL(t, "http://idp/token"), "" },
		"redirect":  func(o *OIDC) { o.Redirect = parseURL(t, "/cb") },
		"cluster":   func(o *OIDC) { o.Cluster = "none" },
		"session":   func(o *OIDC) { o.Session = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			o := config(t)
			change(o)
			if err := new(filtertest.Host).Load(t, o); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("new(filtertest.Host).Load(o): got error %v, want one with %q", err, name)
			}
		})
	}
}
