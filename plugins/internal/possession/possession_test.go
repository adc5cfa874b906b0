package possession

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws/jwsbb"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/bearer"
	"mosn.io/moe/plugins/internal/plugintest"
)

func b64(p []byte) string { return base64.RawURLEncoding.EncodeToString(p) }

// client makes proofs with a key.
type client struct {
	t      *testing.T
	key    any
	alg    string
	public map[string]any
	thumb  []byte
}

func newClient(t *testing.T, key any, alg string) *client {
	t.Helper()
	public, err := jwk.PublicKeyOf(key)
	if err != nil {
		t.Fatalf("jwk.PublicKeyOf: %v", err)
	}
	thumb, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatalf("Thumbprint: %v", err)
	}
	text, err := json.Marshal(public)
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	c := &client{t: t, key: key, alg: alg, public: map[string]any{}, thumb: thumb}
	if err := json.Unmarshal(text, &c.public); err != nil {
		t.Fatalf("json.Unmarshal: %v", err)
	}
	return c
}

func p256(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("ecdsa.GenerateKey: %v", err)
	}
	return k
}

// proof is a good one for a token, with changes of the header and of what it says; nil removes a member.
func (c *client) proof(token string, header, said map[string]any) string {
	c.t.Helper()
	sum := sha256.Sum256([]byte(token))
	h := map[string]any{"typ": "dpop+jwt", "alg": c.alg, "jwk": c.public}
	p := map[string]any{
		"jti": rand.Text(), "htm": "GET", "htu": "https://api.example/orders/1", "iat": time.Now().Unix(), "ath": b64(sum[:]),
	}
	merge(h, header)
	merge(p, said)
	var parts []string
	for _, v := range []any{h, p} {
		text, err := json.Marshal(v)
		if err != nil {
			c.t.Fatalf("json.Marshal: %v", err)
		}
		parts = append(parts, b64(text))
	}
	signed := strings.Join(parts, ".")
	signature, err := jwsbb.Sign(c.key, c.alg, []byte(signed), rand.Reader)
	if err != nil {
		c.t.Fatalf("jwsbb.Sign: %v", err)
	}
	return signed + "." + b64(signature)
}

func merge(m, changes map[string]any) {
	maps.Copy(m, changes)
	for k, v := range m {
		if v == nil {
			delete(m, k)
		}
	}
}

func started(t *testing.T, d *DPoP) *DPoP {
	t.Helper()
	if d.MaxAge == 0 {
		d.MaxAge = time.Minute
	}
	if d.ReplayCache == 0 {
		d.ReplayCache = 100
	}
	if err := d.Validate(); err != nil {
		t.Fatalf("d.Validate: %v", err)
	}
	if err := d.Start(); err != nil {
		t.Fatalf("d.Start: %v", err)
	}
	return d
}

// check is what becomes of a request.
func check(t *testing.T, c *Confirmation, d *DPoP, token string, scheme bool, r *http.Request, digest string) *bearer.Reason {
	t.Helper()
	var why *bearer.Reason
	h := filtertest.Host{Attrs: map[filter.Attr]string{}}
	if digest != "" {
		h.Attrs[filter.AttrPeerDigest] = digest
	}
	if err := h.Load(t, &plugintest.Probe{Request: func(s filter.Stream, h filter.RequestHeaders) {
		why = c.Check(s, h, d, token, scheme)
	}}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	h.Do(r)
	return why
}

func request(method, path string, proofs ...string) *http.Request {
	var header []string
	for _, p := range proofs {
		header = append(header, "dpop", p)
	}
	r := filtertest.NewRequest(method, path, "", header...)
	r.Host = "api.example"
	return r
}

// TestExample is that of RFC 9449, section 7.1.
func TestExample(t *testing.T) {
	const (
		token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
		proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	)
	c, err := Read([]byte(`{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`))
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	d := started(t, &DPoP{})
	d.now = func() time.Time { return time.Unix(1562262618, 0) }
	r := request("GET", "/protectedresource", proof)
	r.Host = "resource.example.org"
	if why := check(t, &c, d, token, true, r, ""); why != nil {
		t.Errorf("got %s, want it to pass", why.Name)
	}
}

func TestProofs(t *testing.T) {
	const token = "the-token"
	c := newClient(t, p256(t), "ES256")
	other := newClient(t, p256(t), "ES256")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatalf("rsa.GenerateKey: %v", err)
	}
	rs := newClient(t, key, "RS256")
	private := maps.Clone(c.public)
	private["d"] = "AAAA"
	ago := func(d time.Duration) map[string]any { return map[string]any{"iat": time.Now().Add(-d).Unix()} }
	for _, x := range []struct {
		name   string
		by     *client // c
		bound  *client // whose key the token is bound to: c
		header map[string]any
		said   map[string]any
		token  string // that the proof is for
		method string
		path   string
		proof  func(string) []string
		dpop   DPoP
		bearer bool // sent as a bearer token
		want   *bearer.Reason
	}{
		{name: "good"},
		{name: "RSA", by: rs, bound: rs},
		{name: "with a query", path: "/orders/1?x=y"},
		{name: "address with a query", said: map[string]any{"htu": "https://api.example/orders/1?a#b"}},
		{name: "address with a port", said: map[string]any{"htu": "https://API.example:443/orders/1"}},
		{name: "address with escapes", said: map[string]any{"htu": "https://api.example/%6frders/1"}},
		{name: "a configured origin", said: map[string]any{"htu": "https://public.example/orders/1"}, dpop: DPoP{Origins: []string{"https://public.example"}}},
		{name: "key with a name", header: map[string]any{"kid": "x"}},
		{name: "a little old", said: ago(50 * time.Second)},
		{name: "a little ahead", said: ago(-50 * time.Second)},
		{name: "no proof", proof: func(string) []string { return nil }, want: badProof},
		{name: "two proofs", proof: func(p string) []string { return []string{p, p} }, want: badProof},
		{name: "nonsense", proof: func(string) []string { return []string{"a.b.c"} }, want: badProof},
		{name: "too long", said: map[string]any{"x": strings.Repeat("x", maxProof)}, want: badProof},
		{name: "another key", by: other, want: badProof},
		{name: "another's key in the header", header: map[string]any{"jwk": other.public}, want: badProof},
		{name: "signed with another key", by: other, header: map[string]any{"jwk": c.public}, want: badProof},
		{name: "a private key", header: map[string]any{"jwk": private}, want: badProof},
		{name: "no key", header: map[string]any{"jwk": nil}, want: badProof},
		{name: "no algorithm", header: map[string]any{"alg": "none"}, want: badProof},
		{name: "a secret", header: map[string]any{"alg": "HS256", "jwk": map[string]any{"kty": "oct", "k": b64(make([]byte, 32))}}, want: badProof},
		{name: "an ordinary token", header: map[string]any{"typ": "JWT"}, want: badProof},
		{name: "no type", header: map[string]any{"typ": nil}, want: badProof},
		{name: "an extension", header: map[string]any{"crit": []string{"x"}}, want: badProof},
		{name: "another method", said: map[string]any{"htm": "POST"}, want: badProof},
		{name: "method in small letters", said: map[string]any{"htm": "get"}, want: badProof},
		{name: "another path", said: map[string]any{"htu": "https://api.example/orders/2"}, want: badProof},
		{name: "a path above", said: map[string]any{"htu": "https://api.example/orders"}, want: badProof},
		{name: "another host", said: map[string]any{"htu": "https://evil.example/orders/1"}, want: badProof},
		{name: "not the configured origin", dpop: DPoP{Origins: []string{"https://public.example"}}, want: badProof},
		{name: "no address", said: map[string]any{"htu": nil}, want: badProof},
		{name: "address without a scheme", said: map[string]any{"htu": "api.example/orders/1"}, want: badProof},
		{name: "old", said: ago(2 * time.Minute), want: badProof},
		{name: "of the future", said: ago(-2 * time.Minute), want: badProof},
		{name: "no time", said: map[string]any{"iat": nil}, want: badProof},
		{name: "time that is text", said: map[string]any{"iat": "now"}, want: badProof},
		{name: "no name", said: map[string]any{"jti": nil}, want: badProof},
		{name: "empty name", said: map[string]any{"jti": ""}, want: badProof},
		{name: "long name", said: map[string]any{"jti": strings.Repeat("x", maxID+1)}, want: badProof},
		{name: "another token", token: "another", want: badProof},
		{name: "no token", said: map[string]any{"ath": nil}, want: badProof},
		{name: "as a bearer token", bearer: true, want: NotBound},
	} {
		t.Run(x.name, func(t *testing.T) {
			by, bound := c, c
			if x.by != nil {
				by = x.by
			}
			if x.bound != nil {
				bound = x.bound
			}
			of, path := x.token, x.path
			if of == "" {
				of = token
			}
			if path == "" {
				path = "/orders/1"
			}
			proofs := []string{by.proof(of, x.header, x.said)}
			if x.proof != nil {
				proofs = x.proof(proofs[0])
			}
			d := started(t, &x.dpop)
			got := check(t, &Confirmation{key: bound.thumb}, d, token, !x.bearer, request("GET", path, proofs...), "")
			if got != x.want {
				t.Errorf("got %+v, want %+v", got, x.want)
			}
		})
	}
}

func TestReplay(t *testing.T) {
	c := newClient(t, p256(t), "ES256")
	conf := &Confirmation{key: c.thumb}
	d := started(t, &DPoP{ReplayCache: 2})
	proof := c.proof("t", nil, nil)
	for _, x := range []struct {
		name  string
		proof string
		want  *bearer.Reason
	}{
		{"first", proof, nil},
		{"again", proof, replayed},
		{"another", c.proof("t", nil, nil), nil},
		{"one too many", c.proof("t", nil, nil), full},
		{"still known", proof, replayed},
	} {
		t.Run(x.name, func(t *testing.T) {
			if got := check(t, conf, d, "t", true, request("GET", "/orders/1", x.proof), ""); got != x.want {
				t.Errorf("got %+v, want %+v", got, x.want)
			}
		})
	}
}

func TestConfirmations(t *testing.T) {
	digest := sha256.Sum256([]byte("certificate"))
	text := hex.EncodeToString(digest[:])
	c := newClient(t, p256(t), "ES256")
	for _, x := range []struct {
		name   string
		cnf    string
		digest string
		d      *DPoP
		scheme bool
		want   *bearer.Reason
		bad    bool // cnf is an error
	}{
		{name: "none", cnf: ""},
		{name: "null", cnf: "null"},
		{name: "none, by DPoP", scheme: true, d: &DPoP{}, want: NotBound},
		{name: "none, where a key is required", d: &DPoP{Required: true}, want: NotBound},
		{name: "certificate", cnf: `{"x5t#S256":"` + b64(digest[:]) + `"}`, digest: text},
		{name: "padded", cnf: `{"x5t#S256":"` + b64(digest[:]) + `="}`, digest: strings.ToUpper(text)},
		{name: "no certificate", cnf: `{"x5t#S256":"` + b64(digest[:]) + `"}`, want: NotBound},
		{name: "another certificate", cnf: `{"x5t#S256":"` + b64(digest[:]) + `"}`, digest: strings.Repeat("ab", 32), want: NotBound},
		{name: "key, and no DPoP here", cnf: `{"jkt":"` + b64(c.thumb) + `"}`, want: NotBound},
		{name: "key and certificate, of which one is missing", cnf: `{"jkt":"` + b64(c.thumb) + `","x5t#S256":"` + b64(digest[:]) + `"}`, d: &DPoP{}, scheme: true, want: NotBound},
		{name: "unknown", cnf: `{"jwk":{}}`, bad: true},
		{name: "unknown beside one that is known", cnf: `{"x5t#S256":"16j7swfXgJRpypq8sAguT41WUeRtPNt2LQK_vzfJ5ZI","kid":"x"}`, bad: true},
		{name: "empty", cnf: `{}`, bad: true},
		{name: "text", cnf: `"x"`, bad: true},
		{name: "short", cnf: `{"jkt":"AAAA"}`, bad: true},
		{name: "number", cnf: `{"jkt":1}`, bad: true},
		{name: "twice", cnf: `{"jkt":"` + b64(c.thumb) + `","jkt":"` + b64(c.thumb) + `"}`, bad: true},
	} {
		t.Run(x.name, func(t *testing.T) {
			var cnf []byte
			if x.cnf != "" {
				cnf = []byte(x.cnf)
			}
			conf, err := Read(cnf)
			if (err != nil) != x.bad {
				t.Fatalf("got %v, want an error: %v", err, x.bad)
			}
			if err != nil {
				return
			}
			if x.d != nil {
				started(t, x.d)
			}
			if got := check(t, &conf, x.d, "t", x.scheme, request("GET", "/"), x.digest); got != x.want {
				t.Errorf("got %+v, want %+v", got, x.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`))
	f.Add([]byte(`{"x5t#S256":"","jkt":""}`))
	f.Fuzz(func(t *testing.T, cnf []byte) {
		if c, err := Read(cnf); err == nil && len(cnf) > 0 && string(cnf) != "null" && c.certificate == nil && c.key == nil {
			t.Errorf("%q demands nothing", cnf)
		}
	})
}
