package jwtauth

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/framework/filtertest"
)

var algOf = map[string][]string{
	"rsa": {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, "p256": {"ES256"}, "p384": {"ES384"},
	"p521": {"ES512"}, "ed": {"EdDSA"},
}

func everyKey() map[string]string {
	return map[string]string{"rsa": "rsa", "p256": "p256", "p384": "p384", "p521": "p521", "ed": "ed"}
}

func TestAlgorithms(t *testing.T) {
	h := filtertest.New(t, inline(jwks(t, everyKey())))
	for name, algs := range algOf {
		for _, alg := range algs {
			for _, kid := range []string{name, ""} {
				t.Run(fmt.Sprintf("%q", kid), func(t *testing.T) {
					r := h.Get("/", withToken(sign(t, name, alg, kid, good(nil)))...)
					if r.Status != 200 || r.Upstream.Header.Get("authorization") != "" {
						t.Errorf(`%s, %s: r.Status = %d, want 200; r.Upstream.Header.Get("authorization") = %q, want %q: %s`,
							alg, kid, r.Status, r.Upstream.Header.Get("authorization"), "", r.Details)
					}
				})
			}
			for other := range algOf {
				if other != name {
					if r := h.Get("/", withToken(sign(t, name, alg, other, good(nil)))...); r.Status != 401 {
						t.Errorf("%s with the key id %s: %d", alg, other, r.Status)
					}
				}
			}
		}
	}
}

func TestTimes(t *testing.T) {
	h := filtertest.New(t, inline(jwks(t, map[string]string{"": "rsa"})))
	now := time.Now()
	for _, c := range []struct {
		name   string
		change map[string]any
		want   string
	}{
		{"good", nil, ""},
		{"expired", map[string]any{"exp": now.Add(-time.Hour).Unix()}, "expired"},
		{"expired, within leeway", map[string]any{"exp": now.Add(-30 * time.Second).Unix()}, ""},
		{"expired with a fraction", map[string]any{"exp": float64(now.UnixMilli())/1000 - 100.5}, "expired"},
		{"no exp", map[string]any{"exp": nil}, "no_expiry"},
		{"exp null", map[string]any{"exp": json.RawMessage("null")}, "malformed"},
		{"exp is a string", map[string]any{"exp": "9999999999"}, "malformed"},
		{"exp is huge", map[string]any{"exp": json.RawMessage("1e300")}, "malformed"},
		{"exp is negative", map[string]any{"exp": -1}, "malformed"},
		{"not yet", map[string]any{"nbf": now.Add(time.Hour).Unix()}, "not_yet"},
		{"not yet, within leeway", map[string]any{"nbf": now.Add(30 * time.Second).Unix()}, ""},
		{"of the future", map[string]any{"iat": now.Add(time.Hour).Unix()}, "not_yet"},
		{"another issuer", map[string]any{"iss": "https://evil"}, "issuer"},
		{"issuer with a slash", map[string]any{"iss": issuer + "/"}, "issuer"},
		{"no issuer", map[string]any{"iss": nil}, "issuer"},
		{"issuers", map[string]any{"iss": []string{issuer}}, "malformed"},
		{"another audience", map[string]any{"aud": "web"}, "audience"},
		{"audience", map[string]any{"aud": "api"}, ""},
		{"no audience", map[string]any{"aud": nil}, "audience"},
		{"audience is an object", map[string]any{"aud": map[string]any{"api": 1}}, "malformed"},
		{"audiences in one", map[string]any{"aud": "api other"}, "audience"},
		{"audience in capitals", map[string]any{"aud": "API"}, "audience"},
		{"subject is a number", map[string]any{"sub": 1}, "malformed"},
		{"EXP in capitals does not count", map[string]any{"exp": nil, "EXP": now.Unix() + 100}, "no_expiry"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := h.Get("/", withToken(sign(t, "rsa", "RS256", "", good(c.change)))...)
			if got := details(r); got != c.want {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
		})
	}
}

// Each is refused, with 401, and nothing of it is logged.
func TestForgeries(t *testing.T) {
	var fetched atomic.Int32
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	defer evil.Close()
	p := inline(jwks(t, everyKey()))
	h := filtertest.New(t, p)
	claims := good(map[string]any{"marker": "very-secret-claim"})
	enc := base64.RawURLEncoding.EncodeToString
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	unsigned := func(header string) string { return enc([]byte(header)) + "." + enc(body) }
	real := sign(t, "rsa", "RS256", "rsa", claims)
	parts := strings.Split(real, ".")
	public := &keyring()["rsa"].(*rsa.PrivateKey).PublicKey
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatalf("x509.MarshalPKIXPublicKey: %v", err)
	}
	pemText := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	hs := func(secret []byte, kid string) string {
		return signAs(t, secret, "HS256", map[string]any{"alg": "HS256", "kid": kid}, claims)
	}
	withHeader := func(header string) string { return signAs(t, keyring()["rsa"], "RS256", header, claims) }
	byOther := func(header string) string { return signAs(t, keyring()["rsa2"], "RS256", header, claims) }
	withClaims := func(claims string) string { return signAs(t, keyring()["rsa"], "RS256", `{"alg":"RS256"}`, claims) }
	cases := map[string][2]string{}
	refused := func(name, token, want string) { cases[name] = [2]string{token, want} }
	refused("none", unsigned(`{"alg":"none"}`)+".", "malformed")
	refused("none with a signature", unsigned(`{"alg":"none","kid":"rsa"}`)+"."+parts[2], "algorithm")
	refused("None", unsigned(`{"alg":"None"}`)+".AAAA", "algorithm")
	refused("nOnE", unsigned(`{"alg":"nOnE"}`)+".AAAA", "algorithm")
	refused("no alg", unsigned(`{"typ":"JWT"}`)+".AAAA", "malformed")
	refused("alg null", unsigned(`{"alg":null}`)+".AAAA", "malformed")
	refused("alg empty", unsigned(`{"alg":""}`)+".AAAA", "malformed")
	refused("ALG in capitals", unsigned(`{"ALG":"RS256"}`)+"."+parts[2], "malformed")
	refused("rs256 in small letters", unsigned(`{"alg":"rs256","kid":"rsa"}`)+"."+parts[2], "algorithm")
	refused("two algs", withHeader(`{"alg":"none","alg":"RS256","kid":"rsa"}`), "malformed")
	refused("HS256 with the key in PEM", hs(pemText, "rsa"), "algorithm")
	refused("HS256 with trimmed PEM", hs(bytes.TrimSpace(pemText), ""), "algorithm")
	refused("HS256 with the key in DER", hs(der, "rsa"), "algorithm")
	refused("HS256 with the modulus", hs(public.N.Bytes(), ""), "algorithm")
	refused("another key", sign(t, "rsa2", "RS256", "rsa", claims), "signature")
	refused("another key, no id", sign(t, "rsa2", "RS256", "", claims), "signature")
	refused("unknown key id", sign(t, "rsa2", "RS256", "nope", claims), "key")
	refused("key id is a path", sign(t, "rsa2", "RS256", "../../../../dev/null", claims), "key")
	refused("key id is a file", sign(t, "rsa2", "RS256", "file:///etc/passwd", claims), "key")
	refused("key id is a URL", sign(t, "rsa2", "RS256", evil.URL+"/jwks.json", claims), "key")
	refused("key id is SQL", sign(t, "rsa2", "RS256", "x' UNION SELECT 'a", claims), "key")
	refused("key id has a NUL", sign(t, "rsa2", "RS256", "rsa\x00", claims), "key")
	refused("key id is long", sign(t, "rsa", "RS256", strings.Repeat("k", 2000), claims), "malformed")
	refused("key id is a list", withHeader(`{"alg":"RS256","kid":["rsa"]}`), "malformed")
	refused("jku", byOther(`{"alg":"RS256","kid":"e","jku":"`+evil.URL+`"}`), "key")
	refused("x5u", byOther(`{"alg":"RS256","x5u":"`+evil.URL+`"}`), "signature")
	own := jwks(t, map[string]string{"": "rsa2"})
	refused("jwk in the header", byOther(`{"alg":"RS256","jwk":`+own+`}`), "signature")
	refused("crit", withHeader(`{"alg":"RS256","kid":"rsa","crit":["exp"]}`), "malformed")
	refused("empty crit", withHeader(`{"alg":"RS256","kid":"rsa","crit":[]}`), "malformed")
	refused("payload not in base64", withHeader(`{"alg":"RS256","kid":"rsa","b64":false}`), "malformed")
	refused("zero signature", unsigned(`{"alg":"ES256","kid":"p256"}`)+"."+enc(make([]byte, 64)), "signature")
	refused("empty RSA signature", unsigned(`{"alg":"RS256","kid":"rsa"}`)+"."+enc([]byte{0}), "signature")
	refused("short ES signature", unsigned(`{"alg":"ES256","kid":"p256"}`)+"."+enc(make([]byte, 8)), "signature")
	ones := enc(bytes.Repeat([]byte{255}, 400))
	refused("long ES signature", unsigned(`{"alg":"ES512","kid":"p521"}`)+"."+ones, "signature")
	admin := enc([]byte(strings.Replace(string(body), "alice", "admin", 1)))
	refused("payload changed", parts[0]+"."+admin+"."+parts[2], "signature")
	refused("header changed", enc([]byte(`{"alg":"RS256", "kid":"rsa"}`))+"."+parts[1]+"."+parts[2], "signature")
	other := strings.Split(sign(t, "rsa", "RS256", "rsa", good(nil)), ".")[2]
	refused("signature of another token", parts[0]+"."+parts[1]+"."+other, "signature")
	refused("padding", real+"=", "malformed")
	refused("standard base64", parts[0]+"."+parts[1]+".+/+/", "malformed")
	refused("five parts", "a.b.c.d.e", "malformed")
	refused("two parts", parts[0]+"."+parts[1], "malformed")
	refused("no payload", parts[0]+".."+parts[2], "malformed")
	refused("dots", "..", "malformed")
	refused("empty", "", "malformed")
	refused("bytes", "\xff\xfe.\xff.\xff", "malformed")
	refused("non-UTF-8 in the header", withHeader("{\"alg\":\"RS256\",\"kid\":\"\xff\"}"), "malformed")
	refused("non-UTF-8 in the claims", withClaims("{\"sub\":\"\xff\"}"), "malformed")
	refused("claims twice", withClaims(`{"iss":"x","iss":"`+issuer+`"}`), "malformed")
	refused("claims are a list", withClaims(`[1]`), "malformed")
	refused("claims are deep", withClaims(strings.Repeat("[", 20000)), "malformed")
	refused("a megabyte", strings.Repeat("a", 1<<20), "malformed")
	refused("a megabyte with dots", parts[0]+"."+strings.Repeat("a", 1<<20)+"."+parts[2], "malformed")
	refused("another scheme in the value", "Basic "+real, "malformed")
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := h.Get("/", withToken(c[0])...)
			if r.Status != 401 || details(r) != c[1] {
				t.Errorf("%s: %d %q, want %q", name, r.Status, r.Details, c[1])
			}
			want := `Bearer realm="moe", error="invalid_token"`
			if got := r.Header.Get("www-authenticate"); !strings.HasPrefix(got, want) {
				t.Errorf("%s: www-authenticate is %q", name, got)
			}
		})
	}
	if r := h.Get("/", withToken(real)...); r.Status != 200 {
		t.Error("the real one", r.Status)
	}
	if fetched.Load() != 0 {
		t.Error("an address in a token was asked")
	}
	for what, secret := range map[string]string{
		"a claim": "very-secret-claim", "the claims": parts[1], "the signature": parts[2], "the subject": "alice",
	} {
		t.Run(what, func(t *testing.T) {
			if strings.Contains(h.Log(), secret) {
				t.Errorf("the log has %q", secret)
			}
		})
	}
	if !strings.Contains(h.Log(), "reason=signature") {
		t.Error("the log does not say why")
	}
}

func TestMissing(t *testing.T) {
	h := filtertest.New(t, inline(jwks(t, map[string]string{"": "rsa"})))
	token := sign(t, "rsa", "RS256", "", good(nil))
	for _, c := range []struct {
		name, want, challenge string
		status                int
		header                []string
	}{
		{name: "nothing", want: "missing", challenge: `Bearer realm="moe"`, status: 401},
		{
			name: "another scheme", want: "missing", challenge: `Bearer realm="moe"`, status: 401,
			header: []string{"authorization", "Basic " + token},
		},
		{
			name: "no scheme", want: "missing", challenge: `Bearer realm="moe"`, status: 401,
			header: []string{"authorization", token},
		},
		{name: "empty", want: "missing", challenge: `Bearer realm="moe"`, status: 401, header: []string{"authorization", ""}},
		{
			name: "two", want: "several",
			challenge: `Bearer realm="moe", error="invalid_request", error_description="more than one token"`, status: 400,
			header: append(withToken(token), withToken(token)...),
		},
		{
			name: "two, as Envoy joins them", want: "several",
			challenge: `Bearer realm="moe", error="invalid_request", error_description="more than one token"`, status: 400,
			header: withToken(token + ",Bearer " + token),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := h.Get("/", c.header...)
			if r.Status != c.status || details(r) != c.want || r.Header.Get("www-authenticate") != c.challenge {
				t.Errorf("%s: %d %q %q", c.name, r.Status, r.Details, r.Header.Get("www-authenticate"))
			}
		})
	}
	if r := h.GRPC("/a.B/C", ""); r.GRPCStatus != 16 {
		t.Errorf("r.GRPCStatus = %d, want 16", r.GRPCStatus)
	}
	// One in a place that is not asked for, another in one that is.
	if r := h.Get("/?access_token="+token, withToken(token)...); r.Status != 200 {
		t.Errorf("r.Status = %d, want 200", r.Status)
	}
}
