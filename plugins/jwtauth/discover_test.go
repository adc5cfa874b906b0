package jwtauth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/filtertest"
)

// TestDiscover: keys are found by what the issuer says of itself, in either form, and by nothing that another says.
func TestDiscover(t *testing.T) {
	const oidc, oauth = "/realm/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/realm"
	for _, c := range []struct {
		name, path, document, want string
	}{
		{name: "OpenID Connect", path: oidc, document: `{"issuer": "URL/realm", "jwks_uri": "URL/jwks"}`},
		{name: "RFC 8414", path: oauth, document: `{"issuer": "URL/realm", "jwks_uri": "URL/jwks"}`},
		{name: "another issuer's", path: oidc, document: `{"issuer": "URL/other", "jwks_uri": "URL/jwks"}`, want: "no_keys"},
		{name: "a slash more", path: oidc, document: `{"issuer": "URL/realm/", "jwks_uri": "URL/jwks"}`, want: "no_keys"},
		{name: "no keys", path: oidc, document: `{"issuer": "URL/realm"}`, want: "no_keys"},
		{name: "keys in the clear", path: oidc, document: `{"issuer": "URL/realm", "jwks_uri": "http://a.example/jwks"}`, want: "no_keys"},
		{name: "two issuers", path: oidc, document: `{"issuer": "x", "issuer": "URL/realm", "jwks_uri": "URL/jwks"}`, want: "no_keys"},
		{name: "no document", path: "/", document: `{}`, want: "no_keys"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s *httptest.Server
			s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case c.path:
					fmt.Fprint(w, strings.ReplaceAll(c.document, "URL", s.URL))
				case "/jwks":
					fmt.Fprint(w, jwks(t, map[string]string{"": "p256"}))
				default:
					http.NotFound(w, r)
				}
			}))
			defer s.Close()
			h := filtertest.New(t, filtertest.Config{Name: "jwtauth", JSON: fmt.Sprintf(
				`{"providers": [{"issuer": "%s/realm", "keys": {"discover": true, "connection": {"timeout": "300ms"}}}]}`, s.URL)})
			token := sign(t, "p256", "ES256", "", good(map[string]any{"iss": s.URL + "/realm"}))
			got := details(h.Get("/", withToken(token)...))
			for end := time.Now().Add(5 * time.Second); c.want == "" && got != "" && time.Now().Before(end); {
				got = details(h.Get("/", withToken(token)...)) // the keys are read once the document is
			}
			if got != c.want {
				t.Errorf("got %q, want %q; the log:\n%s", got, c.want, h.Log())
			}
		})
	}
	for _, issuer := range []string{"", "realm", "http://a.example", "https://a.example/?x"} {
		t.Run(fmt.Sprintf("the issuer %q", issuer), func(t *testing.T) {
			err := (&filtertest.Host{}).Load(t, filtertest.Config{Name: "jwtauth", JSON: fmt.Sprintf(
				`{"providers": [{"issuer": %q, "keys": {"discover": true}}]}`, issuer)})
			if err == nil || !strings.Contains(err.Error(), "issuer: must be an https URL") {
				t.Errorf("got error %v, want one about the issuer", err)
			}
		})
	}
}
