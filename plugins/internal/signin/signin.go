// Package signin is what plugins have in common that sign users in by their browsers: sessions in sealed cookies, sign-ins that are
// under way, which requests ask for pages, and where users may be led.
package signin

import (
	"html"
	"net/http"
	"net/url"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/origin"
)

// Navigates reports whether a browser asks for a page.
func Navigates(h filter.RequestHeaders) bool {
	if m := h.Method(); m != http.MethodGet && m != http.MethodHead {
		return false
	}
	if mode := h.Get("sec-fetch-mode"); mode != "" {
		return mode == "navigate"
	}
	return !strings.EqualFold(h.Get("x-requested-with"), "XMLHttpRequest") &&
		strings.Contains(h.Get("accept"), "text/html")
}

// MeansIt reports whether a request to sign out comes from a page of this origin, or of this site where the session is a domain's,
// or from the user. Browsers say where a request comes from, each in one of these headers at least; a client that sends none of them
// is not a browser, or one from before 2023.
func MeansIt(h filter.RequestHeaders, domain bool) bool {
	for _, name := range []string{"sec-purpose", "purpose", "x-moz"} {
		if strings.Contains(strings.ToLower(h.Get(name)), "prefetch") {
			return false // the browser guesses where the user will go
		}
	}
	if site := h.Get("sec-fetch-site"); site != "" {
		return site == "same-origin" || site == "none" || site == "same-site" && domain
	}
	from := h.Get("origin")
	if from == "" && h.Has("referer") {
		from, _ = origin.Of(h.Get("referer"))
		return origin.SameHost(from, h.Host())
	}
	return from == "" || origin.SameHost(from, h.Host())
}

// ReturnTo is where the user wants to be after signing in, by the parameter return of a query: an address of the origin here, or "/".
func ReturnTo(query, here string) string {
	q, err := url.ParseQuery(query)
	if err != nil || len(q["return"]) != 1 {
		return "/"
	}
	v := q.Get("return")
	if rest, ok := strings.CutPrefix(v, here); ok && (rest == "" || rest[0] == '/') {
		v = rest
	}
	return SafePath(v)
}

// Onward returns the status, the body and the headers of the answer that sets a session and leads to the path back. Browsers do not
// send a cookie whose sameSite is strict along with a redirect that began at another site, such as the provider's. With it, the answer
// is a page of this site that goes on.
func (c *Cookies) Onward(back string) (status int, body string, header []filter.ReplyOption) {
	none := filter.WithHeader("referrer-policy", "no-referrer")
	if c.SameSite != "strict" {
		status := http.StatusFound
		if c.StatesArePosted {
			status = http.StatusSeeOther
		}
		return status, "", []filter.ReplyOption{none, filter.WithHeader("location", back)}
	}
	to := html.EscapeString(back)
	page := `<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=` + to + `"><title>Signed in</title>` +
		`<a href="` + to + `">Go on</a>`
	return http.StatusOK, page, []filter.ReplyOption{
		none, filter.WithHeader("content-type", "text/html; charset=utf-8"),
		filter.WithHeader("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
	}
}

// Unauthorized returns the headers of the answer to a request without a session that asks for no page: a script cannot follow to a
// page to sign in at.
func (c *Cookies) Unauthorized(had Jar) []filter.ReplyOption {
	opts := []filter.ReplyOption{filter.WithHeader("www-authenticate", `Cookie realm="moe", cookie-name="`+c.Name+`"`)}
	return append(opts, With(c.NoSession(had))...)
}

// With has a reply set cookies.
func With(cookies []*http.Cookie) []filter.ReplyOption {
	opts := make([]filter.ReplyOption, len(cookies))
	for i, c := range cookies {
		opts[i] = filter.WithCookie(c)
	}
	return opts
}

// Elsewhere returns where a sign-in is to begin if not at this host: the provider sends the browser back to the origin here, whose
// cookies this host does not have.
func (c *Cookies) Elsewhere(h filter.RequestHeaders, here string) (location string) {
	if c.Domain != "" || origin.SameHost(here, h.Host()) {
		return ""
	}
	return here + SafePath(h.Path())
}
