package saml

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"

	"github.com/crewjam/saml"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/signin"
)

// maxRelay is how many bytes of RelayState are sent back; SAML has 80.
const maxRelay = 1 << 10

// logout ends a session, and the identity provider's if that is wanted.
func (p *SAML) logout(s filter.Stream, h filter.RequestHeaders) filter.Action {
	if m := h.Method(); m != http.MethodGet && m != http.MethodPost {
		return wrongMethod("GET, POST")
	}
	if !signin.MeansIt(h, p.Cookie.Domain != "") {
		return p.refuse("logout", http.StatusForbidden, "only a page of this site can sign you out")
	}
	j := p.cookies.Read(h)
	var u session
	known := p.keys.Open("session", j.Session, &u, p.clock.Now()) == nil
	opts := signin.With(p.cookies.NoSession(j))
	p.signedOut.Inc()
	if !p.Logout.Provider || !known {
		return p.out(opts)
	}
	return filter.Go(func(ctx context.Context) filter.Action {
		sp := p.idp.wait(ctx)
		if sp == nil || sp.IDPMetadata.EntityID != u.Issuer || logoutDestination(sp) == "" {
			s.Log().Warn("cannot sign a user out at the identity provider")
			return p.out(opts)
		}
		a, err := p.leave(sp, &u, j, opts)
		if err != nil {
			return filter.Fail(err)
		}
		return a
	})
}

// out says that the user is signed out.
func (p *SAML) out(opts []filter.ReplyOption) filter.Action {
	if p.Logout.Redirect == "" {
		return reply(http.StatusOK, "signed_out", "signed out", opts...)
	}
	return reply(http.StatusSeeOther, "signed_out", "", append(opts, filter.WithHeader("location", p.Logout.Redirect))...)
}

// logoutDestination is where the identity provider takes requests to sign out.
func logoutDestination(sp *saml.ServiceProvider) string {
	if to := sp.GetSLOBindingLocation(saml.HTTPRedirectBinding); to != "" {
		return to
	}
	return sp.GetSLOBindingLocation(saml.HTTPPostBinding)
}

// leave sends the browser to the identity provider, to sign its user out there.
func (p *SAML) leave(sp *saml.ServiceProvider, u *session, j signin.Jar, opts []filter.ReplyOption) (filter.Action, error) {
	q, err := sp.MakeLogoutRequest(logoutDestination(sp), u.Name.Value, saml.WithSessionIndex(u.Index),
		func(q *saml.LogoutRequest) {
			q.NameID = &saml.NameID{
				Value: u.Name.Value, Format: u.Name.Format, NameQualifier: u.Name.Qualifier, SPNameQualifier: u.Name.SPQualifier,
			}
		})
	if err != nil {
		return filter.Action{}, err
	}
	a := attempt{State: rand.Text(), Request: q.ID}
	text, err := p.keys.Seal("logout", a, p.clock.Now().Add(signInTime))
	if err != nil {
		return filter.Action{}, err
	}
	opts = append(opts, signin.With(p.cookies.Begun(a.State, text, j, signInTime))...)
	if sp.GetSLOBindingLocation(saml.HTTPRedirectBinding) == "" {
		nonce := rand.Text()
		return page(http.StatusOK, "signed_out", q.PostWithNonce(a.State, nonce), nonce, opts...), nil
	}
	to, err := sp.RedirectLogoutRequestURL(q, a.State)
	if err != nil {
		return filter.Action{}, err
	}
	return reply(http.StatusSeeOther, "signed_out", "", append(opts, filter.WithHeader("location", to.String()))...), nil
}

// serviceAsked takes what the identity provider says of signing out, by a query or a form: that a user has signed out there, or
// whether it has done what leave wanted.
func (p *SAML) serviceAsked(s filter.Stream, h filter.RequestHeaders, query, form string) filter.Action {
	const bad = "this is not a message about signing out"
	f, err := url.ParseQuery(query + form)
	if err != nil || len(query) > maxForm || len(f["RelayState"]) > 1 || len(f.Get("RelayState")) > maxRelay || len(f["SAMLRequest"])+len(f["SAMLResponse"]) != 1 {
		return p.refuse("logout_message", http.StatusBadRequest, bad)
	}
	r, err := http.NewRequest(http.MethodGet, p.at(p.Logout.Service).String(), strings.NewReader(form))
	if err != nil {
		return filter.Fail(err)
	}
	if r.URL.RawQuery = query; query == "" {
		r.Method = http.MethodPost
		r.Header.Set("content-type", "application/x-www-form-urlencoded")
	}
	j := p.cookies.Read(h)
	return filter.Go(func(ctx context.Context) filter.Action {
		sp := p.idp.wait(ctx)
		if sp == nil || !p.turn(ctx) {
			return p.unavailable()
		}
		defer p.done()
		if f.Has("SAMLResponse") {
			return p.answered(s, sp, r, j, f.Get("RelayState"))
		}
		q, err := sp.ValidateLogoutRequest(r)
		if err != nil {
			s.Log().Warn("the identity provider's request to sign out is refused", "error", reasonOf(err))
			return p.refuse("logout_message", http.StatusForbidden, bad)
		}
		return p.end(s, sp, q, j, f.Get("RelayState"))
	})
}

// answered takes the identity provider's answer to leave. The session here has ended before.
func (p *SAML) answered(s filter.Stream, sp *saml.ServiceProvider, r *http.Request, j signin.Jar, state string) filter.Action {
	var a attempt
	if p.keys.Open("logout", j.State(state), &a, p.clock.Now()) != nil || a.State != state {
		return p.refuse("state", http.StatusBadRequest, "this sign-out was not begun here, or too long ago")
	}
	once := filter.WithCookie(p.cookies.Ended(state))
	if _, err := sp.ParseLogoutResponse(r, []string{a.Request}); err != nil {
		s.Log().Warn("the identity provider has not signed a user out", "error", reasonOf(err))
		return p.refuse("logout_message", http.StatusForbidden, "signed out here, but not at the identity provider", once)
	}
	return p.out([]filter.ReplyOption{once})
}

// end ends the sessions that the identity provider has ended, in this browser and elsewhere, and says so.
func (p *SAML) end(s filter.Stream, sp *saml.ServiceProvider, q *saml.LogoutRequest, j signin.Jar, relay string) filter.Action {
	var indexes []string
	for _, x := range q.AllSessionIndexes() {
		indexes = append(indexes, x.Value)
	}
	status := saml.Status{StatusCode: saml.StatusCode{Value: saml.StatusSuccess}}
	if p.ended.add(sp.IDPMetadata.EntityID, q.NameID.Value, indexes, p.clock.Now(), p.Lifetime) {
		p.endedBy.Inc()
	} else {
		s.Log().Error("cannot end a session: too many have ended of late")
		status.StatusCode.Value = saml.StatusResponder
	}
	var opts []filter.ReplyOption
	var u session
	if now := p.clock.Now(); p.keys.Open("session", j.Session, &u, now) == nil && p.ended.has(&u, now) {
		opts = signin.With(p.cookies.NoSession(j))
	}
	if sp.GetSLOBindingLocation(saml.HTTPRedirectBinding) != "" {
		to, err := sp.MakeRedirectLogoutResponseWithStatus(q.ID, relay, status)
		if err != nil {
			return filter.Fail(err)
		}
		return reply(http.StatusSeeOther, "ended", "", append(opts, filter.WithHeader("location", to.String()))...)
	}
	answer, err := sp.MakeLogoutResponseWithStatus(sp.GetSLOBindingLocation(saml.HTTPPostBinding), q.ID, status)
	if err != nil {
		return filter.Fail(err)
	}
	nonce := rand.Text()
	return page(http.StatusOK, "ended", answer.PostWithNonce(relay, nonce), nonce, opts...)
}
