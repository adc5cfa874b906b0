package plugins

import (
	"bytes"
	"compress/gzip"
	"strings"

	"mosn.io/moe/e2e/client"
)

func init() {
	add("block: paths, robots, bodies, routes", func(b *bed) {
		ln := b.listen(`plugins: [{name: block, config: {maxBody: 1000, rules: [
			{name: hidden, pattern: '/\.git(/|$)'}, {name: robots, agent: {kinds: [ai-crawler], missing: true}},
			{name: word, methods: [POST], body: evil}]}}]`,
			route{"/body/free", `plugins: [{name: block, disabled: true}]`},
			route{"/body/more", `plugins: [{name: block, config: {rules: [{name: query, query: '<script'}]}}]`})
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = w.Write([]byte("an evil word"))
		_ = w.Close()
		for _, c := range []struct {
			name   string
			q      client.Request
			denied bool
		}{
			{name: "path", q: client.Request{Path: "/body/%2egit/config"}, denied: true},
			{name: "robot", q: client.Request{Path: "/body/x", Header: []string{"user-agent", "GPTBot/1.0"}}, denied: true},
			{name: "another route", q: client.Request{Path: "/body/free", Header: []string{"user-agent", "GPTBot/1.0"}}},
			{name: "a route's rule", q: client.Request{Path: "/body/more?q=%3Cscript%3E"}, denied: true},
			{name: "the listener's on a route", q: client.Request{Path: "/body/more/.git"}, denied: true},
			{name: "body", q: client.Request{Path: "/body/x", Body: "an evil word"}, denied: true},
			{name: "chunks", q: client.Request{Path: "/body/x", Chunks: []string{"an ev", "il word"}}, denied: true},
			{name: "gzip", q: client.Request{Path: "/body/x", Body: packed.String(), Header: []string{"content-encoding", "gzip"}}, denied: true},
			{name: "too large", q: client.Request{Path: "/body/x", Body: strings.Repeat("x", 1001)}, denied: true},
			{name: "good", q: client.Request{Path: "/body/x", Body: strings.Repeat("x", 1000)}},
			{name: "another method", q: client.Request{Method: "PUT", Path: "/body/x", Body: "an evil word"}},
		} {
			c.q.Header = append(c.q.Header, "x-case", c.name)
			if c.name != "robot" && c.name != "another route" {
				c.q.Header = append(c.q.Header, "user-agent", "Firefox")
			}
			r := ln.Do(c.q)
			if want := map[bool]int{true: 403, false: 200}[c.denied]; r.Status != want || c.denied && b.reached(r) {
				b.Errorf("%s: got %d %.50q, want %d", c.name, r.Status, r.Body, want)
			}
			if !c.denied && c.q.Body != "" && b.upstream(r).Bytes != int64(len(c.q.Body)) {
				b.Errorf("%s: the upstream got %d bytes, want %d", c.name, b.upstream(r).Bytes, len(c.q.Body))
			}
		}
		b.WaitMetric("moe.block.matched", "word", 4)
	})
}
