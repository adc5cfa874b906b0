package plugins

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
)

// keyring are keys of an issuer of tokens, by their ids.
var keyring = sync.OnceValue(func() map[string]any {
	one, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	two, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return map[string]any{"one": one, "two": two}
})

// jwks is the JSON Web Key Set of some of them.
func jwks(t testing.TB, ids ...string) string {
	t.Helper()
	set := jwk.NewSet()
	for _, id := range ids {
		k, err := jwk.PublicKeyOf(keyring()[id])
		if err != nil {
			t.Fatalf("jwk.PublicKeyOf: %v", err)
		}
		if err := k.Set(jwk.KeyIDKey, id); err != nil {
			t.Fatalf("k.Set: %v", err)
		}
		if err := set.AddKey(k); err != nil {
			t.Fatalf("set.AddKey: %v", err)
		}
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	return string(text)
}

// token returns a token for alice, with changes to its claims.
func token(t testing.TB, id string, changes m) string {
	t.Helper()
	claims := m{
		"iss": "https://issuer.test", "sub": "alice", "aud": "api", "exp": time.Now().Add(time.Hour).Unix(), "team": "blue",
	}
	for k, v := range changes {
		claims[k] = v
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	header := jws.NewHeaders()
	if err := header.Set(jws.KeyIDKey, id); err != nil {
		t.Fatalf("header.Set: %v", err)
	}
	alg := jwa.RS256()
	if _, ok := keyring()[id].(*ecdsa.PrivateKey); ok {
		alg = jwa.ES256()
	}
	out, err := jws.Sign(text, jws.WithKey(alg, keyring()[id], jws.WithProtectedHeaders(header)))
	if err != nil {
		t.Fatalf("jws.Sign: %v", err)
	}
	return string(out)
}

// keyServer gives keys that change, or fails.
type keyServer struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	body   string
}

func serveKeys(b *bed, body string) *keyServer {
	s := &keyServer{status: 200, body: body}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		w.WriteHeader(s.status)
		fmt.Fprint(w, s.body)
	}))
	b.Cleanup(s.Close)
	return s
}

func (s *keyServer) set(status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body = status, body
}

func init() {
	add("jwtauth: tokens good and bad", func(b *bed) {
		ln := b.listen(fmt.Sprintf(`
plugins:
- name: jwtauth
  config:
    providers: [{issuer: "https://issuer.test", audiences: [api], keys: {inline: %q}}]
    claimsToHeaders: [{claim: sub, header: x-user}]
    claimsToMetadata: [team]
    consumerClaim: sub
    cacheSize: 100
- {name: headermutation, config: {request: {set: {x-team: "%%DYNAMIC_METADATA(moe.jwtauth:team)%%", x-who: "%%CONSUMER%%"}}}}
consumers: [{name: tom, credentials: {jwtauth: {subject: alice}}}]`, jwks(b, "one")))
		good := token(b, "one", nil)
		for range 2 { // the second time from the cache
			r := ln.get("/echo", "authorization", "Bearer "+good, "x-user", "root")
			if r.Status != 200 {
				b.Fatalf("r.Status = %d, want 200: %s", r.Status, r.Body)
			}
			h := b.upstream(r).Header
			if strings.Join(h.Values("x-user"), ",") != "alice" || h.Get("x-team") != "blue" || h.Get("x-who") != "tom" ||
				h.Get("authorization") != "" {
				b.Errorf("the upstream sees %v", h)
			}
		}
		parts := strings.Split(good, ".")
		for details, value := range map[string]string{
			"missing":   "",
			"expired":   "Bearer " + token(b, "one", m{"exp": 1}),
			"not_yet":   "Bearer " + token(b, "one", m{"nbf": time.Now().Add(time.Hour).Unix()}),
			"audience":  "Bearer " + token(b, "one", m{"aud": "web"}),
			"issuer":    "Bearer " + token(b, "one", m{"iss": "https://evil.test"}),
			"key":       "Bearer " + token(b, "two", nil),
			"signature": "Bearer " + parts[0] + "." + parts[1] + "." + strings.Split(token(b, "one", m{"sub": "x"}), ".")[2],
			"malformed": "Bearer eyJhbGciOiJub25lIn0." + parts[1] + ".",
			"algorithm": "Bearer eyJhbGciOiJub25lIn0." + parts[1] + "." + parts[2],
			"consumer":  "Bearer " + token(b, "one", m{"sub": "nobody"}),
		} {
			b.Run(details, func() {
				var header []string
				if value != "" {
					header = []string{"authorization", value}
				}
				r := ln.get("/echo", header...)
				if r.Status != 401 || b.reached(r) || b.Access(r.ID)["details"] != "moe.jwtauth."+details ||
					!strings.HasPrefix(r.Header.Get("www-authenticate"), `Bearer realm="moe"`) {
					b.Errorf("got status %d, details %v and header %v, want 401 with these details and a challenge",
						r.Status, b.Access(r.ID)["details"], r.Header)
				}
			})
		}
		if r := ln.get("/echo", "authorization", "Bearer "+good, "authorization", "Bearer "+good); r.Status != 400 {
			b.Errorf("two tokens: %d", r.Status)
		}
	})

	add("jwtauth: keys of a server that rotates and fails", func(b *bed) {
		s := serveKeys(b, jwks(b, "one"))
		ln := b.listen(fmt.Sprintf(`plugins: [{name: jwtauth, config: {providers: [
			{issuer: "https://issuer.test", audiences: [api], keys: {url: "%s/jwks", cooldown: 10ms}}]}}]`, s.URL))
		one := []string{"authorization", "Bearer " + token(b, "one", nil)}
		two := []string{"authorization", "Bearer " + token(b, "two", nil)}
		ln.status(200, "/echo", one...)
		s.set(500, "")
		ln.status(401, "/echo", two...)
		ln.status(200, "/echo", one...)
		s.set(200, jwks(b, "two"))
		ln.status(200, "/echo", two...) // without waiting for the next reading
		ln.status(401, "/echo", one...)

		down := serveKeys(b, "")
		down.set(500, "")
		ln = b.listen(fmt.Sprintf(`plugins: [{name: jwtauth, config: {providers: [
			{issuer: "https://issuer.test", keys: {url: "%s/jwks"}}]}}]`, down.URL))
		if r := ln.get("/echo", one...); r.Status != 503 || b.reached(r) {
			b.Errorf("without any keys: %d", r.Status)
		}
	})

	add("jwtauth: keys of a file", func(b *bed) {
		file := filepath.Join(b.TempDir(), "keys.json")
		replace(b, file, jwks(b, "one"))
		ln := b.listen(fmt.Sprintf(`plugins: [{name: jwtauth, config: {poll: 20ms, providers: [
			{issuer: "https://issuer.test", keys: {file: %q}}]}}]`, file))
		ln.status(200, "/echo", "authorization", "Bearer "+token(b, "one", nil))
		replace(b, file, jwks(b, "two"))
		ln.status(200, "/echo", "authorization", "Bearer "+token(b, "two", nil))
		ln.status(401, "/echo", "authorization", "Bearer "+token(b, "one", nil))
		b.refused(`plugins: [{name: jwtauth, config: {providers: [{keys: {secret: short}}]}}]`)
	})

	add("jwtauth: keys that the issuer names, and encrypted tokens", func(b *bed) {
		_, id := b.tokens("web", "openid")
		ln := b.listen(fmt.Sprintf(`plugins: [{name: jwtauth, config: {claimsToHeaders: [{claim: sub, header: x-user}],
			providers: [{issuer: %q, audiences: [web], keys: {discover: true}}]}}]`, provider()))
		b.Poll(func() error { // the first reading takes two steps
			if r := ln.get("/echo", "authorization", "Bearer "+id); r.Status != 200 || b.upstream(r).Header.Get("x-user") != "id1" {
				return fmt.Errorf("an ID token: got %d %s, want 200", r.Status, r.Body)
			}
			return nil
		})
		ln.want("a token of another issuer", 401, ln.get("/echo", "authorization", "Bearer "+token(b, "one", nil)))

		private, err := jwk.Import(keyring()["one"])
		if err != nil {
			b.Fatalf("jwk.Import: %v", err)
		}
		text, err := json.Marshal(private)
		if err != nil {
			b.Fatalf("json.Marshal: %v", err)
		}
		encrypted, err := jwe.Encrypt([]byte(token(b, "two", nil)), jwe.WithKey(jwa.RSA_OAEP_256(), &keyring()["one"].(*rsa.PrivateKey).PublicKey))
		if err != nil {
			b.Fatalf("jwe.Encrypt: %v", err)
		}
		ln = b.listen(fmt.Sprintf(`plugins: [{name: jwtauth, config: {cacheSize: 100, decryption: {keys: %q, required: true},
			providers: [{issuer: "https://issuer.test", keys: {inline: %q}}]}}]`, text, jwks(b, "two")))
		for range 2 { // the second time from the cache
			ln.want("an encrypted token", 200, ln.get("/echo", "authorization", "Bearer "+string(encrypted)))
		}
		ln.want("a spoilt one", 401, ln.get("/echo", "authorization", "Bearer "+string(encrypted[:len(encrypted)-3])+"AAA"))
		ln.want("one that is not encrypted", 401, ln.get("/echo", "authorization", "Bearer "+token(b, "two", nil)))
	})
}
