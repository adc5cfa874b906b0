package plugins

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mosn.io/moe/e2e/client"
)

// awsSigned returns the headers of a GET that is signed for a canonical path, as AWS's SDKs do.
func awsSigned(ln *listener, canonical, key, secret string, created time.Time) []string {
	date, stamp := created.UTC().Format("20060102"), created.UTC().Format("20060102T150405Z")
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	sum := func(text string) string {
		s := sha256.Sum256([]byte(text))
		return hex.EncodeToString(s[:])
	}
	request := "GET\n" + canonical + "\n\nhost:" + ln.Addr + "\nx-amz-date:" + stamp + "\n\nhost;x-amz-date\n" + sum("")
	scope := date + "/eu-1/execute-api/aws4_request"
	signing := []byte("AWS4" + secret)
	for _, part := range []string{date, "eu-1", "execute-api", "aws4_request"} {
		signing = mac(signing, part)
	}
	signature := mac(signing, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+sum(request))
	return []string{"x-amz-date", stamp, "authorization", fmt.Sprintf(
		"AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=host;x-amz-date, Signature=%x", key, scope, signature)}
}

// want checks a response, and whether the request has reached the upstream.
func (l *listener) want(what string, status int, r *client.Response) {
	l.b.Helper()
	if r.Status != status {
		l.b.Errorf("%s: got %d %s, want %d", what, r.Status, r.Body, status)
	}
	if status != 200 && l.b.reached(r) {
		l.b.Errorf("%s: the request has reached the upstream", what)
	}
}

func init() {
	add("hmacauth: dates centuries ahead, and paths that are normalised", func(b *bed) {
		ln := b.listen(`{plugins: [{name: hmacauth}], ` + twoUsers + `}`)
		now := time.Now()
		far := time.Date(2400, 1, 1, 0, 0, 0, 0, time.UTC)
		for range 2 {
			ln.want("aws4 of 2400", 401, ln.get("/echo", awsSigned(ln, "/echo", "a1", "hush", far)...))
			ln.want("rfc9421 of 2400", 401, ln.get("/echo", signed(ln, "GET", "/echo", "", "a1", "hush", far)...))
		}
		milliseconds := time.Unix(now.UnixMilli(), 0)
		ln.want("created in milliseconds", 401, ln.get("/echo", signed(ln, "GET", "/echo", "", "a1", "hush", milliseconds)...))
		for path, canonical := range map[string]string{
			"/plain": "/plain", "//example//": "/example/", "/a/./b/../c": "/a/c", "/a%20b": "/a%2520b", "/x//y": "/x//y",
		} {
			r := ln.get(path, awsSigned(ln, canonical, "a1", "hush", now)...)
			ln.want("aws4 of "+path, 200, r)
			if !b.reached(r) {
				b.Errorf("aws4 of %s: got %s, want it to reach the upstream", path, r.Body)
			}
			ln.want("aws4 of another path than "+path, 401, ln.get(path+"z", awsSigned(ln, canonical, "a1", "hush", now)...))
		}
	})

	add("jwtauth: keys of unknown types beside others", func(b *bed) {
		const unknown = `{"kty":"AKP","alg":"ML-DSA-44","kid":"pq","pub":"AAAA"},` +
			`{"kty":"EC","crv":"secp256k1","kid":"k","x":"AAAA","y":"AAAA"},{"kty":"RSA","x5c":["!"]},7`
		with := func(ids ...string) string { return strings.Replace(jwks(b, ids...), "[", "["+unknown+",", 1) }
		s := serveKeys(b, with("one"))
		ln := b.listen(fmt.Sprintf(`plugins: [{name: jwtauth, config: {providers: [
			{issuer: "https://issuer.test", keys: {url: %q, cooldown: 0s}}]}}]`, s.URL+"/jwks"),
			route{"/body/", fmt.Sprintf(`plugins: [{name: jwtauth, config: {providers: [
			{issuer: "https://issuer.test", keys: {inline: %q}}]}}]`, with("two"))})
		ln.want("a key of the URL", 200, ln.get("/echo", "authorization", "Bearer "+token(b, "one", nil)))
		ln.want("a key of the configuration", 200, ln.get("/body/x", "authorization", "Bearer "+token(b, "two", nil)))
		s.set(200, with("two"))
		ln.want("a key that was exchanged", 200, ln.get("/echo", "authorization", "Bearer "+token(b, "two", nil)))
		ln.want("the key before", 401, ln.get("/echo", "authorization", "Bearer "+token(b, "one", nil)))
		b.refused(fmt.Sprintf(`plugins: [{name: jwtauth, config: {providers: [{issuer: i, keys: {secret: %q}}]}}]`, jwks(b, "one")))
	})

	add("cors, csrf: pages of the host itself", func(b *bed) {
		ln := b.listen(`plugins: [{name: cors, config: {allowOrigins: ["https://app.example"], denyOthers: true}}]`,
			route{"/body/", `plugins: [{name: cors, disabled: true}, {name: csrf}]`})
		post := func(path string, header ...string) *client.Response {
			return ln.Do(client.Request{Method: "POST", Host: "shop.example", Path: path, Body: "a=1", Header: header})
		}
		ln.want("cors, own page", 200, post("/echo", "origin", "https://shop.example"))
		ln.want("cors, another page", 403, post("/echo", "origin", "https://evil.example"))
		ln.want("csrf, own page without referrers", 200,
			post("/body/x", "origin", "null", "sec-fetch-site", "same-origin"))
		ln.want("csrf, sandboxed page", 403, post("/body/x", "origin", "null", "sec-fetch-site", "cross-site"))
		ln.want("csrf, opaque origin", 403, post("/body/x", "origin", "null"))
	})

	add("tokenauth, cel: two tokens, and paths that are encoded twice", func(b *bed) {
		ln := b.listen(`plugins: [{name: tokenauth, config: {secret: secret}}]`)
		const good = "c64319d06364528120a9f96af62ea83d" // of "/"
		ln.want("one token", 200, ln.get("/", "token", good))
		ln.want("two tokens", 403, ln.get("/", "token", good, "token", "bad"))
		ln = b.listen(`plugins: [{name: cel, config: {allowIf: "!request.path.startsWith('/admin')"}}]`)
		ln.want("a path", 200, ln.get("/body/x"))
		ln.want("a letter that is encoded twice", 400, ln.get("/%2561dmin"))
	})

	add("extauth: headers by which it speaks to the upstream", func(b *bed) {
		service := serve(b, func(http.ResponseWriter, *http.Request) {})
		ln := b.listen(`plugins: [{name: extauth, config: {url: "` + service + `/check", failOpen: true, failureHeader: true}}]`)
		r := ln.get("/echo", "x-envoy-auth-failure-mode-allowed", "true", "x-envoy-auth-new", "1")
		ln.want("forged headers", 200, r)
		for name, values := range b.upstream(r).Header {
			if strings.HasPrefix(strings.ToLower(name), "x-envoy-auth-") {
				b.Errorf("the upstream gets %s: %q", name, values)
			}
		}
	})
}
