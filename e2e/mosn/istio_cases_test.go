package mosn

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
)

// signer is the key of the issuer that jwt_authn trusts, and of another one that calls its key by the same name.
var signer, forger = sync.OnceValue(newKey), sync.OnceValue(newKey)

func newKey() jwk.Key {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	k, err := jwk.Import(private)
	if err != nil {
		panic(err)
	}
	if err := k.Set(jwk.KeyIDKey, "one"); err != nil {
		panic(err)
	}
	return k
}

// token is a token for alice, with changes to its claims.
func token(key jwk.Key, changes m) string {
	claims := m{"iss": "https://issuer.example", "sub": "alice", "aud": "shop", "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range changes {
		claims[k] = v
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	signed, err := jws.Sign(payload, jws.WithKey(jwa.RS256(), key))
	if err != nil {
		panic(err)
	}
	return string(signed)
}

// jwtAuthn are configurations of jwt_authn, whose keys are made when the tests begin.
func jwtAuthn() []configuration {
	public, err := jwk.PublicKeyOf(signer())
	if err != nil {
		panic(err)
	}
	keys, err := json.Marshal(m{"keys": []any{public}})
	if err != nil {
		panic(err)
	}
	config := func(provider, requires string) string {
		return fmt.Sprintf(`[{"type": "jwt_authn", "config": {
			"providers": {"p": {"issuer": "https://issuer.example", "localJwks": {"inlineString": %s}%s}},
			"rules": [{"match": {"prefix": "/body/"}, "requires": %s}]}}]`, strconv.Quote(string(keys)), provider, requires)
	}
	bearing := func(name, token string) request {
		return request{name: name, path: "/body/ok", header: []string{"authorization", "Bearer " + token, "cookie", "c=1"}}
	}
	good := token(signer(), nil)
	// MOSN's filter finds neither path nor query over HTTP/2, and lets every request pass.
	return []configuration{
		{
			name: "jwt_authn", filters: config(`, "audiences": ["shop"]`, `{"providerName": "p"}`),
			requests: asHTTP1([]request{
				bearing("good", good),
				bearing("expired", token(signer(), m{"exp": time.Now().Add(-time.Hour).Unix()})),
				bearing("not yet valid", token(signer(), m{"nbf": time.Now().Add(time.Hour).Unix()})),
				bearing("another issuer", token(signer(), m{"iss": "https://other.example"})),
				bearing("another audience", token(signer(), m{"aud": "bank"})),
				bearing("another key", token(forger(), nil)),
				bearing("not a token", "nonsense"),
				{name: "none", path: "/body/ok"},
				{name: "none, two slashes", path: "//body/ok"},
				{name: "none, a dot", path: "/./body/ok"},
				{name: "none, two dots", path: "/echo/../body/ok"},
				{name: "none, a slash in an escape", path: "/echo%2f%2e%2e/body/ok"},
				{name: "none, a letter in an escape", path: "/%62ody/ok"},
				{name: "no rule", path: "/echo"},
				{name: "in the query", path: "/body/ok?access_token=" + good},
			}),
		},
		{
			name:     "jwt_authn: forwarded",
			filters:  config(`, "forward": true, "forwardPayloadHeader": "x-payload"`, `{"providerName": "p"}`),
			requests: asHTTP1([]request{bearing("good", good), bearing("another key", token(forger(), nil))}),
		},
		{
			name: "jwt_authn: may be missing",
			filters: config(`, "fromHeaders": [{"name": "x-token", "valuePrefix": "JWT "}]`,
				`{"requiresAny": {"requirements": [{"providerName": "p"}, {"allowMissing": {}}]}}`),
			requests: asHTTP1([]request{
				{name: "good", path: "/body/ok", header: []string{"x-token", "JWT " + good}},
				{name: "bad", path: "/body/ok", header: []string{"x-token", "JWT nonsense"}},
				{name: "missing", path: "/body/ok"},
			}),
		},
	}
}

// rbacOf is a configuration of rbac with one policy.
func rbacOf(action, permissions, principals string) string {
	return fmt.Sprintf(`[{"type": "rbac", "config": {"version": "1", "rules": {"action": %q, "policies": {"one": {
		"permissions": [%s], "principals": [%s]}}}}}]`, action, permissions, principals)
}

var rbac = []configuration{
	{
		name:     "rbac: nobody",
		filters:  rbacOf("DENY", `{"any": true}`, `{"any": true}`),
		requests: []request{{name: "get", path: "/echo", header: []string{"cookie", "c=1"}}},
	},
	{
		name: "rbac: by a header",
		filters: rbacOf("ALLOW", `{"header": {"name": "x-role", "exact_match": "admin"}},
			{"header": {"name": "x-role", "prefix_match": "dev"}}`, `{"any": true}`),
		requests: []request{
			{name: "admin", path: "/echo", header: []string{"x-role", "admin"}},
			{name: "developer", path: "/echo", header: []string{"x-role", "developer"}},
			{name: "guest", path: "/echo", header: []string{"x-role", "guest"}},
			{name: "nobody", path: "/echo"},
		},
	},
	{
		name: "rbac: by combined rules",
		filters: rbacOf("ALLOW", `{"and_rules": {"rules": [{"header": {"name": "x-a", "present_match": true}},
			{"not_rule": {"header": {"name": "x-b", "range_match": {"start": 5, "end": 10}}}}]}}`,
			`{"or_ids": {"ids": [{"header": {"name": "x-c", "suffix_match": "z"}}, {"header": {"name": "x-d", "present_match": true}}]}}`),
		requests: []request{
			{name: "all", path: "/echo", header: []string{"x-a", "1", "x-b", "4", "x-c", "abz"}},
			{name: "the other principal", path: "/echo", header: []string{"x-a", "1", "x-d", "1"}},
			{name: "in the range", path: "/echo", header: []string{"x-a", "1", "x-b", "5", "x-d", "1"}},
			{name: "no principal", path: "/echo", header: []string{"x-a", "1", "x-c", "zb"}},
			{name: "no permission", path: "/echo", header: []string{"x-d", "1"}},
		},
	},
	{
		name: "rbac: by the client's address",
		filters: rbacOf("DENY", `{"any": true}`, `{"remote_ip": {"address_prefix": "203.0.113.0", "prefix_len": 24}},
			{"source_ip": {"address_prefix": "10.0.0.0", "prefix_len": 8}}`),
		requests: []request{
			{name: "this machine", path: "/echo"},
			{name: "forwarded", path: "/echo", header: []string{"x-forwarded-for", "203.0.113.7"}},
		},
	},
	{
		name:     "rbac: by the connection",
		filters:  rbacOf("ALLOW", `{"any": true}`, `{"direct_remote_ip": {"address_prefix": "127.0.0.0", "prefix_len": 8}}`),
		requests: []request{{name: "get", path: "/echo"}, {name: "post", path: "/echo", method: "POST", body: "text"}},
	},
	{
		name: "rbac: shadow rules only",
		filters: `[{"type": "rbac", "config": {"version": "1", "shadow_rules": {"action": "DENY", "policies": {"one": {
			"permissions": [{"any": true}], "principals": [{"any": true}]}}}}}]`,
		requests: []request{{name: "get", path: "/echo"}},
	},
}
