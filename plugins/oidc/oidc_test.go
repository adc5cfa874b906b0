package oidc

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/plugintest"
)

func TestSignIn(t *testing.T) {
	p := newIDP(t)
	o := config(p)
	o.Scopes = []string{"profile", "openid"}
	o.ClaimsToHeaders = []claims.ToHeader{{Claim: "sub", Header: "X-User"}, {Claim: "roles", Header: "x-roles"}}
	h := filtertest.New(t, o)
	b := newBrowser(t, h)
	if q := b.begin(p, "/"); q.Get("scope") != "openid profile" {
		t.Error(q.Get("scope"))
	}
	if to := b.signIn(p, "/page?a=b&c=%2F"); to != "/page?a=b&c=%2F" {
		t.Errorf(`b.signIn(p, "/page?a=b&c=%%2F") = %q, want %q`, to, "/page?a=b&c=%2F")
	}
	b.Jar["other"] = "x"
	r := b.Ask("/page", "x-user", "root", "x-roles", "admin")
	if r.Upstream == nil || r.Upstream.Header.Get("x-user") != "tom" || r.Upstream.Header.Get("x-roles") != "a,b" ||
		len(r.Upstream.Header.Values("x-user")) != 1 || r.Upstream.Header.Get("cookie") != "other=x" {
		t.Fatalf("got %d and %v, want the claims in the headers and only the other cookie", r.Status, r.Upstream)
	}
	if r := b.Do(filtertest.NewRequest("POST", "/form", "x")); r.Status != 200 || r.Sent != "x" {
		t.Errorf("r.Status = %d, want 200; r.Sent = %q, want %q", r.Status, r.Sent, "x")
	}
	for _, secret := range []string{"very-secret", "the-client-secret", "tom"} {
		t.Run(secret, func(t *testing.T) {
			if strings.Contains(h.Log(), secret) {
				t.Errorf("the log has %q", secret)
			}
			for name, v := range b.Jar {
				if strings.Contains(v, secret) {
					t.Errorf("the cookie %s can be read", name)
				}
			}
		})
	}
}

func TestCookieAttributes(t *testing.T) {
	p := newIDP(t)
	o := config(p)
	o.Cookie.SameSite = "strict"
	b := newBrowser(t, filtertest.New(t, o))
	r := b.Ask("/")
	states := (&http.Response{Header: r.Header}).Cookies()
	if len(states) != 1 || !states[0].HttpOnly || !states[0].Secure || states[0].Path != "/" || states[0].Domain != "" ||
		states[0].SameSite != http.SameSiteLaxMode || states[0].MaxAge != 600 ||
		r.Header.Get("cache-control") != "no-store" {
		t.Errorf("got %v, want one lax state cookie of 10 minutes and no-store", r.Header)
	}
	q := b.begin(p, "/")
	r = b.Ask("/cb?code=abc&state=" + q.Get("state"))
	for _, c := range (&http.Response{Header: r.Header}).Cookies() {
		if c.Name == "__Host-oidc" && (!c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode ||
			c.MaxAge != 3600) {
			t.Errorf("got %+v, want a strict session of an hour", c)
		}
	}
	if b.Jar["__Host-oidc"] == "" {
		t.Errorf(`b.Jar["__Host-oidc"] is empty: %v`, b.Jar)
	}
	// A redirect that began at the provider would not carry a strict cookie, and the sign-in would begin again for ever.
	if r.Status != 200 || r.Header.Get("location") != "" || !strings.Contains(r.Body, `content="0;url=/"`) ||
		r.Header.Get("content-type") != "text/html; charset=utf-8" {
		t.Errorf("got %d %v %q, want a page of this site that goes on to /", r.Status, r.Header, r.Body)
	}
}

// Scripts and programs get 401, since they cannot follow to a page to sign in at.
func TestWhoIsRedirected(t *testing.T) {
	p := newIDP(t)
	h := filtertest.New(t, config(p))
	for _, c := range []struct {
		name, method string
		header       []string
		status       int
	}{
		{name: "browser", method: "GET", header: []string{"accept", "text/html"}, status: 302},
		{name: "browser's HEAD", method: "HEAD", header: []string{"accept", "text/html,*/*"}, status: 302},
		{name: "navigation", method: "GET", header: []string{"sec-fetch-mode", "navigate"}, status: 302},
		{name: "no headers", method: "GET", status: 401},
		{name: "JSON", method: "GET", header: []string{"accept", "application/json"}, status: 401},
		{name: "anything", method: "GET", header: []string{"accept", "*/*"}, status: 401},
		{
			name: "script", method: "GET",
			header: []string{"accept", "text/html", "x-requested-with", "xmlhttprequest"}, status: 401,
		},
		{
			name: "script of another origin", method: "GET",
			header: []string{"accept", "text/html", "sec-fetch-mode", "cors"}, status: 401,
		},
		{name: "POST", method: "POST", header: []string{"accept", "text/html"}, status: 401},
		{name: "OPTIONS", method: "OPTIONS", header: []string{"accept", "text/html"}, status: 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newBrowser(t, h).Do(filtertest.NewRequest(c.method, "/", "", c.header...))
			if r.Status != c.status || r.Upstream != nil || c.status == 401 && r.Header.Get("www-authenticate") == "" {
				t.Errorf("%+v: got %d %v", c, r.Status, r.Header)
			}
		})
	}
}

func TestOtherHost(t *testing.T) {
	p := newIDP(t)
	b := newBrowser(t, filtertest.New(t, config(p)))
	r := filtertest.NewRequest("GET", "/page?x=1", "", "accept", "text/html")
	r.Host = "www.app.example"
	if w := b.Do(r); w.Status != 302 || w.Header.Get("location") != "https://app.example/page?x=1" {
		t.Errorf(`w.Status = %d, want 302; w.Header.Get("location") = %q, want %q: %v`,
			w.Status, w.Header.Get("location"), "https://app.example/page?x=1", w.Header)
	}
}

func TestRefresh(t *testing.T) {
	p := newIDP(t)
	o := config(p)
	o.ForwardAccessToken = true
	h := filtertest.New(t, o)
	b := newBrowser(t, h)
	p.set(func() { p.answer = map[string]any{"expires_in": 5, "access_token": "one"} }) // over at once, see early
	b.signIn(p, "/")
	old := b.Jar["__Host-oidc"]
	p.set(func() { p.answer, p.nonce = map[string]any{"access_token": "two"}, "" })
	r := b.Ask("/", "authorization", "Bearer mine")
	if r.Status != 200 || r.Upstream.Header.Get("authorization") != "Bearer two" || b.Jar["__Host-oidc"] == old {
		t.Fatalf("got %d %s and %v, want the token two and another cookie:\n%s", r.Status, r.Details, r.Upstream, h.Log())
	}
	// Tabs that come late with the old cookie share what the first got.
	var tabs sync.WaitGroup
	for range 10 {
		tabs.Go(func() {
			late := newBrowser(t, h)
			late.Jar["__Host-oidc"] = old
			if r := late.Ask("/"); r.Status != 200 || r.Upstream.Header.Get("authorization") != "Bearer two" {
				t.Errorf(`r.Status = %d, want 200; r.Upstream.Header.Get("authorization") = %q, want %q: %q`,
					r.Status, r.Upstream.Header.Get("authorization"), "Bearer two", r.Details)
			}
		})
	}
	tabs.Wait()
	p.mu.Lock()
	for token, n := range p.refreshed {
		if n > 1 {
			t.Errorf("%s was used %d times", token, n)
		}
	}
	p.mu.Unlock()
	if filtertest.Value(o.refreshed) != 1 {
		t.Errorf("filtertest.Value(o.refreshed) = %d, want 1", filtertest.Value(o.refreshed))
	}
}

func TestRefreshRefused(t *testing.T) {
	for name, c := range map[string]struct {
		set    func(*idp)
		status int
	}{
		"ended":        {func(p *idp) { p.status, p.raw = 400, `{"error":"invalid_grant"}` }, 302},
		"down":         {func(p *idp) { p.status = 500 }, 503},
		"another user": {func(p *idp) { p.claims = map[string]any{"sub": "eve"} }, 302},
		"no tokens":    {func(p *idp) { p.raw = `{}` }, 503},
		"nonsense":     {func(p *idp) { p.raw = "<html>" }, 503},
		"unsigned":     {func(p *idp) { p.answer = map[string]any{"id_token": "eyJhbGciOiJub25lIn0.e30."} }, 302},
	} {
		t.Run(name, func(t *testing.T) {
			p := newIDP(t)
			b := newBrowser(t, filtertest.New(t, config(p)))
			p.set(func() { p.answer = map[string]any{"expires_in": 5} })
			b.signIn(p, "/")
			p.set(func() { p.answer = nil; c.set(p) })
			r := b.Ask("/")
			if r.Status != c.status || r.Upstream != nil {
				t.Errorf("r.Status = %d, want %d; r.Upstream = %+v, want nil: %q",
					r.Status, c.status, r.Upstream, r.Details)
			}
			if (b.Jar["__Host-oidc"] == "") != (c.status == 302) {
				t.Error("the session is kept or lost wrongly", b.Jar)
			}
		})
	}
}

func TestLifetime(t *testing.T) {
	p := newIDP(t)
	o := config(p)
	b := newBrowser(t, filtertest.New(t, o))
	b.signIn(p, "/")
	u := session{Subject: "tom", Claims: []byte(`{}`), Begun: time.Now().Add(-2 * time.Hour).Unix()}
	text, err := o.keys.Seal("session", u, time.Now().Add(time.Hour)) // as if the lifetime had been shortened since
	if err != nil {
		t.Fatalf("o.keys.Seal: %v", err)
	}
	b.Jar["__Host-oidc"] = text
	if r := b.Ask("/"); r.Status != 302 || b.Jar["__Host-oidc"] != "" {
		t.Errorf(`r.Status = %d, want 302; b.Jar["__Host-oidc"] = %q, want %q: %v`,
			r.Status, b.Jar["__Host-oidc"], "", b.Jar)
	}
}

func TestLogout(t *testing.T) {
	p := newIDP(t)
	o := config(p)
	h := filtertest.New(t, o)
	b := newBrowser(t, h)
	b.signIn(p, "/")
	if r := b.Ask("/logout", "sec-fetch-site", "cross-site", "sec-fetch-mode", "no-cors"); r.Status != 403 {
		t.Error("an image of another site signs out", r.Status)
	}
	if r := b.Ask("/logout"); r.Status != 200 || r.Body != "signed out" || b.Jar["__Host-oidc"] != "" {
		t.Errorf(`r.Status = %d, want 200; r.Body = %q, want %q; b.Jar["__Host-oidc"] = %q, want %q: %v`,
			r.Status, r.Body, "signed out", b.Jar["__Host-oidc"], "", b.Jar)
	}
	if r := b.Ask("/"); r.Status != 302 {
		t.Errorf("r.Status = %d, want 302", r.Status)
	}

	o = config(p)
	o.Logout = Logout{Path: "/logout", Provider: true, Redirect: address(t, "/bye")}
	h = filtertest.New(t, o)
	b = newBrowser(t, h)
	b.signIn(p, "/")
	r := b.Ask("/logout")
	to := address(t, r.Header.Get("location"))
	if r.Status != 302 || !strings.HasPrefix(to.String(), p.URL+"/end?") || to.Query().Get("client_id") != "me" ||
		to.Query().Get("y") != "2" || to.Query().Get("post_logout_redirect_uri") != "https://app.example/bye" ||
		strings.Count(to.Query().Get("id_token_hint"), ".") != 2 || b.Jar["__Host-oidc"] != "" {
		t.Errorf("got %d to %v with %v, want 302 to the provider's end and no session", r.Status, to, b.Jar)
	}
}

// A session that is too long for one cookie comes in pieces.
func TestPieces(t *testing.T) {
	p := newIDP(t)
	o := config(p)
	o.ClaimsToHeaders = []claims.ToHeader{{Claim: "big", Header: "x-big"}}
	h := filtertest.New(t, o)
	b := newBrowser(t, h)
	big := strings.Repeat("x", 7000)
	p.set(func() { p.claims = map[string]any{"big": big} })
	b.signIn(p, "/")
	if b.Jar["__Host-oidc.0"] == "" || b.Jar["__Host-oidc.2"] == "" || b.Jar["__Host-oidc"] != "" {
		t.Fatalf(`b.Jar["__Host-oidc.0"] is empty; b.Jar["__Host-oidc.2"] is empty; b.Jar["__Host-oidc"] = %q, want %q: %d`,
			b.Jar["__Host-oidc"], "", len(b.Jar))
	}
	if r := b.Ask("/"); r.Status != 200 || r.Upstream.Header.Get("x-big") != big || r.Upstream.Header.Get("cookie") != "" {
		t.Errorf("got %d %s, want 200 with the big claim and no cookie", r.Status, r.Details)
	}
	swapped := newBrowser(t, h)
	for k, v := range b.Jar {
		swapped.Jar[k] = v
	}
	swapped.Jar["__Host-oidc.0"], swapped.Jar["__Host-oidc.1"] = swapped.Jar["__Host-oidc.1"], swapped.Jar["__Host-oidc.0"]
	if r := swapped.Ask("/"); r.Status != 302 {
		t.Error("swapped pieces pass")
	}
	delete(b.Jar, "__Host-oidc.1")
	if r := b.Ask("/"); r.Status != 302 || r.Upstream != nil {
		t.Errorf("r.Status = %d, want 302; r.Upstream = %+v, want nil", r.Status, r.Upstream)
	}
	// A smaller session takes the pieces of the old one away.
	p.set(func() { p.claims = nil })
	b.signIn(p, "/login")
	if r := b.Ask("/"); r.Status != 200 || b.Jar["__Host-oidc"] == "" || b.Jar["__Host-oidc.0"] != "" {
		t.Errorf(`r.Status = %d, want 200; b.Jar["__Host-oidc"] is empty; b.Jar["__Host-oidc.0"] = %q, want %q: %d`,
			r.Status, b.Jar["__Host-oidc.0"], "", len(b.Jar))
	}
	// One that fits in no cookies is an error, and no half session.
	b = newBrowser(t, h)
	p.set(func() { p.claims = map[string]any{"big": strings.Repeat("x", 60000)} })
	q := b.begin(p, "/")
	r := b.Ask("/cb?code=abc&state=" + q.Get("state"))
	if r.Status != 500 || b.Jar["__Host-oidc"]+b.Jar["__Host-oidc.0"] != "" {
		t.Errorf(`r.Status = %d, want 500; b.Jar["__Host-oidc"]+b.Jar["__Host-oidc.0"] = %q, want %q`,
			r.Status, b.Jar["__Host-oidc"]+b.Jar["__Host-oidc.0"], "")
	}
}

func TestKeyRotation(t *testing.T) {
	p := newIDP(t)
	b := newBrowser(t, filtertest.New(t, config(p)))
	b.signIn(p, "/")
	o := config(p)
	o.CookieSecrets = []filter.Secret{filter.NewSecret(strings.Repeat("n", 32)), filter.NewSecret(cookieSecret)}
	b.Host = filtertest.New(t, o)
	if r := b.Ask("/"); r.Status != 200 {
		t.Error("the old secret does not open", r.Status)
	}
	fresh := newBrowser(t, b.Host)
	fresh.signIn(p, "/")
	o = config(p)
	o.CookieSecrets = []filter.Secret{filter.NewSecret(strings.Repeat("n", 32))}
	h := filtertest.New(t, o)
	if fresh.Host = h; fresh.Ask("/").Status != 200 {
		t.Error("the new secret does not seal")
	}
	if b.Host = h; b.Ask("/").Status != 302 {
		t.Error("a secret that is gone opens")
	}
}

func TestConsumers(t *testing.T) {
	p := newIDP(t)
	o := config(p)
	o.ConsumerClaim = "sub"
	h := &filtertest.Host{Consumers: []*filter.Consumer{
		{Name: "thomas", Credentials: map[string]map[string]any{"oidc": {"subject": "tom"}}},
	}}
	if err := h.Load(t, o, &plugintest.Probe{Request: func(s filter.Stream, h filter.RequestHeaders) {
		h.Set("x-consumer", s.Consumer().Name)
	}}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	b := newBrowser(t, h)
	b.signIn(p, "/")
	if r := b.Ask("/"); r.Status != 200 || r.Upstream.Header.Get("x-consumer") != "thomas" {
		t.Errorf(`r.Status = %d, want 200; r.Upstream.Header.Get("x-consumer") = %q, want %q: %q`,
			r.Status, r.Upstream.Header.Get("x-consumer"), "thomas", r.Details)
	}
	p.set(func() { p.claims = map[string]any{"sub": "eve"} })
	b = newBrowser(t, h)
	b.signIn(p, "/")
	if r := b.Ask("/"); r.Status != 403 || r.Upstream != nil {
		t.Errorf("r.Status = %d, want 403; r.Upstream = %+v, want nil: %q", r.Status, r.Upstream, r.Details)
	}
}
