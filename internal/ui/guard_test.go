package ui

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const testHost = "127.0.0.1:15000"

// client asks a server as a browser does that has opened the printed address.
type client struct {
	t      *testing.T
	s      *Server
	cookie *http.Cookie
}

func newClient(t *testing.T, s *Server) *client {
	t.Helper()
	c := &client{t: t, s: s}
	w := c.do(http.MethodGet, "/?token="+s.guard.token, nil)
	cookies := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/" || len(cookies) != 1 {
		t.Fatalf("the printed address: got status %d, location %q and %d cookies; want 303, / and one", w.Code,
			w.Header().Get("Location"), len(cookies))
	}
	c.cookie = cookies[0]
	return c
}

func (c *client) do(method, target string, form url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(c.t.Context(), method, "http://"+testHost+target, strings.NewReader(form.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "http://"+testHost)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if c.cookie != nil {
		r.AddCookie(c.cookie)
	}
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	c.s.http.Handler.ServeHTTP(w, r)
	return w
}

// get returns a page that has to be there.
func (c *client) get(target string) string {
	c.t.Helper()
	w := c.do(http.MethodGet, target, nil)
	if w.Code != http.StatusOK {
		c.t.Fatalf("GET %s: got status %d, want 200:\n%s", target, w.Code, w.Body)
	}
	return w.Body.String()
}

// Only who has the token gets in, and only under a host that no other site can have.
func TestGuard(t *testing.T) {
	s := New(Options{Hosts: []string{"moe.example.com"}})
	known := newClient(t, s)
	stranger := &client{t: t, s: s}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	without := func(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(name) } }
	form := url.Values{csrfField: {s.guard.csrf}}
	for _, c := range []struct {
		name, method, target string
		client               *client
		form                 url.Values
		change               func(*http.Request)
		want                 int
	}{
		{name: "with a cookie", client: known, want: http.StatusOK},
		{name: "a page that is not there", client: known, target: "/nothing", want: http.StatusNotFound},
		{name: "a request that is not there", client: known, target: "/requests/7", want: http.StatusNotFound},
		{name: "a request without a number", client: known, target: "/requests/x", want: http.StatusNotFound},
		{name: "without a cookie", client: stranger, want: http.StatusUnauthorized},
		{name: "events without a cookie", client: stranger, target: "/events", want: http.StatusUnauthorized},
		{name: "a style without a cookie", client: stranger, target: "/static/page.css", want: http.StatusOK},
		{name: "a wrong token", client: stranger, target: "/?token=x", want: http.StatusForbidden},
		{name: "a wrong token beside a cookie", client: known, target: "/?token=x", want: http.StatusForbidden},
		{name: "the token in a POST", method: http.MethodPost, client: stranger, target: "/?token=" + s.guard.token, want: http.StatusUnauthorized},
		{
			name: "a wrong cookie", client: stranger, change: func(r *http.Request) {
				r.AddCookie(&http.Cookie{Name: "moe-ui-15000", Value: "x"})
			}, want: http.StatusUnauthorized,
		},
		{
			name: "the cookie of another port", client: known, change: host("127.0.0.1:15001"), want: http.StatusUnauthorized,
		},
		{name: "a name that resolves to here", client: known, change: host("evil.example.com:15000"), want: http.StatusMisdirectedRequest},
		{name: "such a name, for a style", client: known, target: "/static/page.css", change: host("evil.example.com:15000"), want: http.StatusMisdirectedRequest},
		{
			name: "such a name with the token", client: stranger, target: "/?token=" + s.guard.token,
			change: host("localhost.evil.example.com:15000"), want: http.StatusMisdirectedRequest,
		},
		{name: "no host", client: known, change: host(""), want: http.StatusMisdirectedRequest},
		{name: "localhost", client: known, change: host("LOCALHOST:15000"), want: http.StatusOK},
		{name: "IPv6", client: known, change: host("[::1]:15000"), want: http.StatusOK},
		{name: "a listed name", client: known, change: host("Moe.example.com:15000"), want: http.StatusOK},
		{name: "another method", method: http.MethodDelete, client: known, want: http.StatusMethodNotAllowed},

		// Nothing takes a POST here; 404 or 405 shows that the guard has let it through.
		{name: "a form", method: http.MethodPost, client: known, form: form, want: http.StatusMethodNotAllowed},
		{name: "a form of another site", method: http.MethodPost, client: known, form: form, change: header("Origin", "http://evil.example.com"), want: http.StatusForbidden},
		{name: "a form of another port", method: http.MethodPost, client: known, form: form, change: header("Origin", "http://127.0.0.1:15001"), want: http.StatusForbidden},
		{name: "a form of a file", method: http.MethodPost, client: known, form: form, change: header("Origin", "null"), want: http.StatusForbidden},
		{name: "a form without an origin", method: http.MethodPost, client: known, form: form, change: without("Origin"), want: http.StatusForbidden},
		{name: "a form of the same site", method: http.MethodPost, client: known, form: form, change: header("Sec-Fetch-Site", "same-site"), want: http.StatusForbidden},
		{name: "a form without the word", method: http.MethodPost, client: known, want: http.StatusForbidden},
		{name: "a form with another word", method: http.MethodPost, client: known, form: url.Values{csrfField: {"x"}}, want: http.StatusForbidden},
		{name: "the word in the address", method: http.MethodPost, target: "/?csrf=" + s.guard.csrf, client: known, want: http.StatusForbidden},
		{name: "a form without a cookie", method: http.MethodPost, client: stranger, form: form, want: http.StatusUnauthorized},
		{
			name: "a form that is too large", method: http.MethodPost, client: known,
			form: url.Values{csrfField: {s.guard.csrf}, "x": {strings.Repeat("x", maxForm)}}, want: http.StatusBadRequest,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.method == "" {
				c.method = http.MethodGet
			}
			if c.target == "" {
				c.target = "/"
			}
			if c.change == nil {
				c.change = func(*http.Request) {}
			}
			w := c.client.do(c.method, c.target, c.form, c.change)
			if w.Code != c.want {
				t.Errorf("%s %s: got status %d, want %d:\n%s", c.method, c.target, w.Code, c.want, w.Body)
			}
			if strings.Contains(w.Body.String(), s.guard.token) {
				t.Error("the page shows the token")
			}
			if w.Code != http.StatusOK && strings.Contains(w.Body.String(), s.guard.csrf) {
				t.Error("a page that refuses shows the forms' word")
			}
		})
	}
}

// Every answer tells browsers to be strict.
func TestHeaders(t *testing.T) {
	s := New(Options{})
	known, stranger := newClient(t, s), &client{t: t, s: s}
	want := http.Header{
		"Content-Security-Policy": {"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
		"X-Content-Type-Options": {"nosniff"}, "X-Frame-Options": {"DENY"}, "Referrer-Policy": {"same-origin"},
		"Cross-Origin-Opener-Policy": {"same-origin"}, "Cross-Origin-Resource-Policy": {"same-origin"}, "Cache-Control": {"no-store"},
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"a page": known.do(http.MethodGet, "/", nil), "a script": known.do(http.MethodGet, "/static/page.js", nil),
		"a refusal": stranger.do(http.MethodGet, "/", nil), "nothing": known.do(http.MethodGet, "/nothing", nil),
	} {
		t.Run(name, func(t *testing.T) {
			got := http.Header{}
			for name := range want {
				got[name] = w.Header()[name]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			if text := w.Body.String(); strings.Contains(text, "<style") || strings.Contains(text, " style=") ||
				strings.Contains(text, "<script>") || strings.Contains(text, "onclick") {
				t.Errorf("the page has a style or a script that its policy forbids:\n%s", text)
			}
		})
	}
	c := known.cookie
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.Value == s.guard.token {
		t.Errorf("the cookie: got %v, want HttpOnly, SameSite=Strict, for this host alone, and not the token", c)
	}
}
