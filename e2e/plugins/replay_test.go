package plugins

import (
	"fmt"
	"strconv"
	"time"

	"mosn.io/moe/internal/redistest"
)

func init() {
	add("replay: nonces, routes, consumers", func(b *bed) {
		ln := b.listen(`
plugins: [{name: keyauth}, {name: replay, config: {timestamp: {window: 1m}}}]
consumers:
- {name: one, credentials: {keyauth: {key: "1"}}}
- {name: two, credentials: {keyauth: {key: "2"}}}
- {name: free, credentials: {keyauth: {key: "3"}}, plugins: [{name: replay, config: {optional: true}}]}
`, route{"/body/", `plugins: [{name: replay, disabled: true}]`})
		now := strconv.FormatInt(time.Now().Unix(), 10)
		for _, c := range []struct {
			name, path, key, nonce, time string
			status                       int
		}{
			{name: "first", path: "/echo", key: "1", nonce: "0123456789abcdef", time: now, status: 200},
			{name: "again", path: "/echo", key: "1", nonce: "0123456789abcdef", time: now, status: 409},
			{name: "another consumer", path: "/echo", key: "2", nonce: "0123456789abcdef", time: now, status: 200},
			{name: "too old", path: "/echo", key: "1", nonce: "0123456789abcdefx", time: "1700000000", status: 400},
			{name: "no nonce", path: "/echo", key: "1", status: 400},
			{name: "optional for a consumer", path: "/echo", key: "3", status: 200},
			{name: "another route", path: "/body/x", key: "1", status: 200},
		} {
			header := []string{"x-api-key", c.key}
			if c.nonce != "" {
				header = append(header, "x-nonce", c.nonce, "x-timestamp", c.time)
			}
			if r := ln.get(c.path, header...); r.Status != c.status || c.status != 200 && b.reached(r) {
				b.Errorf("%s: got %d %q, want %d", c.name, r.Status, r.Body, c.status)
			}
		}
		b.WaitMetric("moe.replay.replayed", "", 1)
	})

	add("replay: nonces in Redis", func(b *bed) {
		s := redistest.Start(b)
		// Another maxNonces makes another instance, as in another Envoy: the two share nothing but Redis.
		const doc = `plugins: [{name: replay, config: {redis: {addresses: ["%s"], timeout: 5s, onFailure: %s}, maxNonces: %d, errorStatus: 503}}]`
		first, second := b.listen(fmt.Sprintf(doc, s.Addr, "error", 1000)), b.listen(fmt.Sprintf(doc, s.Addr, "local", 2000))
		send := func(ln *listener, nonce string, want int) {
			b.Helper()
			if r := ln.get("/echo", "x-nonce", "0123456789abcdef"+nonce); r.Status != want {
				b.Errorf("%s: got %d %q, want %d", nonce, r.Status, r.Body, want)
			}
		}
		send(first, "a", 200)
		send(second, "a", 409)
		s.Kill()
		send(first, "b", 503)
		send(second, "b", 200)
		send(second, "b", 409)
	})
}
