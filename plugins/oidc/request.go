package oidc

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/origin"
	"mosn.io/moe/plugins/internal/signin"
)

// stream has the cookies that the response is to set.
type stream struct {
	o   *OIDC
	set []*http.Cookie
}

func (o *OIDC) newStream(filter.Stream) *stream { return &stream{o: o} }

// OnRequestHeaders lets users in who have a session, and sends others to the provider.
func (st *stream) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	o := st.o
	o.Strip(h)
	if o.IDTokenHeader != "" {
		h.Del(o.IDTokenHeader)
	}
	path, query, _ := strings.Cut(h.Path(), "?")
	j := o.cookies.Read(h)
	switch {
	case origin.SamePath(path, o.callbackPath):
		return o.callback(s, h, query, j)
	case origin.SamePath(path, o.Logout.Path):
		return o.logout(s, h, j)
	case origin.SamePath(path, o.Login):
		return o.signIn(s, h, j, signin.ReturnTo(query, o.here()), nil)
	}
	now := time.Now()
	var u session
	if j.Session == "" {
		return o.absent(s, h, j)
	}
	if o.keys.Open("session", j.Session, &u, now) != nil {
		s.Log().Info("a session's cookie cannot be opened")
		return o.again(s, h, j, "session")
	}
	if !now.Before(u.expires(o)) {
		return o.again(s, h, j, "expired")
	}
	switch {
	case !u.stale(now):
	case u.Refresh != "":
		return st.refresh(s, h, j, &u)
	case o.ForwardAccessToken:
		return o.again(s, h, j, "expired")
	}
	return o.accept(s, h, j, &u)
}

// absent answers a request without a session: other plugins may know who it is.
func (o *OIDC) absent(s filter.Stream, h filter.RequestHeaders, j signin.Jar) filter.Action {
	return o.signInOr(s, h, j, filter.Unauthenticated)
}

// again answers a request whose session is over.
func (o *OIDC) again(s filter.Stream, h filter.RequestHeaders, j signin.Jar, reason string) filter.Action {
	o.refused.With(reason).Inc()
	return o.signInOr(s, h, j, func(a filter.Action) filter.Action { return a })
}

// accept lets a request pass, and tells the upstream who it is.
func (o *OIDC) accept(s filter.Stream, h filter.RequestHeaders, j signin.Jar, u *session) filter.Action {
	ms, err := claims.Object(nil, u.Claims)
	if err != nil { // of a session that an older version has let in
		return o.again(s, h, j, "session")
	}
	d, err := o.Describe(o.Issuer.String(), ms)
	if err != nil {
		o.refused.With("claim").Inc()
		return reply(http.StatusForbidden, "claim", "a claim cannot be passed on")
	}
	if !o.Tell(s, h, &d) {
		o.refused.With("consumer").Inc()
		return reply(http.StatusForbidden, "consumer", "you are not known here")
	}
	o.cookies.Hide(h)
	if o.ForwardAccessToken {
		h.Set("authorization", "Bearer "+u.Access)
	}
	if o.IDTokenHeader != "" && u.ID != "" {
		h.Set(o.IDTokenHeader, u.ID)
	}
	return filter.Continue
}

// refresh gets new tokens first.
func (st *stream) refresh(s filter.Stream, h filter.RequestHeaders, j signin.Jar, u *session) filter.Action {
	o := st.o
	return filter.Go(func(ctx context.Context) filter.Action {
		m := o.provider.wait(ctx)
		if m == nil {
			return o.unavailable()
		}
		x := o.renewed(ctx, m, u)
		switch {
		case errors.Is(x.err, errDown):
			o.failed.Inc()
			s.Log().Warn("cannot refresh a session", "error", x.err)
			return o.unavailable()
		case x.err != nil:
			s.Log().Info("a session is not refreshed", "error", x.err)
			return o.again(s, h, j, "ended")
		}
		st.set = o.cookies.Session(x.text, j, time.Until(x.session.expires(o)))
		return o.accept(s, h, j, x.session)
	})
}

// renewed returns what became of a session whose access token is over. If what another request got for the refresh token
// is over as well by now, it goes on with the refresh token that came with it: providers take each once only.
func (o *OIDC) renewed(ctx context.Context, m *metadata, u *session) *refresh {
	for range maxLinks {
		x := o.fresh.do(ctx, u.Refresh, o.background, func() (*session, string, error) { return o.renew(m, u) })
		if x.err != nil || !x.session.stale(time.Now()) || x.recent(time.Now()) || x.session.Refresh == "" {
			return x
		}
		u = x.session
	}
	return &refresh{err: errEnded}
}

// background runs f without regard to the stream that asked for it, because others may wait for the same result.
func (o *OIDC) background(f func()) bool {
	return o.provider.env.Go(func(context.Context) { f() })
}

func (o *OIDC) renew(m *metadata, old *session) (*session, string, error) {
	ctx, cancel := context.WithTimeout(o.provider.env.Context(), o.provider.client.Timeout)
	defer cancel()
	u, err := o.provider.renew(ctx, m, old)
	if err != nil {
		return nil, "", err
	}
	text, err := o.keys.Seal("session", u, u.expires(o))
	if err == nil {
		o.refreshed.Inc()
	}
	return u, text, err
}

// OnResponseHeaders hands over a session that was refreshed.
func (st *stream) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	for _, c := range st.set {
		h.SetCookie(c)
	}
	return filter.Continue
}

// reply is an answer that must not be cached.
func reply(status int, details, text string, opts ...filter.ReplyOption) filter.Action {
	opts = append(opts, filter.WithDetails("moe.oidc."+details), filter.WithHeader("cache-control", "no-store"))
	return filter.Reply(status, text, opts...)
}

func (o *OIDC) unavailable() filter.Action {
	o.refused.With("provider").Inc()
	return reply(http.StatusServiceUnavailable, "provider", "the identity provider is not available",
		filter.WithHeader("retry-after", "5"))
}
