package jwtauth

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

func TestConfiguration(t *testing.T) {
	rsaKeys := jwks(t, map[string]string{"": "rsa"})
	der, err := x509.MarshalPKIXPublicKey(&keyring()["rsa"].(*rsa.PrivateKey).PublicKey)
	if err != nil {
		t.Fatalf("x509.MarshalPKIXPublicKey: %v", err)
	}
	pemText := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	conf := func(keys map[string]any, more map[string]any) string {
		p := map[string]any{"issuer": "i", "keys": keys}
		for k, v := range more {
			p[k] = v
		}
		b, err := json.Marshal(map[string]any{"providers": []any{p}})
		if err != nil {
			t.Fatalf("json.Marshal: %v", err)
		}
		return string(b)
	}
	fine := map[string]any{"inline": rsaKeys}
	algs := func(one string) map[string]any { return map[string]any{"algorithms": []string{one}} }
	and := func(more string) string { return strings.TrimSuffix(conf(fine, nil), "}") + "," + more }
	oct := `{"keys":[{"kty":"oct","k":"` + base64.RawURLEncoding.EncodeToString([]byte(pemText)) + `"}]}`
	refused := func(want, conf string) {
		t.Helper()
		err := new(filtertest.Host).Load(t, filtertest.Config{Name: "jwtauth", JSON: conf})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") ||
			strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("%s: %v, want %q", conf, err, want)
		}
	}
	refused("providers", `{}`)
	refused("providers", `{"providers":[]}`)
	refused("exactly one of", conf(nil, nil))
	refused("exactly one of", conf(map[string]any{"inline": rsaKeys, "file": "/x"}, nil))
	refused("less than 32 bytes", conf(map[string]any{"secret": "geheim"}, nil))
	refused("public key that is used as a secret", conf(map[string]any{"secret": pemText}, nil))
	refused("public key that is used as a secret", conf(map[string]any{"secret": rsaKeys}, nil))
	refused("public key that is used as a secret", conf(map[string]any{"inline": oct}, algs("HS256")))
	refused("too short", conf(map[string]any{"secret": strings.Repeat("geheim", 6)}, algs("HS512")))
	refused("too short", conf(map[string]any{"secret": strings.Repeat("geheim", 6)}, algs("RS256")))
	refused("neither a JSON Web Key Set", conf(map[string]any{"inline": "geheim"}, nil))
	refused("algorithms[0]: must be one of", conf(map[string]any{"inline": rsaKeys}, algs("none")))
	refused("not allowed", conf(map[string]any{"inline": rsaKeys}, algs("ES256")))
	refused("not allowed", conf(map[string]any{"inline": rsaKeys}, algs("HS256")))
	refused("must be https", conf(map[string]any{"url": "http://a.example/"}, nil))
	refused("keys.url", conf(map[string]any{"url": "file:///etc/passwd"}, nil))
	refused("user or password", conf(map[string]any{"url": "https://u:p@a/"}, nil))
	refused("no URL gives", conf(map[string]any{"url": "https://a/"}, algs("HS256")))
	refused("refresh", conf(map[string]any{"url": "https://a/", "refresh": "1ms"}, nil))
	refused("/does/not/exist", conf(map[string]any{"file": "/does/not/exist"}, nil))
	refused("leeway", conf(fine, map[string]any{"leeway": "-1s"}))
	refused("leewey", conf(fine, map[string]any{"leewey": "1s"}))
	refused("claim", conf(fine, map[string]any{"requiredClaims": []any{map[string]any{}}}))
	refused("from.headers[0]", and(`"from":{"headers":[{"name":"a b"}]}}`))
	refused("realm", and(`"realm":"a\"b"}`))
	refused("cacheSize", and(`"cacheSize":-1}`))
	refused("claimsToHeaders[0]", and(`"claimsToHeaders":[{"claim":"sub","header":":path"}]}`))
	again := `,{"issuer":"i","keys":{"secret":"` + strings.Repeat("x", 32) + `"}}]}`
	refused("duplicate issuer", strings.TrimSuffix(conf(fine, nil), "]}")+again)
	h := filtertest.New(t, filtertest.Config{Name: "jwtauth", JSON: conf(fine, nil)})
	if r := h.Get("/", withToken(sign(t, "rsa", "RS256", "", good(map[string]any{"iss": "i"})))...); r.Status != 200 {
		t.Errorf("r.Status = %d, want 200: %q", r.Status, r.Details)
	}
}
