// Package csrf refuses requests that a page of another site makes a browser send.
package csrf

import (
	"embed"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/origin"
)

// CSRF refuses requests that change something unless they come from a page of this host, or of an origin that is
// allowed. With a token it demands besides that the page could read a cookie of this host.
type CSRF struct {
	// SafeMethods are those that change nothing, so that anybody may make a browser send them.
	SafeMethods []string `json:"safeMethods" default:"GET,HEAD,OPTIONS,TRACE"`
	// AllowOrigins are the origins of other pages that may send requests: https://a.example, https://*.example.
	AllowOrigins []string `json:"allowOrigins"`
	// AllowOriginRegexp are patterns (RE2) that such an origin must match as a whole.
	AllowOriginRegexp []*regexp.Regexp `json:"allowOriginRegexp"`
	// AllowMissingOrigin lets requests pass that say nothing about where they come from, such as those of programs.
	AllowMissingOrigin bool `json:"allowMissingOrigin"`
	// Token demands a token in a header (double submit) beside the check of the origin.
	Token *Token `json:"token"`
	// ReportOnly logs and counts what would be refused, and lets it pass.
	ReportOnly bool `json:"reportOnly"`

	origins                                    origin.Set
	missingOrigin, invalidOrigin, invalidToken *filter.Counter
}

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.RegisterPerStream("csrf", filter.Authz, (*CSRF).newStream, filter.Docs(docs)) }

// Validate refuses origins and names that no request can have.
func (c *CSRF) Validate() error {
	var errs []error
	for i, m := range c.SafeMethods {
		if err := fieldname.CheckMethod(m); err != nil {
			errs = append(errs, fmt.Errorf("safeMethods[%d]: %w", i, err))
		}
	}
	if slices.Contains(c.AllowOrigins, origin.Null) {
		errs = append(errs, errors.New("allowOrigins: null is what any page can make a browser send"))
	} else if origins, err := origin.Parse(c.AllowOrigins, nil); err != nil {
		errs = append(errs, fmt.Errorf("allowOrigins: %w", err))
	} else if entry, any := origins.Any(); any {
		errs = append(errs, fmt.Errorf("allowOrigins: anybody can register a domain of %s, so it protects from nothing", entry))
	}
	patterns, err := origin.Parse(nil, c.AllowOriginRegexp)
	if err != nil {
		errs = append(errs, fmt.Errorf("allowOriginRegexp: %w", err))
	} else if entry, any := patterns.Any(); any {
		errs = append(errs, fmt.Errorf("allowOriginRegexp: a pattern that any origin matches, or any domain that anybody can "+
			"register, protects from nothing: %s; escape dots and write out the domain", entry))
	}
	if c.Token != nil {
		errs = append(errs, c.Token.validate())
	}
	return errors.Join(errs...)
}

// ReadsCredentials is that of filter.CredentialReader.
func (c *CSRF) ReadsCredentials() filter.CredentialPlaces {
	if c.Token == nil {
		return filter.CredentialPlaces{}
	}
	return filter.CredentialPlaces{Headers: []string{c.Token.Header}, Cookies: []string{c.Token.Cookie}}
}

// Provision declares the counters.
func (c *CSRF) Provision(env *filter.Env) (err error) {
	if c.origins, err = origin.Parse(c.AllowOrigins, c.AllowOriginRegexp); err != nil {
		return err
	}
	if c.Token != nil {
		c.Token.provision()
	}
	c.missingOrigin, c.invalidOrigin = env.Counter("missing_origin"), env.Counter("invalid_origin")
	c.invalidToken = env.Counter("invalid_token")
	return nil
}

var (
	noOrigin  = filter.Reply(403, "missing origin", filter.WithDetails("moe.csrf.missing_origin"))
	badOrigin = filter.Reply(403, "invalid origin", filter.WithDetails("moe.csrf.invalid_origin"))
	badToken  = filter.Reply(403, "invalid CSRF token", filter.WithDetails("moe.csrf.invalid_token"))
)

// stream remembers whether the client is to be given a token.
type stream struct {
	c    *CSRF
	give bool
	bind string // what the token is bound to
}

func (c *CSRF) newStream(filter.Stream) *stream { return &stream{c: c} }

// OnRequestHeaders checks requests that change something.
func (st *stream) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	c := st.c
	safe := slices.Contains(c.SafeMethods, h.Method())
	var token string
	if c.Token != nil {
		var renew bool
		st.bind = c.Token.bind(h)
		token, renew = c.Token.cookie(h, st.bind)
		st.give = renew && safe
	}
	if safe {
		return filter.Continue
	}
	switch source, allowed := c.source(h); {
	case allowed:
	case source == "" && c.AllowMissingOrigin:
	case source == "":
		c.missingOrigin.Inc()
		return c.refuse(s, noOrigin, "the request does not say which page it comes from")
	default:
		c.invalidOrigin.Inc()
		return c.refuse(s, badOrigin, "the request comes from another origin")
	}
	if c.Token != nil && !c.Token.submitted(h, token) {
		c.invalidToken.Inc()
		return c.refuse(s, badToken, "the request has no valid token")
	}
	return filter.Continue
}

func (c *CSRF) refuse(s filter.Stream, reply filter.Action, why string) filter.Action {
	if c.ReportOnly {
		s.Log().Warn("would be refused", "reason", why)
		return filter.Continue
	}
	return reply
}

// source returns where a request comes from, "" where it does not say, and whether that is allowed. What it says in
// one place is not excused by what it says in another.
func (c *CSRF) source(h filter.RequestHeaders) (from string, allowed bool) {
	if h.Has("origin") {
		vs := h.Values("origin")
		if len(vs) != 1 {
			return "(several)", false
		}
		if vs[0] == "" {
			return "(empty)", false
		}
		if vs[0] == origin.Null && sameOrigin(h) {
			return vs[0], true
		}
		return vs[0], c.known(vs[0], h.Host())
	}
	if h.Has("referer") {
		from, ok := origin.Of(h.Get("referer"))
		if !ok || len(h.Values("referer")) != 1 {
			return "(no address)", false
		}
		return from, c.known(from, h.Host())
	}
	if !h.Has("sec-fetch-site") {
		return "", false
	}
	switch sites := h.Values("sec-fetch-site"); {
	case len(sites) != 1:
		return "(several)", false
	case sites[0] == "":
		return "(empty)", false
	case sites[0] == "same-origin", sites[0] == "none": // none: the user has typed it in
		return sites[0], true
	default:
		return sites[0], false
	}
}

// sameOrigin reports whether the browser says that a page of this very origin sends the request. It says so beside an Origin
// of null for a form of a page whose referrer policy is no-referrer, and for no page whose origin is opaque.
func sameOrigin(h filter.RequestHeaders) bool {
	sites := h.Values("sec-fetch-site")
	return len(sites) == 1 && sites[0] == "same-origin"
}

func (c *CSRF) known(from, host string) bool {
	return origin.SameHost(from, host) || c.origins.Has(from)
}

// OnResponseHeaders gives a new client its token.
func (st *stream) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	if st.give {
		h.SetCookie(st.c.Token.issue(st.bind))
	}
	return filter.Continue
}
