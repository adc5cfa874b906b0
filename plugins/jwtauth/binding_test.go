package jwtauth

import (
	"encoding/base64"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/plugintest"
	"mosn.io/moe/plugins/internal/possession"
)

// TestBinding: a token that is bound to a certificate or a key is good for its owner, also where it is remembered.
func TestBinding(t *testing.T) {
	const digest = "3bf73a9ba77d3c0c9a23ae1ba1c0be0f96a8a06a8e8bf0f3ea3a4d1d2b2f1f0e"
	const address = "https://api.example/orders"
	owner, other := plugintest.NewProver(t), plugintest.NewProver(t)
	bound := func(cnf any) string { return sign(t, "p256", "ES256", "k", good(map[string]any{"cnf": cnf})) }
	byCert := bound(map[string]any{"x5t#S256": "O_c6m6d9PAyaI64bocC-D5aooGqOi_Dz6jpNHSsvHw4"})
	byKey := bound(map[string]any{"jkt": owner.Thumbprint})
	plain, odd := bound(nil), bound(map[string]any{"jwk": map[string]any{}})
	proven := func(token string, by *plugintest.Prover) []string {
		return []string{"authorization", "DPoP " + token, "dpop", by.Proof(t, token, "GET", address)}
	}
	for _, c := range []struct {
		name   string
		ignore bool
		dpop   *possession.DPoP
		digest string
		header []string
		want   string
	}{
		{name: "certificate", digest: digest, header: withToken(byCert)},
		{name: "another certificate", digest: strings.Repeat("0", 64), header: withToken(byCert), want: "bound"},
		{name: "no certificate", header: withToken(byCert), want: "bound"},
		{name: "no certificate, and that is ignored", ignore: true, header: withToken(byCert)},
		{name: "unknown binding", header: withToken(odd), want: "bound"},
		{name: "unknown binding that is ignored", ignore: true, header: withToken(odd)},
		{name: "key without DPoP", header: withToken(byKey), want: "bound"},
		{name: "scheme without DPoP", header: proven(byKey, owner), want: "missing"},
		{name: "key", dpop: &possession.DPoP{}, header: proven(byKey, owner)},
		{name: "another key", dpop: &possession.DPoP{}, header: proven(byKey, other), want: "proof"},
		{name: "key as a bearer token", dpop: &possession.DPoP{}, header: withToken(byKey), want: "bound"},
		{
			name: "key as a bearer token with a proof", dpop: &possession.DPoP{}, want: "bound",
			header: append(withToken(byKey), "dpop", owner.Proof(t, byKey, "GET", address)),
		},
		{name: "two schemes", dpop: &possession.DPoP{}, header: append(proven(byKey, owner), withToken(plain)...), want: "several"},
		{name: "not bound", dpop: &possession.DPoP{}, header: withToken(plain)},
		{name: "not bound, by the scheme", dpop: &possession.DPoP{}, header: proven(plain, owner), want: "bound"},
		{name: "not bound, and that is required", dpop: &possession.DPoP{Required: true}, header: withToken(plain), want: "bound"},
		{name: "nothing", dpop: &possession.DPoP{}, want: "missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := inline(jwks(t, map[string]string{"k": "p256"}))
			j.CacheSize, j.IgnoreBinding = 10, c.ignore
			if c.dpop != nil {
				d := *c.dpop
				d.MaxAge, d.ReplayCache = 60e9, 10
				j.DPoP = &d
			}
			h := filtertest.New(t, j)
			h.Attrs = map[filter.Attr]string{}
			if c.digest != "" {
				h.Attrs[filter.AttrPeerDigest] = c.digest
			}
			for i := range 2 { // the second time the token is remembered
				header := c.header
				if i == 1 && c.want == "" && c.dpop != nil && header[0] == "authorization" && strings.HasPrefix(header[1], "DPoP") {
					if got := details(ask(h, header)); got != "proof_replayed" {
						t.Errorf("the same proof: got %q, want proof_replayed", got)
					}
					header = proven(byKey, owner)
				}
				r := ask(h, header)
				if got := details(r); got != c.want {
					t.Fatalf("got %q, want %q:\n%s", got, c.want, h.Log())
				}
				if c.want == "" && (r.Upstream.Header.Get("authorization") != "" || r.Upstream.Header.Get("dpop") != "") {
					t.Errorf("the upstream sees %v, want neither token nor proof", r.Upstream.Header)
				}
				challenges := strings.Join(r.Header.Values("www-authenticate"), ";")
				if c.dpop != nil && c.want == "missing" && !strings.Contains(challenges, `DPoP realm="moe", algs="`) ||
					c.want == "proof" && !strings.Contains(challenges, `error="invalid_dpop_proof"`) {
					t.Errorf("got the challenges %s", challenges)
				}
			}
			if strings.Contains(h.Log(), base64.RawURLEncoding.EncodeToString([]byte(`{"alg"`))) {
				t.Error("the log has a token")
			}
		})
	}
}

func ask(h *filtertest.Host, header []string) *filtertest.Response {
	r := filtertest.NewRequest("GET", "/orders?x=y", "", header...)
	r.Host = "api.example"
	return h.Do(r)
}
