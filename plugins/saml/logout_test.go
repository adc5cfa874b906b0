package saml

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"io"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"mosn.io/moe/framework/filtertest"
)

// logoutRequest reads, as the identity provider, what the browser takes there to sign out.
func (u *user) logoutRequest(to string) *saml.IdpLogoutRequest {
	u.T.Helper()
	if !strings.HasPrefix(to, "https://idp.example/slo?") {
		u.T.Fatalf("led to %q, want the identity provider's single logout service", to)
	}
	q, err := saml.NewIdpLogoutRequest(&u.p.IdentityProvider, httptest.NewRequest("GET", to, nil))
	if err == nil {
		err = q.Validate()
	}
	if err != nil {
		u.T.Fatalf("the identity provider refuses the request to sign out: %v", err)
	}
	return q
}

func TestLogoutHere(t *testing.T) {
	p := newIDP(t)
	s := p.config()
	u := newUser(p, filtertest.New(t, s))
	u.signIn("/")
	if r := u.Ask("/logout", "sec-fetch-site", "cross-site"); r.Status != 403 || u.Jar["__Host-saml"] == "" {
		t.Errorf("from another site: got %d, want 403 and the session", r.Status)
	}
	if r := u.Ask("/logout"); r.Status != 200 || r.Body != "signed out" || u.Jar["__Host-saml"] != "" {
		t.Errorf("got %d %q %v, want 200 and no session", r.Status, r.Body, u.Jar)
	}
}

func TestLogoutThere(t *testing.T) {
	p := newIDP(t)
	h := filtertest.New(t, p.withKey())
	u := newUser(p, h)
	p.user.NameIDFormat = string(saml.PersistentNameIDFormat)
	begin := func() *saml.IdpLogoutRequest {
		t.Helper()
		u.signIn("/")
		r := u.Ask("/logout")
		if r.Status != 303 || u.Jar["__Host-saml"] != "" {
			t.Fatalf("got %d %v, want 303 and no session:\n%s", r.Status, u.Jar, h.Log())
		}
		return u.logoutRequest(r.Header.Get("location"))
	}
	q := begin()
	if q.Request.NameID == nil || q.Request.NameID.Value != "tom" || q.Request.NameID.Format != string(saml.PersistentNameIDFormat) ||
		q.Request.SessionIndex == nil || q.Request.SessionIndex.Value == "" {
		t.Errorf("got %+v, want the user's name as it came, and the session", q.Request)
	}
	answer := func(q *saml.IdpLogoutRequest, key pair, status, to string) url.Values {
		t.Helper()
		response := &saml.LogoutResponse{
			ID: "id-answer", InResponseTo: q.Request.ID, Version: "2.0", IssueInstant: time.Now(), Destination: to,
			Issuer: &saml.Issuer{Value: "https://idp.example/metadata"}, Status: saml.Status{StatusCode: saml.StatusCode{Value: status}},
		}
		e := signed(reread(response.Element()), key, dsig.RSASHA256SignatureMethod)
		return url.Values{"SAMLResponse": {encode(e)}, "RelayState": {q.RelayState}}
	}
	const here = "https://app.example/saml/slo"
	for _, c := range []struct {
		name    string
		form    func(*saml.IdpLogoutRequest) url.Values
		status  int
		details string
	}{
		{
			name: "good", status: 303, details: "signed_out",
			form: func(q *saml.IdpLogoutRequest) url.Values { return answer(q, provider(), saml.StatusSuccess, here) },
		},
		{
			name: "failed", status: 403, details: "logout_message",
			form: func(q *saml.IdpLogoutRequest) url.Values { return answer(q, provider(), saml.StatusResponder, here) },
		},
		{
			name: "another key", status: 403, details: "logout_message",
			form: func(q *saml.IdpLogoutRequest) url.Values { return answer(q, stranger(), saml.StatusSuccess, here) },
		},
		{
			name: "another place", status: 403, details: "logout_message",
			form: func(q *saml.IdpLogoutRequest) url.Values { return answer(q, provider(), saml.StatusSuccess, here+"x") },
		},
		{
			name: "another state", status: 400, details: "state",
			form: func(q *saml.IdpLogoutRequest) url.Values {
				f := answer(q, provider(), saml.StatusSuccess, here)
				f.Set("RelayState", "x")
				return f
			},
		},
		{
			name: "another request", status: 403, details: "logout_message",
			form: func(q *saml.IdpLogoutRequest) url.Values {
				other := *q
				other.Request.ID = "id-other"
				return answer(&other, provider(), saml.StatusSuccess, here)
			},
		},
		{
			name: "nothing", status: 400, details: "logout_message",
			form: func(*saml.IdpLogoutRequest) url.Values { return url.Values{"RelayState": {"x"}} },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := u.post("/saml/slo", c.form(begin()))
			if r.Status != c.status || r.Details != "moe.saml."+c.details || c.status == 303 && r.Header.Get("location") != "/bye" {
				t.Errorf("got %d %s to %q, want %d moe.saml.%s", r.Status, r.Details, r.Header.Get("location"), c.status, c.details)
			}
		})
	}
}

// TestIdentityProviderEnds: the identity provider signs users out, by the browser of the user with and without its cookies.
func TestIdentityProviderEnds(t *testing.T) {
	p := newIDP(t)
	s := p.withKey()
	h := filtertest.New(t, s)
	order := func(key pair, change func(*saml.LogoutRequest)) url.Values {
		t.Helper()
		q := &saml.LogoutRequest{
			ID: "id-" + time.Now().Format("150405.000000000"), Version: "2.0", IssueInstant: time.Now(),
			Destination: "https://app.example/saml/slo", Issuer: &saml.Issuer{Value: "https://idp.example/metadata"},
			NameID: &saml.NameID{Value: "tom"},
		}
		if change != nil {
			change(q)
		}
		return url.Values{
			"SAMLRequest": {encode(signed(reread(q.Element()), key, dsig.RSASHA256SignatureMethod))}, "RelayState": {"theirs"},
		}
	}
	for _, c := range []struct {
		name   string
		order  func() url.Values
		cookie bool // whether the browser sends the session's cookie along
		status int
		ends   bool
	}{
		{name: "with the cookie", order: func() url.Values { return order(provider(), nil) }, cookie: true, status: 303, ends: true},
		{name: "without the cookie", order: func() url.Values { return order(provider(), nil) }, status: 303, ends: true},
		{name: "this session", order: func() url.Values {
			return order(provider(), func(q *saml.LogoutRequest) { q.SessionIndex = &saml.SessionIndex{Value: "one"} })
		}, status: 303, ends: true},
		{name: "another session", order: func() url.Values {
			return order(provider(), func(q *saml.LogoutRequest) { q.SessionIndex = &saml.SessionIndex{Value: "two"} })
		}, status: 303},
		{name: "another user", order: func() url.Values {
			return order(provider(), func(q *saml.LogoutRequest) { q.NameID.Value = "eve" })
		}, status: 303},
		{name: "another key", order: func() url.Values { return order(stranger(), nil) }, cookie: true, status: 403},
		{name: "old", order: func() url.Values {
			return order(provider(), func(q *saml.LogoutRequest) { q.IssueInstant = time.Now().Add(-time.Hour) })
		}, status: 403},
		{name: "another issuer", order: func() url.Values {
			return order(provider(), func(q *saml.LogoutRequest) { q.Issuer.Value = "https://evil.example" })
		}, status: 403},
		{name: "not signed", order: func() url.Values {
			q := saml.LogoutRequest{ID: "id-x", Version: "2.0", IssueInstant: time.Now(), Destination: "https://app.example/saml/slo", Issuer: &saml.Issuer{Value: "https://idp.example/metadata"}, NameID: &saml.NameID{Value: "tom"}}
			return url.Values{"SAMLRequest": {encode(q.Element())}}
		}, status: 403},
		{name: "long state", order: func() url.Values {
			f := order(provider(), nil)
			f.Set("RelayState", strings.Repeat("x", maxRelay+1))
			return f
		}, status: 400},
		{name: "two", order: func() url.Values {
			f := order(provider(), nil)
			f.Add("SAMLRequest", f.Get("SAMLRequest"))
			return f
		}, status: 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.ended = newEndings(maxEnded)
			u := newUser(p, h)
			u.signIn("/")
			from := newUser(p, h)
			if c.cookie {
				from = u
			}
			r := from.post("/saml/slo", c.order())
			if r.Status != c.status {
				t.Errorf("got %d %s, want %d:\n%s", r.Status, r.Details, c.status, h.Log())
			}
			if c.status == 303 {
				to := r.Header.Get("location")
				if !strings.HasPrefix(to, "https://idp.example/slo?") || !strings.Contains(to, "Signature=") ||
					address(t, to).Query().Get("RelayState") != "theirs" {
					t.Errorf("led to %q, want a signed answer", to)
				}
			}
			want := 200
			if c.ends {
				want = 302
			}
			if r := u.Ask("/"); r.Status != want {
				t.Errorf("then: got %d %s, want %d", r.Status, r.Details, want)
			}
			if c.name == "with the cookie" { // a session that begins later is not meant
				time.Sleep(time.Until(time.Unix(time.Now().Unix()+1, 0)))
				u.signIn("/")
				if r := u.Ask("/"); r.Status != 200 {
					t.Errorf("after signing in again: got %d %s, want 200", r.Status, r.Details)
				}
			}
		})
	}
	t.Run("again", func(t *testing.T) {
		f := order(provider(), nil)
		u := newUser(p, h)
		if r := u.post("/saml/slo", f); r.Status != 303 {
			t.Fatalf("got %d %s, want 303", r.Status, r.Details)
		}
		if r := u.post("/saml/slo", f); r.Status != 403 {
			t.Errorf("again: got %d %s, want 403", r.Status, r.Details)
		}
	})
	t.Run("too many", func(t *testing.T) {
		s.ended = newEndings(0)
		r := newUser(p, h).post("/saml/slo", order(provider(), nil))
		text, err := base64.StdEncoding.DecodeString(address(t, r.Header.Get("location")).Query().Get("SAMLResponse"))
		if err != nil {
			t.Fatalf("reading the answer: %v", err)
		}
		xml, err := io.ReadAll(flate.NewReader(bytes.NewReader(text)))
		if r.Status != 303 || err != nil || !strings.Contains(string(xml), saml.StatusResponder) || strings.Contains(string(xml), saml.StatusSuccess) {
			t.Errorf("got %d %s %v, want an answer that is not a success", r.Status, xml, err)
		}
	})
}

func TestEndings(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	e := newEndings(2)
	u := session{Issuer: "idp", Name: name{Value: "tom"}, Index: "1", Begun: now.Unix() - 10}
	if !e.add("idp", "tom", []string{"1", "2"}, now, time.Hour) {
		t.Fatal("no room for two")
	}
	if e.add("idp", "eve", nil, now, time.Hour) {
		t.Error("there is room for a third")
	}
	if !e.has(&u, now) || !e.has(&u, now.Add(time.Hour)) {
		t.Error("the session has not ended")
	}
	if !e.add("idp", "eve", nil, now.Add(2*time.Hour), time.Hour) {
		t.Error("what is over takes room")
	}
	later := u
	later.Begun = now.Unix() + 1
	if e.has(&later, now.Add(time.Minute)) {
		t.Error("a session that began later has ended")
	}
}
