package plugins

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
)

// decoded returns a plugin's configuration as it is before Provision.
func decoded(t *testing.T, plugin, text string) any {
	t.Helper()
	reg := filter.Lookup(plugin)
	if reg == nil {
		t.Fatalf("no plugin %q", plugin)
	}
	raw, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatalf("parsing %s: %v", text, err)
	}
	value := reg.New()
	if err := (&config.Decoder{Plugin: plugin}).Decode(raw, value); err != nil {
		t.Fatalf("decoding %s for %s: %v", text, plugin, err)
	}
	return value
}

const (
	provider = `{issuer: i, keys: {secret: 0123456789abcdef0123456789abcdef}}`
	client   = `issuer: 'https://idp.example', clientID: me, redirect: 'https://a.example/cb', ` +
		`cookieSecrets: [0123456789abcdef0123456789abcdef]`
	service = `acs: 'https://a.example/acs', idp: {metadataURL: 'https://idp.example/metadata'}, ` +
		`cookieSecrets: [0123456789abcdef0123456789abcdef]`
	ldap  = `url: 'ldaps://ldap.example', userDN: 'uid={username},dc=example'`
	asker = `endpoint: 'https://as.example/introspect', client: {id: me, secret: s}`
)

// TestReadsCredentials: where each plugin looks for credentials, asked before Provision.
func TestReadsCredentials(t *testing.T) {
	for _, c := range []struct {
		name, plugin, config string
		want                 filter.CredentialPlaces
	}{
		{"keyauth by default", "keyauth", `{}`, filter.CredentialPlaces{Headers: []string{"x-api-key"}}},
		{
			"keyauth everywhere", "keyauth", `{header: X-Key, query: k, cookie: c}`,
			filter.CredentialPlaces{Headers: []string{"x-key"}, Queries: []string{"k"}, Cookies: []string{"c"}},
		},
		{"basicauth", "basicauth", `{}`, filter.CredentialPlaces{Headers: []string{"authorization"}}},
		{"hmacauth", "hmacauth", `{}`, filter.CredentialPlaces{Headers: []string{"authorization", "signature"}}},
		{"tokenauth", "tokenauth", `{secret: s}`, filter.CredentialPlaces{Headers: []string{"token"}}},
		{
			"jwtauth by default", "jwtauth", `{providers: [` + provider + `]}`,
			filter.CredentialPlaces{Headers: []string{"authorization"}},
		},
		{
			"jwtauth everywhere", "jwtauth",
			`{providers: [` + provider + `], from: {headers: [{name: x-jwt}], queries: [jwt], cookies: [jwt]}}`,
			filter.CredentialPlaces{Headers: []string{"x-jwt"}, Queries: []string{"jwt"}, Cookies: []string{"jwt"}},
		},
		{
			"jwtauth with DPoP", "jwtauth", `{providers: [` + provider + `], dpop: {}}`,
			filter.CredentialPlaces{Headers: []string{"authorization", "dpop"}},
		},
		{
			"oidc", "oidc", `{` + client + `}`,
			filter.CredentialPlaces{Queries: []string{"code"}, Cookies: []string{"__Host-oidc*"}},
		},
		{
			"saml", "saml", `{` + service + `}`,
			filter.CredentialPlaces{Queries: []string{"SAMLRequest", "SAMLResponse"}, Cookies: []string{"__Host-saml*"}},
		},
		{
			"introspection by default", "introspection", `{` + asker + `}`,
			filter.CredentialPlaces{Headers: []string{"authorization"}},
		},
		{
			"introspection elsewhere", "introspection", `{` + asker + `, from: {queries: [t], cookies: [t]}}`,
			filter.CredentialPlaces{Queries: []string{"t"}, Cookies: []string{"t"}},
		},
		{"mtlsauth", "mtlsauth", `{}`, filter.CredentialPlaces{}},
		{
			"mtlsauth behind proxies", "mtlsauth", `{forwarded: {peers: [{dns: a.example}]}}`,
			filter.CredentialPlaces{Headers: []string{"x-forwarded-client-cert"}},
		},
		{"ldapauth", "ldapauth", `{` + ldap + `}`, filter.CredentialPlaces{Headers: []string{"authorization"}}},
		{
			"tokenexchange", "tokenexchange", `{` + asker + `}`,
			filter.CredentialPlaces{Headers: []string{"authorization"}},
		},
		{"csrf", "csrf", `{}`, filter.CredentialPlaces{}},
		{
			"csrf with tokens", "csrf", `{token: {secret: 0123456789abcdef}}`,
			filter.CredentialPlaces{Headers: []string{"x-csrf-token"}, Cookies: []string{"__Host-csrf"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, ok := decoded(t, c.plugin, c.config).(filter.CredentialReader)
			if !ok {
				t.Fatalf("%s does not say where it reads credentials", c.plugin)
			}
			if diff := cmp.Diff(c.want, r.ReadsCredentials()); diff != "" {
				t.Errorf("ReadsCredentials (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOwnsRequestHeaders: by which headers each plugin tells the upstream who the caller is, asked before Provision.
func TestOwnsRequestHeaders(t *testing.T) {
	const claims = `claimsToHeaders: [{claim: sub, header: x-user}, {claim: roles, header: X-Roles}]`
	for _, c := range []struct {
		name, plugin, config string
		want                 []string
	}{
		{"jwtauth without any", "jwtauth", `{providers: [` + provider + `]}`, []string{}},
		{"jwtauth", "jwtauth", `{providers: [` + provider + `], ` + claims + `}`, []string{"x-user", "X-Roles"}},
		{"introspection", "introspection", `{` + asker + `, ` + claims + `}`, []string{"x-user", "X-Roles"}},
		{"ldapauth", "ldapauth", `{` + ldap + `, ` + claims + `}`, []string{"x-user", "X-Roles"}},
		{"mtlsauth", "mtlsauth", ``, nil},
		{"mtlsauth behind proxies", "mtlsauth", `forwarded: {peers: [{uri: "spiffe://a"}]}`, []string{"x-forwarded-client-cert"}},
		{"tokenexchange", "tokenexchange", `{` + asker + `}`, nil},
		{"tokenexchange to another header", "tokenexchange", `{` + asker + `, header: x-internal}`, []string{"x-internal"}},
		{"oidc", "oidc", `{` + client + `, ` + claims + `}`, []string{"x-user", "X-Roles"}},
		{"saml", "saml", `{` + service + `, ` + claims + `}`, []string{"x-user", "X-Roles"}},
		{"oidc with the access token", "oidc", `{` + client + `, forwardAccessToken: true}`, []string{"authorization"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, ok := decoded(t, c.plugin, c.config).(filter.HeaderOwner)
			if !ok {
				t.Fatalf("%s does not say which headers it owns", c.plugin)
			}
			if diff := cmp.Diff(c.want, o.OwnsRequestHeaders()); diff != "" {
				t.Errorf("OwnsRequestHeaders (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAuthenticatingPlugins: every plugin that authenticates says where it reads credentials.
func TestAuthenticatingPlugins(t *testing.T) {
	for _, reg := range filter.Registrations() {
		if !reg.Scheme {
			continue
		}
		if _, ok := reg.New().(filter.CredentialReader); !ok {
			t.Errorf("%s authenticates and has no ReadsCredentials", reg.Name)
		}
	}
}
