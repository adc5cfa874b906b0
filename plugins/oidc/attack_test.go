package oidc

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/filtertest"
)

func TestCallbackRefused(t *testing.T) {
	p := newIDP(t)
	h := filtertest.New(t, config(p))
	for _, c := range []struct {
		name   string
		query  func(state string) string
		set    func(*idp)
		change func(b *browser)
		status int
		reason string
	}{
		{name: "no state", query: func(string) string { return "code=abc" }, status: 400, reason: "state"},
		{name: "empty state", query: func(string) string { return "code=abc&state=" }, status: 400, reason: "state"},
		{name: "made up", query: func(string) string { return "code=abc&state=xyz" }, status: 400, reason: "state"},
		{
			name:  "two states",
			query: func(s string) string { return "code=abc&state=" + s + "&state=" + s }, status: 400, reason: "state",
		},
		{
			name:  "two codes",
			query: func(s string) string { return "code=a&code=b&state=" + s }, status: 400, reason: "state",
		},
		{
			name:  "a megabyte",
			query: func(s string) string { return "state=" + s + "&code=" + strings.Repeat("x", 1<<20) }, status: 400,
			reason: "state",
		},
		{name: "non-UTF-8", query: func(string) string { return "code=abc&state=%ff%fe" }, status: 400, reason: "state"},
		{
			name:   "bad escapes",
			query:  func(s string) string { return "state=" + s + "&code=%zz" },
			status: 400, reason: "state",
		},
		{name: "no cookie", change: func(b *browser) { clear(b.Jar) }, status: 400, reason: "state"},
		{name: "tampered cookie", change: func(b *browser) { tamper(b) }, status: 400, reason: "state"},
		{
			name:   "no code",
			query:  func(s string) string { return "error=access_denied&state=" + s },
			status: 403, reason: "denied",
		},
		{
			name:  "of another provider",
			query: func(s string) string { return "code=abc&iss=https%3A%2F%2Fevil&state=" + s }, status: 400, reason: "issuer",
		},
		{name: "another nonce", set: func(p *idp) { p.nonce = "other" }, status: 502, reason: "id_token"},
		{name: "no nonce", set: claim("nonce", nil), status: 502, reason: "id_token"},
		{name: "another client", set: claim("aud", "you"), status: 502, reason: "id_token"},
		{name: "another party", set: claim("azp", "you"), status: 502, reason: "id_token"},
		{name: "empty party", set: claim("azp", ""), status: 502, reason: "id_token"},
		{name: "party that is a number", set: claim("azp", 7), status: 502, reason: "id_token"},
		{name: "several services and no party", set: claim("aud", []string{"me", "you"}), status: 502, reason: "id_token"},
		{name: "no time of issue", set: claim("iat", nil), status: 502, reason: "id_token"},
		{name: "time of issue that is a string", set: claim("iat", "1700000000"), status: 502, reason: "id_token"},
		{name: "issued tomorrow", set: claim("iat", time.Now().Unix()+86400), status: 502, reason: "id_token"},
		{name: "a claim twice", set: payload(`{"roles":"x",CLAIMS}`), status: 502, reason: "id_token"},
		{name: "MAC token", set: answer("token_type", "mac"), status: 502, reason: "id_token"},
		{name: "DPoP token", set: answer("token_type", "DPoP"), status: 502, reason: "id_token"},
		{
			name:   "code beside an error",
			query:  func(s string) string { return "code=abc&error=access_denied&state=" + s },
			status: 403, reason: "denied",
		},
		{
			name:   "code beside an empty error",
			query:  func(s string) string { return "code=abc&error=&state=" + s },
			status: 403, reason: "denied",
		},
		{
			name:   "empty issuer in the answer",
			query:  func(s string) string { return "code=abc&iss=&state=" + s },
			status: 400, reason: "issuer",
		},
		{name: "another issuer", set: claim("iss", "https://evil"), status: 502, reason: "id_token"},
		{name: "expired", set: claim("exp", 1), status: 502, reason: "id_token"},
		{name: "no user", set: claim("sub", ""), status: 502, reason: "id_token"},
		{name: "another access token", set: claim("at_hash", "AAAA"), status: 502, reason: "id_token"},
		{name: "no ID token", set: answer("id_token", nil), status: 502, reason: "id_token"},
		{name: "ID token is a number", set: answer("id_token", 1), status: 502, reason: "id_token"},
		{
			name: "unsigned", status: 502, reason: "id_token",
			set: answer("id_token", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))+".e30."),
		},
		{
			name:   "code used before",
			set:    func(p *idp) { p.status, p.raw = 400, `{"error":"invalid_grant"}` },
			status: 400, reason: "code",
		},
		{name: "500", set: func(p *idp) { p.status = 500 }, status: 503, reason: "provider"},
		{name: "nonsense", set: func(p *idp) { p.raw = "<html>" }, status: 503, reason: "provider"},
		{name: "endless", set: func(p *idp) { p.raw = "{" + strings.Repeat(" ", 2<<20) }, status: 503, reason: "provider"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.set(func() { p.claims, p.answer, p.raw, p.payload, p.status = nil, nil, "", "", 200 })
			b := newBrowser(t, h)
			q := b.begin(p, "/")
			if c.set != nil {
				p.set(func() { c.set(p) })
			}
			if c.change != nil {
				c.change(b)
			}
			query := "code=abc&state=" + q.Get("state")
			if c.query != nil {
				query = c.query(q.Get("state"))
			}
			r := b.Ask("/cb?" + query)
			if r.Status != c.status || r.Details != "moe.oidc."+c.reason || r.Upstream != nil || b.Jar["__Host-oidc"] != "" {
				t.Errorf("%d %q %v, want %d %q", r.Status, r.Details, b.Jar, c.status, c.reason)
			}
			if strings.Contains(r.Body, "access_denied") || strings.Contains(r.Body, "evil") {
				t.Error("the answer has text of the request:", r.Body)
			}
		})
	}
	if strings.Contains(h.Log(), "very-secret") || strings.Contains(h.Log(), "the-client-secret") {
		t.Error("the log has a secret")
	}
}

func claim(name string, v any) func(*idp) {
	return func(p *idp) { p.claims = map[string]any{name: v} }
}

func payload(text string) func(*idp) {
	return func(p *idp) { p.payload = text }
}

func answer(name string, v any) func(*idp) {
	return func(p *idp) { p.answer = map[string]any{name: v} }
}

// tamper changes a bit of each cookie.
func tamper(b *browser) {
	for name, v := range b.Jar {
		text := []byte(v)
		if text[20]++; text[20] > 'z' || text[20] == '[' || text[20] == ':' || text[20] == '.' || text[20] == '`' {
			text[20] = 'A'
		}
		b.Jar[name] = string(text)
	}
}

// A sign-in that one browser has begun cannot be finished in another: that would sign a victim in as the attacker.
func TestStateOfAnotherSession(t *testing.T) {
	p := newIDP(t)
	h := filtertest.New(t, config(p))
	attacker, victim := newBrowser(t, h), newBrowser(t, h)
	stolen := attacker.begin(p, "/").Get("state")
	victim.begin(p, "/")
	if r := victim.Ask("/cb?code=abc&state=" + stolen); r.Status != 400 || victim.Jar["__Host-oidc"] != "" {
		t.Error("with another state in the jar:", r.Status)
	}
	// Not even under the name that the cookie of that state has.
	for _, v := range maps.Clone(victim.Jar) {
		for name := range attacker.Jar {
			victim.Jar[name] = v
		}
	}
	if r := victim.Ask("/cb?code=abc&state=" + stolen); r.Status != 400 || victim.Jar["__Host-oidc"] != "" {
		t.Error("with a renamed cookie:", r.Status)
	}
	// A state is good once: its cookie goes with the answer.
	b := newBrowser(t, h)
	q := b.begin(p, "/")
	b.Ask("/cb?code=abc&state=" + q.Get("state"))
	if r := b.Ask("/cb?code=abc&state=" + q.Get("state")); r.Status != 400 {
		t.Error("a state is good twice:", r.Status)
	}
}

func TestTamperedSessions(t *testing.T) {
	p := newIDP(t)
	h := filtertest.New(t, config(p))
	b := newBrowser(t, h)
	b.signIn(p, "/")
	good := b.Jar["__Host-oidc"]
	b.begin(p, "/login")
	state := ""
	for name, v := range b.Jar {
		if strings.HasPrefix(name, "__Host-oidc-state-") {
			state = v
		}
	}
	other := config(p)
	other.ClientID = "you"
	filtertest.New(t, other)
	u := session{Subject: "tom", Claims: []byte("{}"), Begun: time.Now().Unix()}
	foreign, err := other.keys.Seal("session", u, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatalf("other.keys.Seal: %v", err)
	}
	same := config(p)
	filtertest.New(t, same)
	over, err := same.keys.Seal("session", u, time.Now().Add(-time.Second))
	if err != nil {
		t.Fatalf("same.keys.Seal: %v", err)
	}
	for name, v := range map[string]string{
		"cut": good[:len(good)-1], "longer": good + "A", "a state": state, "of another client": foreign, "expired": over,
		"text": "tom", "bytes": "\xff\xfe", "a megabyte": strings.Repeat("A", 1<<20), "JSON": `{"s":"root"}`,
		"twice": good + good, "base64 padded": good + "==", "empty": "",
	} {
		t.Run(name, func(t *testing.T) {
			b.Jar = map[string]string{"__Host-oidc": v}
			r := b.Ask("/")
			if r.Status != 302 || r.Upstream != nil || r.Details != "moe.oidc.sign_in" {
				t.Errorf("%s: r.Status = %d, want 302; r.Upstream = %+v, want nil; r.Details = %q, want %q",
					name, r.Status, r.Upstream, r.Details, "moe.oidc.sign_in")
			}
		})
	}
	b.Jar = map[string]string{"__Host-oidc": good}
	for i := range good {
		if i%16 != 0 {
			continue
		}
		text := []byte(good)
		text[i] ^= 1
		b.Jar["__Host-oidc"] = string(text)
		if r := b.Ask("/"); r.Status != 302 {
			t.Errorf("with byte %d changed: %d", i, r.Status)
		}
	}
	b.Jar = map[string]string{"__Host-oidc": good}
	if r := b.Ask("/"); r.Status != 200 {
		t.Error("the good one", r.Status)
	}
	// Two cookies of one name: the first counts, as the one of the longest path that a browser sends first.
	r := newBrowser(t, h).Ask("/", "cookie", "__Host-oidc=x; __Host-oidc="+good)
	if r.Status != 302 {
		t.Errorf("r.Status = %d, want 302", r.Status)
	}
}

// Whatever a request asks for, nobody is sent to another site.
func TestOpenRedirect(t *testing.T) {
	p := newIDP(t)
	o := config(p)
	h := filtertest.New(t, o)
	for given, want := range map[string]string{
		"/a?b=c": "/a?b=c", "/": "/", "": "/", "https://app.example/x?y": "/x?y", "https://app.example": "/",
		"https://evil.example/": "/", "//evil.example/": "/", `/\evil.example`: "/", `\\evil.example`: "/",
		"/\t/evil.example": "/", "\n//evil.example": "/", " //evil.example": "/", "/ /evil.example": "/",
		"https://app.example.evil.example/": "/", "https://app.example@evil.example/": "/", "https:/evil.example": "/",
		"https:evil.example": "/", "javascript:alert(1)": "/", "data:text/html,x": "/", "http://app.example/": "/",
		"https://app.example//evil.example": "/", `https://app.example\@evil.example`: "/", "/\r\nset-cookie:x=y": "/",
		"/%0d%0aset-cookie:x=y": "/%0d%0aset-cookie:x=y", "/\xff": "/", "/#x": "/", "/login?return=/": "/", "/logout": "/",
		"/cb?code=x": "/", "/.//evil.example": "/.//evil.example", "evil.example": "/", "?x": "/",
		"/" + strings.Repeat("x", 3000): "/",
	} {
		t.Run(fmt.Sprintf("%.40q", given), func(t *testing.T) {
			b := newBrowser(t, h)
			q := b.begin(p, "/login?return="+url.QueryEscape(given))
			r := b.Ask("/cb?code=abc&state=" + q.Get("state"))
			got := r.Header.Get("location")
			if r.Status != 302 || got != want {
				t.Errorf("%.60q leads to %q, want %q", given, got, want)
			}
			u, err := url.Parse(got)
			if err != nil || u.Host != "" || u.Scheme != "" || len(r.Header.Values("set-cookie")) != 2 {
				t.Errorf("%.60q leads to %q", given, got)
			}
		})
	}
	for _, query := range []string{"return=/a&return=//evil", "return=%zz", ""} {
		t.Run(fmt.Sprintf("%q", query), func(t *testing.T) {
			b := newBrowser(t, h)
			q := b.begin(p, "/login?"+query)
			if got := b.Ask("/cb?code=abc&state=" + q.Get("state")).Header.Get("location"); got != "/" {
				t.Errorf("%q leads to %q", query, got)
			}
		})
	}
}

// A provider that is slow or down lets nobody pass, says so, and is used again when it is back.
func TestProviderIsDown(t *testing.T) {
	p := newIDP(t)
	p.set(func() { p.down = true })
	o := config(p)
	h := filtertest.New(t, o)
	r := newBrowser(t, h).Ask("/")
	if r.Status != 503 || r.Header.Get("retry-after") == "" || r.Upstream != nil || r.Details != "moe.oidc.provider" {
		t.Errorf("got %d %s, want 503 moe.oidc.provider with retry-after", r.Status, r.Details)
	}
	if r := newBrowser(t, h).Do(filtertest.NewRequest("POST", "/", "")); r.Status != 401 {
		t.Errorf("r.Status = %d, want 401", r.Status)
	}
	p.set(func() { p.down = false })
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if newBrowser(t, h).Ask("/").Status == 302 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is never used again", h.Log())
		}
	}
}

func TestProviderLies(t *testing.T) {
	for name, meta := range map[string]map[string]any{
		"another issuer": {"issuer": "https://evil"}, "no token endpoint": {"token_endpoint": ""},
		"plain http": {"token_endpoint": "http://evil.example/token"}, "a file": {"authorization_endpoint": "file:///x"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newIDP(t)
			p.set(func() { p.meta = meta })
			if r := newBrowser(t, filtertest.New(t, config(p))).Ask("/"); r.Status != 503 {
				t.Errorf("%s: r.Status = %d, want 503", name, r.Status)
			}
		})
	}
}

func TestProviderIsSlow(t *testing.T) {
	p := newIDP(t)
	o := config(p)
	o.Connection.Timeout = 200 * time.Millisecond
	b := newBrowser(t, filtertest.New(t, o))
	var q url.Values
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if r := b.Ask("/"); r.Status == http.StatusFound { // discovery itself may be slow on a busy machine
			q = b.begin(p, "/")
			break
		}
		if time.Now().After(end) {
			t.Fatal("no discovery")
		}
	}
	hold := make(chan struct{})
	p.set(func() { p.hold = hold })
	if r := b.Ask("/cb?code=abc&state=" + q.Get("state")); r.Status != 503 || b.Jar["__Host-oidc"] != "" {
		t.Errorf(`r.Status = %d, want 503; b.Jar["__Host-oidc"] = %q, want %q: %q`,
			r.Status, b.Jar["__Host-oidc"], "", r.Details)
	}
	close(hold)
}
