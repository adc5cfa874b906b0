package oidc

import (
	"sync"
	"testing"
	"time"

	"mosn.io/moe/framework/filtertest"
)

// age makes what is remembered of refreshes older, and sets the access tokens' expiry back as much.
func (r *refreshes) age(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.m {
		x.over = x.over.Add(-d)
		if x.session != nil {
			aged := *x.session
			aged.AccessExpires -= int64(d / time.Second)
			x.session = &aged
		}
	}
}

// aged is the browser's session after a time: its cookie with an expiry that has come nearer.
func (b *browser) age(o *OIDC, d time.Duration) {
	b.T.Helper()
	var u session
	if err := o.keys.Open("session", b.Jar["__Host-oidc"], &u, time.Now()); err != nil {
		b.T.Fatalf("opening the session's cookie: %v", err)
	}
	u.AccessExpires -= int64(d / time.Second)
	text, err := o.keys.Seal("session", u, u.expires(o))
	if err != nil {
		b.T.Fatalf("sealing the session: %v", err)
	}
	b.Jar["__Host-oidc"] = text
	o.fresh.age(d)
}

// forwarded asks for a page and checks which access token the upstream sees.
func (b *browser) forwarded(what, want string) {
	b.T.Helper()
	r := b.Ask("/x")
	if r.Status != 200 || r.Upstream == nil {
		b.T.Errorf("%s: got %d %s, want 200:\n%s", what, r.Status, r.Details, b.Host.Log())
		return
	}
	if got := r.Upstream.Header.Get("authorization"); got != "Bearer "+want {
		b.T.Errorf("%s: the upstream gets %q, want the token %q", what, got, want)
	}
}

// TestRefreshTokenStays: where the provider gives no new refresh token (RFC 6749, section 6), the old one gets a new
// access token each time that one is over.
func TestRefreshTokenStays(t *testing.T) {
	for _, wait := range []time.Duration{12 * time.Second, 29 * time.Second, 37 * time.Second, 10 * time.Minute} {
		t.Run(wait.String(), func(t *testing.T) {
			p := newIDP(t)
			o := config(p)
			o.ForwardAccessToken = true
			b := newBrowser(t, filtertest.New(t, o))
			next := func(access string) {
				p.set(func() {
					p.answer = map[string]any{"access_token": access, "expires_in": 11, "refresh_token": nil}
				})
			}
			p.set(func() { p.answer = map[string]any{"access_token": "at1", "expires_in": 11, "refresh_token": "rt1"} })
			b.signIn(p, "/")
			next("at2")
			b.age(o, 2*time.Second)
			b.forwarded("after the first is over", "at2")
			next("at3")
			b.age(o, wait)
			b.forwarded("after the second is over", "at3")
			next("at4")
			b.age(o, wait)
			b.forwarded("after the third is over", "at4")
			p.mu.Lock()
			defer p.mu.Unlock()
			if got := p.refreshed["rt1"]; got != 3 {
				t.Errorf("rt1 was used %d times, want 3", got)
			}
		})
	}
}

// TestRefreshTokenChanges: a tab that comes late with a refresh token that is used up goes on with the one that has
// replaced it, and none is used twice.
func TestRefreshTokenChanges(t *testing.T) {
	p := newIDP(t)
	o := config(p)
	o.ForwardAccessToken = true
	h := filtertest.New(t, o)
	b := newBrowser(t, h)
	next := func(access, refresh string) {
		p.set(func() {
			p.answer = map[string]any{"access_token": access, "expires_in": 11, "refresh_token": refresh}
		})
	}
	next("at1", "rt1")
	b.signIn(p, "/")
	b.age(o, 2*time.Second)
	late := newBrowser(t, h)
	late.Jar["__Host-oidc"] = b.Jar["__Host-oidc"]
	next("at2", "rt2")
	b.forwarded("after the first is over", "at2")
	late.forwarded("a tab that comes late", "at2")
	next("at3", "rt3")
	o.fresh.age(15 * time.Second)
	late.Jar["__Host-oidc"] = seal(t, o, "rt1")
	late.forwarded("a tab that comes when the second is over", "at3")
	var tabs sync.WaitGroup
	for range 10 {
		tabs.Go(func() {
			tab := newBrowser(t, h)
			tab.Jar["__Host-oidc"] = seal(t, o, "rt1")
			tab.forwarded("tabs at the same time", "at3")
		})
	}
	tabs.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for token, n := range p.refreshed {
		if n != 1 {
			t.Errorf("%s was used %d times, want once", token, n)
		}
	}
}

// seal makes the cookie of a session whose access token is over.
func seal(t *testing.T, o *OIDC, refresh string) string {
	t.Helper()
	now := time.Now().Unix()
	u := session{Subject: "tom", Claims: []byte(`{"sub":"tom"}`), Begun: now - 30, Access: "old", AccessExpires: now - 5, Refresh: refresh}
	text, err := o.keys.Seal("session", u, u.expires(o))
	if err != nil {
		t.Fatalf("sealing a session: %v", err)
	}
	return text
}

func TestUsable(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		name string
		age  time.Duration // of the result; negative: it is under way
		left time.Duration // of the access token
		next string        // the refresh token that came with it
		err  error
		want bool
	}{
		{name: "under way", age: -1, want: true},
		{name: "of late", age: 5 * time.Second, left: time.Minute, next: "rt1", want: true},
		{name: "at once, over", next: "rt1", want: true},
		{name: "access token over", age: 5 * time.Second, next: "rt1", want: false},
		{name: "access token nearly over", age: 5 * time.Second, left: 9 * time.Second, next: "rt1", want: false},
		{name: "access token over, refresh token replaced", age: 5 * time.Second, next: "rt2", want: true},
		{name: "long ago", age: 31 * time.Second, left: time.Hour, next: "rt2", want: false},
		{name: "refused of late", age: 5 * time.Second, err: errEnded, want: true},
		{name: "refused long ago", age: 31 * time.Second, err: errEnded, want: false},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &refresh{err: c.err}
			if c.age >= 0 {
				x.over = now.Add(-c.age)
			}
			if c.err == nil {
				x.session = &session{Refresh: c.next, AccessExpires: now.Add(c.left).Unix()}
			}
			if got := x.usable("rt1", now); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
