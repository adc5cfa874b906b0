package plugins

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/internal/redistest"
)

// control is the query by which the upstream answers with a cache-control.
func control(v string) string { return "h=cache-control:" + v }

func init() {
	add("cache: hits, validators, ranges, HEAD", func(b *bed) {
		ln := b.listen(`plugins: [{name: cache}]`, route{"/body/", `plugins: [{name: cache, disabled: true}]`})
		path := "/echo?h=etag:%22v1%22&h=x-two:1&h=x-two:2&h=content-type:text/css&" + control("max-age=60")
		first := ln.get(path)
		if first.Status != 200 || first.Header.Get("cache-status") != "moe; fwd=uri-miss; stored" {
			b.Fatalf("got %d %v, want a response that is stored", first.Status, first.Header)
		}
		hit := ln.get(path)
		if hit.Status != 200 || hit.Body != first.Body || hit.Header.Get("etag") != `"v1"` || len(hit.Header.Values("x-two")) != 2 ||
			hit.Header.Get("age") == "" || !strings.HasPrefix(hit.Header.Get("cache-status"), "moe; hit") || b.reached(hit) ||
			hit.Header.Get("content-type") != first.Header.Get("content-type") || hit.Header.Get("date") != first.Header.Get("date") {
			b.Errorf("got %d %v, want the first response, %v", hit.Status, hit.Header, first.Header)
		}
		if got := b.Access(hit.ID)["details"]; got != "moe.cache.stored" {
			b.Errorf("the details are %v, want moe.cache.stored", got)
		}
		if r := ln.get(path, "if-none-match", `"v1"`); r.Status != 304 || r.Body != "" || b.reached(r) || r.Header.Get("etag") != `"v1"` {
			b.Errorf("if-none-match: got %d %q %v, want 304 with the tag", r.Status, r.Body, r.Header)
		}
		if r := ln.get(path, "range", "bytes=1-3"); r.Status != 206 || r.Body != first.Body[1:4] || r.Header.Get("content-range") == "" {
			b.Errorf("a range: got %d %q %v, want 206 with 3 bytes", r.Status, r.Body, r.Header)
		}
		for _, h2 := range []bool{false, true} {
			r := ln.Do(client.Request{Path: path, Method: "HEAD", H2: h2})
			if r.Status != 200 || r.Body != "" || b.reached(r) || r.Header.Get("etag") != `"v1"` {
				b.Errorf("HEAD, HTTP/2 %v: got %d %q %v, want the headers that are stored", h2, r.Status, r.Body, r.Header)
			}
		}
		if r := ln.get("/body/x?" + control("max-age=60")); r.Header.Get("cache-status") != "" {
			b.Errorf("a route without it: got %v, want no cache-status", r.Header)
		}
		if r := ln.get(path, "x-forwarded-host", "evil.example"); !b.reached(r) || r.Header.Get("cache-status") != "moe; fwd=bypass" {
			b.Errorf("an unkeyed header: got %v, want the upstream's", r.Header)
		}
		ln.post("/echo?h=etag:%22v1%22&h=x-two:1&h=x-two:2&h=content-type:text/css&"+control("max-age=60"), "x")
		if r := ln.get(path); !b.reached(r) {
			b.Error("after a POST the stored response is used, want it gone")
		}
	})

	add("cache: revalidation, errors, collapsing", func(b *bed) {
		ln := b.listen(`plugins: [{name: cache, config: {staleIfError: 1m}}]`)
		path := "/cached?etag=%22v1%22&" + control("max-age=0")
		first := ln.get(path)
		r := ln.get(path)
		if r.Status != 200 || r.Body != first.Body || !strings.HasPrefix(r.Header.Get("cache-status"), "moe; hit; fwd=stale; fwd-status=304") {
			b.Errorf("got %d %v, want the stored body after a 304", r.Status, r.Header)
		}
		if got := b.upstream(r).Header.Get("if-none-match"); got != `"v1"` {
			b.Errorf("the upstream sees if-none-match %q, want the stored tag", got)
		}
		if r := ln.get(path, "if-none-match", `"v1"`); r.Status != 304 || r.Body != "" {
			b.Errorf("with the client's own tag: got %d %q, want 304", r.Status, r.Body)
		}
		// The status is the request's, so that the same resource fails now.
		path = "/cached?" + control("max-age=0")
		if r := ln.get(path, "x-status", "200"); r.Status != 200 {
			b.Fatalf("got %d, want 200", r.Status)
		}
		if r := ln.get(path, "x-status", "503"); r.Status != 200 || !strings.HasPrefix(r.Header.Get("cache-status"), "moe; fwd=stale; fwd-status=503") {
			b.Errorf("an upstream that fails: got %d %v, want what is stored", r.Status, r.Header)
		}
		var wg sync.WaitGroup
		var reached atomic.Int64
		for range 8 {
			wg.Go(func() {
				r := ln.get("/cached?pause=300ms&" + control("max-age=60"))
				if r.Status != 200 {
					b.Errorf("got %d, want 200", r.Status)
				}
				if b.reached(r) {
					reached.Add(1)
				}
			})
		}
		wg.Wait()
		if n := reached.Load(); n != 1 {
			b.Errorf("%d of 8 requests reach the upstream, want 1", n)
		}
	})

	add("cache: consumers and purge", func(b *bed) {
		ln := b.listen(`
plugins:
- {name: keyauth}
- {name: cache, config: {purge: {consumers: [admin]}}}
consumers:
- {name: alice, credentials: {keyauth: {key: a}}}
- {name: bob, credentials: {keyauth: {key: b}}}
- {name: admin, credentials: {keyauth: {key: root}}}
`)
		path := "/echo?h=surrogate-key:one%20two&" + control("max-age=60")
		for _, key := range []string{"a", "b"} {
			if r := ln.get(path, "x-api-key", key); !b.reached(r) {
				b.Errorf("%s gets what another has, want its own", key)
			}
			if r := ln.get(path, "x-api-key", key); b.reached(r) {
				b.Errorf("%s does not get what is stored for it", key)
			}
		}
		if r := ln.Do(client.Request{Method: "PURGE", Path: "/", Header: []string{"x-api-key", "a", "surrogate-key", "two"}}); r.Status != 403 {
			b.Errorf("a purge by alice: got %d, want 403", r.Status)
		}
		if r := ln.Do(client.Request{Method: "PURGE", Path: "/", Header: []string{"x-api-key", "root", "surrogate-key", "two"}}); r.Status != 200 ||
			r.Body != `{"purged":2}` {
			b.Errorf("a purge by admin: got %d %s, want 2 purged", r.Status, r.Body)
		}
	})

	// The token is taken off the request before the cache sees it.
	add("cache: callers with tokens", func(b *bed) {
		ln := b.listen(fmt.Sprintf(`plugins: [{name: jwtauth, config: {providers: [{issuer: "https://issuer.test", audiences: [api],
			keys: {inline: '%s'}}]}}, {name: cache}]`, jwks(b, "one")))
		path := "/echo?" + control("public,max-age=60")
		ask := func(sub, nonce string) bool {
			r := ln.get(path, "authorization", "Bearer "+token(b, "one", m{"sub": sub, "nonce": nonce}))
			if r.Status != 200 || b.reached(r) && b.upstream(r).Header.Get("authorization") != "" {
				b.Errorf("%s: got %d, want 200, and an upstream without the token", sub, r.Status)
			}
			return b.reached(r)
		}
		alice, bob, again := ask("alice", "1"), ask("bob", "2"), ask("alice", "3")
		if !alice || !bob || again {
			b.Errorf("reached: alice %v, bob %v, alice with another token %v; want true, true, false", alice, bob, again)
		}
	})

	add("cache: shared by Redis", func(b *bed) {
		s := redistest.Start(b)
		// Another maxBytes makes another instance, as in another Envoy: the two share nothing but Redis.
		const doc = `plugins: [{name: cache, config: {maxBytes: %dMiB, redis: {addresses: ["%s"], timeout: 5s, local: 0s}, purge: {networks: ["0.0.0.0/0", "::/0"]}}}]`
		first, second := b.listen(fmt.Sprintf(doc, 10, s.Addr)), b.listen(fmt.Sprintf(doc, 20, s.Addr))
		path := "/echo?h=surrogate-key:k&" + control("max-age=60")
		// The two have ports of their own, and so resources of their own if the client does not say otherwise.
		get := func(l *listener, header ...string) *client.Response {
			return l.Do(client.Request{Path: path, Host: "site.example", Header: header})
		}
		r := get(first)
		b.Poll(func() error { // it is written in the background
			if got := get(second, "cache-control", "only-if-cached"); got.Body != r.Body {
				return fmt.Errorf("the other answers %q, want what the first has stored", got.Body)
			}
			return nil
		})
		if r := second.Do(client.Request{Method: "PURGE", Path: "/", Header: []string{"surrogate-key", "k"}}); r.Status != 200 {
			b.Errorf("a purge: got %d %s, want 200", r.Status, r.Body)
		}
		if r := get(first); !b.reached(r) {
			b.Error("after a purge by the other, the first has the old response")
		}
		s.Kill()
		if r := get(first); r.Status != 200 || b.reached(r) {
			b.Errorf("without Redis: got %d, want what is in memory", r.Status)
		}
	})
}
