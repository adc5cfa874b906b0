package saml

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/crewjam/saml"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/signin"
)

// signInTime is how long a user may take to sign in, or out.
const signInTime = 10 * time.Minute

// attempt is what the browser keeps while its user signs in, or out at the identity provider.
type attempt struct {
	State   string `json:"s"`
	Request string `json:"r"` // the ID of what was sent to the identity provider
	Back    string `json:"b"`
}

// signInOr sends a browser that asks for a page to the identity provider, and answers others with 401. wrap gets the answer.
func (p *SAML) signInOr(h filter.RequestHeaders, j signin.Jar, wrap func(filter.Action) filter.Action) filter.Action {
	if signin.Navigates(h) {
		return p.signIn(h, j, signin.SafePath(h.Path()), wrap)
	}
	return wrap(reply(http.StatusUnauthorized, "sign_in", "sign in first", p.cookies.Unauthorized(j)...))
}

// signIn sends the browser to the identity provider.
func (p *SAML) signIn(h filter.RequestHeaders, j signin.Jar, back string, wrap func(filter.Action) filter.Action,
) filter.Action {
	if wrap == nil {
		wrap = func(a filter.Action) filter.Action { return a }
	}
	if to := p.cookies.Elsewhere(h, p.here()); to != "" {
		return wrap(reply(http.StatusFound, "host", "", filter.WithHeader("location", to)))
	}
	if p.ours(back) {
		back = "/"
	}
	return filter.Go(func(ctx context.Context) filter.Action { // signing takes its time
		sp := p.idp.wait(ctx)
		if sp == nil {
			return wrap(p.unavailable())
		}
		a, err := p.begin(sp, j, back)
		if err != nil {
			return filter.Fail(err)
		}
		return wrap(a)
	})
}

func (p *SAML) begin(sp *saml.ServiceProvider, j signin.Jar, back string) (filter.Action, error) {
	binding, to := saml.HTTPRedirectBinding, destination(sp)
	if sp.GetSSOBindingLocation(binding) == "" {
		binding = saml.HTTPPostBinding
	}
	q, err := sp.MakeAuthenticationRequest(to, binding, saml.HTTPPostBinding)
	if err != nil {
		return filter.Action{}, err
	}
	a := attempt{State: rand.Text(), Request: q.ID, Back: back}
	text, err := p.keys.Seal("state", a, p.clock.Now().Add(signInTime))
	if err != nil {
		return filter.Action{}, err
	}
	opts := signin.With(append(p.cookies.Begun(a.State, text, j, signInTime), p.cookies.NoSession(j)...))
	if binding == saml.HTTPPostBinding {
		nonce := rand.Text()
		return page(http.StatusOK, "sign_in", q.PostWithNonce(a.State, nonce), nonce, opts...), nil
	}
	u, err := q.Redirect(a.State, sp)
	if err != nil {
		return filter.Action{}, err
	}
	return reply(http.StatusFound, "sign_in", "", append(opts, filter.WithHeader("location", u.String()))...), nil
}

// consume takes the identity provider's answer.
func (p *SAML) consume(s filter.Stream, h filter.RequestHeaders, text string) filter.Action {
	bad := func(reason string, status int, say string, more ...filter.ReplyOption) filter.Action {
		s.Log().Info("a sign-in is refused", "reason", reason)
		return p.refuse(reason, status, say, more...)
	}
	const notHere = "this sign-in was not begun here, or too long ago"
	f, err := url.ParseQuery(text)
	if err != nil || len(f["SAMLResponse"]) != 1 || len(f["RelayState"]) != 1 {
		return bad("state", http.StatusBadRequest, notHere)
	}
	j := p.cookies.Read(h)
	state := f.Get("RelayState")
	var a attempt
	if state == "" || p.keys.Open("state", j.State(state), &a, p.clock.Now()) != nil || a.State != state {
		return bad("state", http.StatusBadRequest, notHere)
	}
	once := filter.WithCookie(p.cookies.Ended(state)) // a state is good once
	return filter.Go(func(ctx context.Context) filter.Action {
		sp := p.idp.wait(ctx)
		if sp == nil || !p.turn(ctx) {
			return p.unavailable()
		}
		defer p.done()
		u, err := p.session(sp, f.Get("SAMLResponse"), a.Request)
		var status saml.ErrBadStatus
		switch {
		case err == nil:
		case errors.As(err, &status):
			return bad("denied", http.StatusForbidden, "the identity provider did not sign you in", once)
		case errors.Is(err, errFull):
			return bad("full", http.StatusServiceUnavailable, "too many sign-ins", once)
		default:
			s.Log().Warn("the identity provider's answer is refused", "error", reasonOf(err))
			return bad("assertion", http.StatusForbidden, "the identity provider's answer is not good; sign in again", once)
		}
		text, err := p.keys.Seal("session", u, u.expires(p))
		if err != nil {
			return filter.Fail(err)
		}
		p.signedIn.Inc()
		code, body, opts := p.cookies.Onward(a.Back)
		opts = append(append(opts, once), signin.With(p.cookies.Session(text, j, u.expires(p).Sub(p.clock.Now())))...)
		return reply(code, "signed_in", body, opts...)
	})
}

// turn waits until a message may be checked. Checking takes long, and anybody can send messages, so that few are checked at a time.
func (p *SAML) turn(ctx context.Context) bool {
	select {
	case p.checks <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *SAML) done() { <-p.checks }

// session returns the session of an answer to a request, if the answer is good.
func (p *SAML) session(sp *saml.ServiceProvider, answer, request string) (*session, error) {
	text, err := base64.StdEncoding.DecodeString(answer)
	if err != nil {
		return nil, errors.New("it is not base64")
	}
	if bytes.Contains(text, []byte("<!DOCTYPE")) { // which no message has (SAML Core, section 1.1)
		return nil, errors.New("it has a document type")
	}
	a, err := sp.ParseXMLResponse(text, []string{request}, *p.ACS)
	if err != nil {
		return nil, err
	}
	return p.newSession(sp, a)
}

// reasonOf says why an answer is refused. The text is the library's and quotes no more than addresses, names and times, which are of
// use to operators, but may be the client's: it is cut.
func reasonOf(err error) string {
	var invalid *saml.InvalidResponseError
	if errors.As(err, &invalid) && invalid.PrivateErr != nil {
		err = invalid.PrivateErr
	}
	const most = 300
	text := err.Error()
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}
