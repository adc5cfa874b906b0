package ui

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// guard lets those through who have the token, from this page alone. The token is in the address that is printed at the
// start; whoever opens that gets a cookie, which later requests have.
type guard struct {
	token   string
	session string   // the cookie's value
	csrf    string   // what a form must send back
	hosts   []string // names by which the page may be asked for, besides IP addresses and localhost
	next    http.Handler
	refuse  func(w http.ResponseWriter, status int, text string)
}

func newGuard(hosts []string) *guard {
	return &guard{token: rand.Text(), session: rand.Text(), csrf: rand.Text(), hosts: hosts}
}

// policy lets the page have what it is served with from here, and nothing else. There is no inline script or style.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// TokenParameter is the query parameter of the token.
const TokenParameter = "token"

// staticPath is where the style and the script are, which anybody may have.
const staticPath = "/static/"

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer, browsers would send forms with Origin: null
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if !g.knows(r.Host) { // a name of somebody else's that resolves to this address (DNS rebinding)
		g.refuse(w, http.StatusMisdirectedRequest, "This page answers to IP addresses, to localhost and to the names of --ui-host, "+
			"so that no other site can ask for it under a name of its own.")
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		h.Set("Allow", "GET, HEAD, POST")
		g.refuse(w, http.StatusMethodNotAllowed, "This page takes GET and POST.")
		return
	}
	if strings.HasPrefix(r.URL.Path, staticPath) {
		g.next.ServeHTTP(w, r)
		return
	}
	if given := r.URL.Query().Get(TokenParameter); given != "" && r.Method != http.MethodPost {
		g.enter(w, r, given)
		return
	}
	if c, err := r.Cookie(cookieName(r)); err != nil || !equal(c.Value, g.session) {
		g.refuse(w, http.StatusUnauthorized, "Open the address that moe has printed at its start: it has the token that this page "+
			"asks for.")
		return
	}
	if r.Method == http.MethodPost && !g.own(w, r) {
		return
	}
	g.next.ServeHTTP(w, r)
}

// enter gives a cookie to who has the token, and has the token disappear from the address.
func (g *guard) enter(w http.ResponseWriter, r *http.Request, given string) {
	if !equal(given, g.token) {
		g.refuse(w, http.StatusForbidden, "This is not the token that moe has printed at its start; each start has another one.")
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(r), Value: g.session, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// cookieName has the port in it, because browsers give cookies to all ports of a host.
func cookieName(r *http.Request) string {
	_, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		port = "0"
	}
	return "moe-ui-" + port
}

// knows reports whether the page may be asked for under a host: no DNS name but those that the operator has listed.
func (g *guard) knows(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return strings.EqualFold(name, "localhost") ||
		slices.ContainsFunc(g.hosts, func(h string) bool { return strings.EqualFold(h, name) })
}

// maxForm bounds what a form sends.
const maxForm = 1 << 20

// own reports whether a POST comes from a form of this page, and otherwise refuses it. The cookie alone would not show that:
// to browsers, other ports of this host are the same site.
func (g *guard) own(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	u, err := url.Parse(origin)
	sameOrigin := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host == r.Host
	if site := r.Header.Get("Sec-Fetch-Site"); !sameOrigin || site != "" && site != "same-origin" {
		g.refuse(w, http.StatusForbidden, "This request does not come from this page.")
		return false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		g.refuse(w, http.StatusBadRequest, fmt.Sprintf("The form cannot be read, or has more than %d bytes.", maxForm))
		return false
	}
	if !equal(r.PostForm.Get(csrfField), g.csrf) {
		g.refuse(w, http.StatusForbidden, "The form is from before moe was started; open the page again.")
		return false
	}
	return true
}

// csrfField is the field of forms that holds guard.csrf.
const csrfField = "csrf"

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
