package saml

import (
	"context"
	"encoding/xml"
	"net/http"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/origin"
	"mosn.io/moe/plugins/internal/signin"
)

// maxForm is how many bytes a form may have that the identity provider has browsers post.
const maxForm = 256 << 10

// stream has what becomes of a form when it is there.
type stream struct {
	p    *SAML
	form func(s filter.Stream, h filter.RequestHeaders, text string) filter.Action
}

func (p *SAML) newStream(filter.Stream) *stream { return &stream{p: p} }

// OnRequestHeaders lets users in who have a session, and sends others to the identity provider.
func (st *stream) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, endStream bool) filter.Action {
	p := st.p
	p.Strip(h)
	path, query, _ := strings.Cut(h.Path(), "?")
	switch {
	case origin.SamePath(path, p.acsPath):
		if h.Method() != http.MethodPost {
			return wrongMethod("POST")
		}
		return st.wait(h, endStream, p.consume)
	case origin.SamePath(path, p.MetadataPath):
		return p.tell(h)
	case origin.SamePath(path, p.Logout.Service):
		switch h.Method() {
		case http.MethodGet:
			return p.serviceAsked(s, h, query, "")
		case http.MethodPost:
			return st.wait(h, endStream, func(s filter.Stream, h filter.RequestHeaders, text string) filter.Action {
				return p.serviceAsked(s, h, "", text)
			})
		}
		return wrongMethod("GET, POST")
	case origin.SamePath(path, p.Logout.Path):
		return p.logout(s, h)
	case origin.SamePath(path, p.Login):
		return p.signIn(h, p.cookies.Read(h), signin.ReturnTo(query, p.here()), nil)
	}
	return p.admit(s, h)
}

// wait waits for a form.
func (st *stream) wait(h filter.RequestHeaders, endStream bool,
	then func(s filter.Stream, h filter.RequestHeaders, text string) filter.Action,
) filter.Action {
	kind, _, _ := strings.Cut(h.Get("content-type"), ";")
	if endStream || !strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
		return st.p.refuse("form", http.StatusBadRequest, "a form is expected")
	}
	st.form = then
	return filter.WaitPrefix(maxForm + 1)
}

// OnRequest takes a form.
func (st *stream) OnRequest(s filter.Stream, h filter.RequestHeaders, b filter.Body) filter.Action {
	if st.form == nil {
		return filter.Continue
	}
	if !b.Complete() || b.Len() > maxForm {
		return st.p.refuse("form", http.StatusRequestEntityTooLarge, "the form is too long")
	}
	return st.form(s, h, string(b.Bytes()))
}

// admit lets a request pass that has a session.
func (p *SAML) admit(s filter.Stream, h filter.RequestHeaders) filter.Action {
	j := p.cookies.Read(h)
	if j.Session == "" {
		return p.signInOr(h, j, filter.Unauthenticated)
	}
	again := func(reason string) filter.Action {
		p.refused.With(reason).Inc()
		return p.signInOr(h, j, func(a filter.Action) filter.Action { return a })
	}
	var u session
	now := p.clock.Now()
	if p.keys.Open("session", j.Session, &u, now) != nil {
		s.Log().Info("a session's cookie cannot be opened")
		return again("session")
	}
	switch {
	case !now.Before(u.expires(p)):
		return again("expired")
	case p.ended.has(&u, now):
		return again("ended")
	}
	if sp := p.idp.current.Load(); sp != nil && sp.IDPMetadata.EntityID != u.Issuer {
		return again("session") // of another identity provider, which was configured before
	}
	ms, err := claims.Object(nil, u.Claims)
	if err != nil {
		return again("session")
	}
	d, err := p.Describe(u.Issuer, ms)
	if err != nil {
		return p.refuse("claim", http.StatusForbidden, "a claim cannot be passed on")
	}
	if !p.Tell(s, h, &d) {
		return p.refuse("consumer", http.StatusForbidden, "you are not known here")
	}
	p.cookies.Hide(h)
	return filter.Continue
}

// tell says what this service is.
func (p *SAML) tell(h filter.RequestHeaders) filter.Action {
	if m := h.Method(); m != http.MethodGet && m != http.MethodHead {
		return wrongMethod("GET, HEAD")
	}
	return filter.Go(func(context.Context) filter.Action {
		sp := p.idp.self.Load()
		text, err := xml.MarshalIndent(sp.Metadata(), "", "  ")
		if err != nil {
			return filter.Fail(err)
		}
		return filter.Reply(http.StatusOK, append([]byte(xml.Header), text...),
			filter.WithHeader("content-type", "application/samlmetadata+xml"), filter.WithDetails("moe.saml.metadata"))
	})
}

// reply is an answer that must not be cached.
func reply(status int, details, text string, opts ...filter.ReplyOption) filter.Action {
	opts = append(opts, filter.WithDetails("moe.saml."+details), filter.WithHeader("cache-control", "no-store"))
	return filter.Reply(status, text, opts...)
}

// refuse counts and answers a request that goes no further.
func (p *SAML) refuse(reason string, status int, text string, opts ...filter.ReplyOption) filter.Action {
	p.refused.With(reason).Inc()
	return reply(status, reason, text, opts...)
}

func (p *SAML) unavailable() filter.Action {
	return p.refuse("provider", http.StatusServiceUnavailable, "the identity provider is not available",
		filter.WithHeader("retry-after", "5"))
}

// wrongMethod answers a request for one of the plugin's own paths.
func wrongMethod(allowed string) filter.Action {
	return reply(http.StatusMethodNotAllowed, "method", "method not allowed", filter.WithHeader("allow", allowed))
}

// page is a form of the library's that a script in it posts to the identity provider.
func page(status int, details string, form []byte, nonce string, opts ...filter.ReplyOption) filter.Action {
	opts = append(opts, filter.WithHeader("content-type", "text/html; charset=utf-8"),
		filter.WithHeader("content-security-policy", "default-src 'none'; script-src 'nonce-"+nonce+"'; frame-ancestors 'self'"))
	return reply(status, details, "<!DOCTYPE html><html><body>"+string(form)+"</body></html>", opts...)
}
