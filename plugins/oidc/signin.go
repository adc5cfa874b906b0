package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/origin"
	"mosn.io/moe/plugins/internal/signin"
)

const (
	// signInTime is how long a user may take to sign in.
	signInTime = 10 * time.Minute
	// maxQuery is how long the query of the provider's answer may be.
	maxQuery = 8 << 10
)

// attempt is what the browser keeps while its user signs in.
type attempt struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"` // RFC 7636
	Back     string `json:"b"`
}

// here is the origin of this service.
func (o *OIDC) here() string { return o.Redirect.Scheme + "://" + o.Redirect.Host }

// signInOr sends a browser that asks for a page to the provider, and answers others with 401: a script cannot follow
// to a page to sign in at. wrap gets the answer.
func (o *OIDC) signInOr(s filter.Stream, h filter.RequestHeaders, j signin.Jar, wrap func(filter.Action) filter.Action,
) filter.Action {
	if signin.Navigates(h) {
		return o.signIn(s, h, j, signin.SafePath(h.Path()), wrap)
	}
	return wrap(reply(http.StatusUnauthorized, "sign_in", "sign in first", o.cookies.Unauthorized(j)...))
}

// signIn sends the browser to the provider, at once where it is known where that is.
func (o *OIDC) signIn(s filter.Stream, h filter.RequestHeaders, j signin.Jar, back string,
	wrap func(filter.Action) filter.Action,
) filter.Action {
	if wrap == nil {
		wrap = func(a filter.Action) filter.Action { return a }
	}
	if to := o.cookies.Elsewhere(h, o.here()); to != "" {
		return wrap(reply(http.StatusFound, "host", "", filter.WithHeader("location", to)))
	}
	if m := o.provider.meta.Load(); m != nil {
		return wrap(o.begin(s, m, j, back))
	}
	return filter.Go(func(ctx context.Context) filter.Action {
		if m := o.provider.wait(ctx); m != nil {
			return wrap(o.begin(s, m, j, back))
		}
		return wrap(o.unavailable())
	})
}

func (o *OIDC) begin(s filter.Stream, m *metadata, j signin.Jar, back string) filter.Action {
	if path, _, _ := strings.Cut(back, "?"); origin.SamePath(path, o.callbackPath) ||
		origin.SamePath(path, o.Logout.Path) || origin.SamePath(path, o.Login) {
		back = "/"
	}
	a := attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Back: back}
	text, err := o.keys.Seal("state", a, time.Now().Add(signInTime))
	if err != nil {
		return filter.Fail(err)
	}
	to := m.oauth.AuthCodeURL(a.State, append(o.parameters(), oauth2.S256ChallengeOption(a.Verifier),
		oauth2.SetAuthURLParam("nonce", a.Nonce))...)
	opts := signin.With(append(o.cookies.Begun(a.State, text, j, signInTime), o.cookies.NoSession(j)...))
	return reply(http.StatusFound, "sign_in", "", append(opts, filter.WithHeader("location", to))...)
}

// callback takes the provider's answer.
func (o *OIDC) callback(s filter.Stream, h filter.RequestHeaders, query string, j signin.Jar) filter.Action {
	if h.Method() != http.MethodGet {
		return wrongMethod("GET")
	}
	bad := func(reason, text string, status int, more ...filter.ReplyOption) filter.Action {
		o.refused.With(reason).Inc()
		s.Log().Info("a sign-in is refused", "reason", reason)
		return reply(status, reason, text, append(more, filter.WithHeader("referrer-policy", "no-referrer"))...)
	}
	const notHere = "this sign-in was not begun here, or too long ago"
	q, err := url.ParseQuery(query)
	if err != nil || len(query) > maxQuery || len(q["state"]) != 1 || len(q["code"]) > 1 ||
		len(q["iss"]) > 1 || len(q["error"]) > 1 {
		return bad("state", notHere, http.StatusBadRequest)
	}
	state := q.Get("state")
	var a attempt
	if o.keys.Open("state", j.State(state), &a, time.Now()) != nil || state == "" ||
		subtle.ConstantTimeCompare([]byte(a.State), []byte(state)) != 1 {
		return bad("state", notHere, http.StatusBadRequest)
	}
	once := filter.WithCookie(o.cookies.Ended(state)) // a state is good once
	const foreign = "the answer is of another provider"
	switch {
	case q.Has("iss") && q.Get("iss") != o.Issuer.String(): // RFC 9207
		return bad("issuer", foreign, http.StatusBadRequest, once)
	case q.Get("code") == "" || q.Has("error"):
		return bad("denied", "the provider did not sign you in", http.StatusForbidden, once)
	}
	return filter.Go(func(ctx context.Context) filter.Action {
		m := o.provider.wait(ctx)
		if m == nil {
			return o.unavailable()
		}
		if m.saysIssuer && !q.Has("iss") {
			return bad("issuer", foreign, http.StatusBadRequest, once)
		}
		u, err := o.provider.exchange(ctx, m, q.Get("code"), &a)
		switch {
		case errors.Is(err, errEnded):
			return bad("code", "the provider does not take its code back; sign in again", http.StatusBadRequest, once)
		case errors.Is(err, errToken):
			s.Log().Warn("the provider's tokens are refused", "error", err)
			return bad("id_token", "the provider's answer is not good", http.StatusBadGateway, once)
		case err != nil:
			o.failed.Inc()
			s.Log().Warn("cannot get tokens", "error", err)
			return o.unavailable()
		}
		text, err := o.keys.Seal("session", u, u.expires(o))
		if err != nil {
			return filter.Fail(err)
		}
		o.signedIn.Inc()
		status, body, opts := o.cookies.Onward(a.Back)
		opts = append(append(opts, once), signin.With(o.cookies.Session(text, j, o.Lifetime))...)
		return reply(status, "signed_in", body, opts...)
	})
}

// logout ends a session, and the provider's if that is wanted.
func (o *OIDC) logout(s filter.Stream, h filter.RequestHeaders, j signin.Jar) filter.Action {
	if m := h.Method(); m != http.MethodGet && m != http.MethodPost {
		return wrongMethod("GET, POST")
	}
	if !signin.MeansIt(h, o.Cookie.Domain != "") {
		o.refused.With("logout").Inc()
		return reply(http.StatusForbidden, "logout", "only a page of this site can sign you out")
	}
	opts := signin.With(o.cookies.NoSession(j))
	o.signedOut.Inc()
	to := ""
	if o.Logout.Redirect != nil {
		to = o.Logout.Redirect.String()
	}
	finish := func(to string) filter.Action {
		if to == "" {
			return reply(http.StatusOK, "signed_out", "signed out", opts...)
		}
		return reply(http.StatusFound, "signed_out", "", append(opts, filter.WithHeader("location", to))...)
	}
	if !o.Logout.Provider {
		return finish(to)
	}
	var u session
	_ = o.keys.Open("session", j.Session, &u, time.Now()) // without a session there is no hint
	return filter.Go(func(ctx context.Context) filter.Action {
		m := o.provider.wait(ctx)
		if m == nil || m.endSession == "" {
			s.Log().Warn("cannot sign a user out at the provider")
			return finish(safeOrNothing(to))
		}
		end, err := url.Parse(m.endSession)
		if err != nil {
			return filter.Fail(err)
		}
		q := end.Query()
		q.Set("client_id", o.ClientID)
		if u.ID != "" {
			q.Set("id_token_hint", u.ID)
		}
		if to != "" {
			q.Set("post_logout_redirect_uri", o.Redirect.ResolveReference(o.Logout.Redirect).String())
		}
		end.RawQuery = q.Encode()
		return finish(end.String())
	})
}

// wrongMethod answers a request for one of the plugin's own paths.
func wrongMethod(allowed string) filter.Action {
	return reply(http.StatusMethodNotAllowed, "method", "method not allowed", filter.WithHeader("allow", allowed))
}

func safeOrNothing(to string) string {
	if signin.SafePath(to) != to {
		return ""
	}
	return to
}
