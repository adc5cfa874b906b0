package oidc

import (
	"strings"
	"testing"

	"mosn.io/moe/plugins/internal/plugintest"
)

func TestConfiguration(t *testing.T) {
	good := map[string]any{
		"issuer": "https://idp.example", "clientID": "me", "clientSecret": "geheim", "redirect": "https://app.example/cb",
		"cookieSecrets": []string{cookieSecret},
	}
	load := func(t *testing.T, changes map[string]any) error {
		t.Helper()
		return plugintest.Load(t, "oidc", good, changes)
	}
	if err := load(t, nil); err != nil {
		t.Errorf("load: %v", err)
	}
	in := func(name string, more map[string]any) map[string]any { return map[string]any{name: more} }
	for _, c := range []struct {
		name, want string
		change     map[string]any
	}{
		{name: "no issuer", want: "issuer", change: map[string]any{"issuer": nil}},
		{
			name: "issuer over http", want: "issuer: must be https",
			change: map[string]any{"issuer": "http://idp.example"},
		},
		{name: "issuer without a scheme", want: "issuer", change: map[string]any{"issuer": "idp.example"}},
		{name: "empty clientID", want: "clientID", change: map[string]any{"clientID": ""}},
		{name: "no redirect", want: "redirect", change: map[string]any{"redirect": nil}},
		{name: "redirect over http", want: "redirect", change: map[string]any{"redirect": "http://app.example/cb"}},
		{name: "redirect without a host", want: "redirect", change: map[string]any{"redirect": "/cb"}},
		{name: "redirect to the root", want: "redirect", change: map[string]any{"redirect": "https://app.example/"}},
		{
			name: "redirect with a query", want: "redirect",
			change: map[string]any{"redirect": "https://app.example/cb?x=y"},
		},
		{name: "no cookieSecrets", want: "cookieSecrets", change: map[string]any{"cookieSecrets": nil}},
		{name: "empty cookieSecrets", want: "cookieSecrets", change: map[string]any{"cookieSecrets": []string{}}},
		{
			name: "short cookie secret", want: "cookieSecrets[1]: must be at least 32 bytes",
			change: map[string]any{"cookieSecrets": []string{cookieSecret, "geheim"}},
		},
		{name: "short lifetime", want: "lifetime", change: map[string]any{"lifetime": "1s"}},
		{name: "relative login", want: "login", change: map[string]any{"login": "login"}},
		{name: "login on another host", want: "login", change: map[string]any{"login": "//evil"}},
		{name: "login at the redirect", want: "login", change: map[string]any{"login": "/cb"}},
		{
			name: "login at the logout", want: "logout.path: must not be the path of login",
			change: map[string]any{"login": "/x", "logout": map[string]any{"path": "/x"}},
		},
		{name: "logout with a query", want: "logout.path", change: in("logout", map[string]any{"path": "/x?y"})},
		{
			name: "logout to another host", want: "logout.redirect",
			change: in("logout", map[string]any{"path": "/x", "redirect": "https://evil.example"}),
		},
		{name: "space in the cookie's name", want: "cookie.name", change: in("cookie", map[string]any{"name": "a b"})},
		{
			name: "insecure cookie with a secure prefix", want: "cookie.insecure",
			change: in("cookie", map[string]any{"insecure": true}),
		},
		{
			name: "cookie domain with a host prefix", want: "cookie.domain",
			change: in("cookie", map[string]any{"domain": "example"}),
		},
		{
			name: "injection in the cookie's domain", want: "cookie.domain",
			change: in("cookie", map[string]any{"name": "c", "domain": "a; path=/x"}),
		},
		{
			name: "insecure cookie for all sites", want: "cookie.sameSite",
			change: in("cookie", map[string]any{"name": "c", "insecure": true, "sameSite": "none"}),
		},
		{name: "misspelt sameSite", want: "sameSite", change: in("cookie", map[string]any{"sameSite": "Lax"})},
		{
			name: "missing caFile", want: "connection.caFile",
			change: in("connection", map[string]any{"caFile": "/does/not/exist"}),
		},
		{
			name: "claim to a pseudo-header", want: "claimsToHeaders",
			change: map[string]any{"claimsToHeaders": []any{map[string]any{"claim": "sub", "header": ":path"}}},
		},
		{name: "own parameter", want: "parameters.state", change: in("parameters", map[string]any{"state": "x"})},
		{name: "half of the endpoints", want: "endpoints.token", change: in("endpoints", map[string]any{"authorization": "https://idp.example/auth"})},
		{name: "endpoint over http", want: "endpoints.keys", change: in("endpoints", map[string]any{
			"authorization": "https://idp.example/auth", "token": "https://idp.example/token", "keys": "http://idp.example/keys",
		})},
		{name: "bad header for the ID token", want: "idTokenHeader", change: map[string]any{"idTokenHeader": "a b"}},
		{name: "misspelt field", want: "typo", change: map[string]any{"typo": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := load(t, c.change)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheim") ||
				strings.Contains(err.Error(), cookieSecret) {
				t.Errorf("%v: %v, want %q", c.change, err, c.want)
			}
		})
	}
}
