package plugins

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// TestAccessLogHidesCredentials: wherever a plugin of the chain looks for a credential, none is written, whether the request is
// refused before it is looked at or sent on with it.
func TestAccessLogHidesCredentials(t *testing.T) {
	const secret = "very-secret-credential"
	for _, c := range []struct {
		name, plugin, config string
		header               []string
		path                 string
	}{
		{name: "keyauth by default", plugin: "keyauth", config: `{}`, header: []string{"x-api-key", secret}, path: "/"},
		{
			name: "keyauth, another header", plugin: "keyauth", config: `{header: X-Tenant-Key}`,
			header: []string{"X-Tenant-Key", secret}, path: "/",
		},
		{name: "keyauth, query", plugin: "keyauth", config: `{query: k}`, path: "/?a=1&k=" + secret},
		{
			name: "keyauth, query with escapes", plugin: "keyauth", config: `{query: k}`,
			header: []string{"referer", "https://a.example/?k=" + secret}, path: "/?%6b=" + secret,
		},
		{
			name: "keyauth, cookie", plugin: "keyauth", config: `{cookie: kc}`, header: []string{"cookie", "a=b; kc=" + secret},
			path: "/",
		},
		{name: "tokenauth", plugin: "tokenauth", config: `{secret: s}`, header: []string{"token", secret}, path: "/"},
		{name: "hmacauth", plugin: "hmacauth", config: `{}`, header: []string{"signature", secret}, path: "/"},
		{
			name: "basicauth", plugin: "basicauth", config: `{}`, header: []string{"authorization", "Basic " + secret},
			path: "/",
		},
		{
			name: "jwtauth", plugin: "jwtauth",
			config: `{providers: [` + provider + `], from: {headers: [{name: x-jwt}], queries: [jwt], cookies: [jc]}}`,
			header: []string{"x-jwt", secret, "cookie", "jc=" + secret}, path: "/?jwt=" + secret,
		},
		{
			name: "introspection", plugin: "introspection", config: `{` + asker + `, from: {headers: [{name: x-opaque}], queries: [t]}}`,
			header: []string{"x-opaque", secret}, path: "/?t=" + secret,
		},
		{
			name: "mtlsauth", plugin: "mtlsauth", config: `{forwarded: {peers: [{dns: a.example}]}}`,
			header: []string{"x-forwarded-client-cert", secret}, path: "/",
		},
		{
			name: "ldapauth", plugin: "ldapauth", config: `{` + ldap + `}`, header: []string{"authorization", "Basic " + secret},
			path: "/",
		},
		{
			name: "tokenexchange", plugin: "tokenexchange", config: `{` + asker + `, from: {cookies: [t]}}`,
			header: []string{"cookie", "t=" + secret}, path: "/",
		},
		{
			name: "csrf", plugin: "csrf", config: `{token: {secret: 0123456789abcdef}}`,
			header: []string{"x-csrf-token", secret}, path: "/",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			output := filepath.Join(t.TempDir(), "access.log")
			h := &filtertest.Host{Attrs: map[filter.Attr]string{filter.AttrSourceAddress: "192.0.2.1:1"}}
			// The request is refused before the plugin is asked.
			err := h.Load(t, filtertest.Config{Name: "accesslog", JSON: `{reveal: [cookie], output: ` + strconv.Quote(output) + `}`},
				filtertest.Config{Name: "iprestriction", JSON: `{deny: [192.0.2.0/24]}`},
				filtertest.Config{Name: c.plugin, JSON: c.config})
			if err != nil {
				t.Fatalf("loading the plugins: %v", err)
			}
			if r := h.Get(c.path, append(c.header, "x-other", "in clear")...); r.Status != 403 || r.Details != "moe.iprestriction.denied" {
				t.Errorf("got %d %s, want 403 moe.iprestriction.denied", r.Status, r.Details)
			}
			line := ""
			for line == "" { // it is written a moment later
				text, err := os.ReadFile(output)
				if err != nil {
					t.Fatalf("reading the log: %v", err)
				}
				line = string(text)
			}
			if strings.Contains(line, secret) {
				t.Errorf("the credential is written: %s", line)
			}
			if !strings.Contains(line, "in clear") || !strings.Contains(line, "[redacted]") {
				t.Errorf("got %s, want other headers in clear and something redacted", line)
			}
		})
	}
}

// TestAccessLogHidesSession: the session of oidc is not written, even if cookies are.
func TestAccessLogHidesSession(t *testing.T) {
	output := filepath.Join(t.TempDir(), "access.log")
	h := filtertest.New(t, filtertest.Config{Name: "accesslog", JSON: `{reveal: [cookie, set-cookie], output: ` + strconv.Quote(output) + `}`},
		filtertest.Config{Name: "oidc", JSON: `{` + client + `}`})
	r := filtertest.NewRequest("GET", "/cb?code=geheim&state=x", "", "cookie", "a=b; __Host-oidc=geheim;__Host-oidc-state-x=geheim; c=d")
	r.Host = "a.example"
	h.Do(r)
	line := ""
	for line == "" {
		text, err := os.ReadFile(output)
		if err != nil {
			t.Fatalf("reading the log: %v", err)
		}
		line = string(text)
	}
	if strings.Contains(line, "geheim") {
		t.Errorf("the session is written: %s", line)
	}
	if want := "a=b; __Host-oidc=[redacted];__Host-oidc-state-x=[redacted]; c=d"; !strings.Contains(line, want) {
		t.Errorf("got %s, want %s", line, want)
	}
}
