package plugins

import (
	"strings"

	"mosn.io/moe/e2e/client"
)

func init() {
	add("bodylimit: routes, consumers, chunks", func(b *bed) {
		ln := b.listen(`
plugins: [{name: keyauth}, {name: bodylimit, config: {request: 1000, response: 900}}]
consumers:
- {name: small, credentials: {keyauth: {key: s}}}
- {name: large, credentials: {keyauth: {key: l}}, plugins: [{name: bodylimit, config: {request: 100KiB}}]}
`, route{"/body/tiny", `plugins: [{name: bodylimit, config: {request: 10, requireLength: true}}]`})
		k := func(n int) string { return strings.Repeat("x", n) }
		for _, c := range []struct {
			name   string
			q      client.Request
			status int
		}{
			{name: "fits", q: client.Request{Path: "/body/x", Body: k(1000)}, status: 200},
			{name: "too large", q: client.Request{Path: "/body/x", Body: k(1001)}, status: 413},
			{name: "chunks that fit", q: client.Request{Path: "/body/x", Chunks: []string{k(500), k(500)}}, status: 200},
			{name: "chunks", q: client.Request{Path: "/body/x", Chunks: []string{k(500), k(501)}}, status: 413},
			{name: "a consumer's limit", q: client.Request{Path: "/body/x", Body: k(100 << 10), Header: []string{"x-api-key", "l"}}, status: 200},
			{name: "a route's limit", q: client.Request{Path: "/body/tiny", Body: k(11)}, status: 413},
			{name: "a route without a length", q: client.Request{Path: "/body/tiny", Chunks: []string{"x"}}, status: 411},
			{name: "a response that fits", q: client.Request{Path: "/body/" + k(900)}, status: 200},
			{name: "a response", q: client.Request{Path: "/body/" + k(901)}, status: 502},
		} {
			if c.q.Header == nil {
				c.q.Header = []string{"x-api-key", "s"}
			}
			if r := ln.Do(c.q); r.Status != c.status || r.Err != nil {
				b.Errorf("%s: got %d %.50q, %v; want %d", c.name, r.Status, r.Body, r.Err, c.status)
			}
		}
		if r := ln.get("/bytes?n=2000&chunk=500&pause=50ms", "x-api-key", "s"); r.Err == nil || r.Bytes > 900 {
			b.Errorf("a response in chunks: got %d with %d bytes, %v; want it cut off", r.Status, r.Bytes, r.Err)
		}
		b.WaitMetric("moe.bodylimit.reset", "", 1)
	})
}
