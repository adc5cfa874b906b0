package plugins

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

func init() {
	add("mock: templates, files, routes, consumers", func(b *bed) {
		file := filepath.Join(b.TempDir(), "a.html")
		write := func(text string) {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				b.Fatalf("os.WriteFile: %v", err)
			}
		}
		write("<p>one</p>")
		ln := b.listen(`
plugins:
- {name: keyauth}
- {name: headermutation, config: {response: {set: {x-after: "%RESPONSE_CODE%"}}}}
- {name: mock, config: {poll: 10ms, responses: [
    {name: user, match: {prefix: /users}, template: true, json: {id: "%QUERY_PARAM(id)%"}, status: 201, delay: 10ms},
    {name: page, match: {path: /page}, file: `+strconv.Quote(file)+`}]}}
consumers:
- {name: one, credentials: {keyauth: {key: "1"}}}
- {name: two, credentials: {keyauth: {key: "2"}}, plugins: [{name: mock, config: {responses: [{status: 503, body: later}]}}]}
`, route{"/users/real", `plugins: [{name: mock, disabled: true}]`})
		r := ln.get("/users?id=7", "x-api-key", "1")
		if r.Status != 201 || r.Body != `{"id":"7"}` || r.Header.Get("content-type") != "application/json" ||
			r.Header.Get("x-mock") != "user" || r.Header.Get("x-after") != "201" || b.reached(r) {
			b.Errorf("got %d %q %v, want the mocked response, as headermutation sees it", r.Status, r.Body, r.Header)
		}
		if r := ln.get("/users?id=7"); r.Status != 401 {
			b.Errorf("without a key: got %d, want 401", r.Status)
		}
		if r := ln.get("/users", "x-api-key", "2"); r.Status != 503 || r.Body != "later" {
			b.Errorf("a consumer's: got %d %q, want 503 later", r.Status, r.Body)
		}
		if r := ln.get("/users/real", "x-api-key", "1"); r.Status != 200 || r.Header.Get("x-mock") != "" || !b.reached(r) {
			b.Errorf("a route without: got %d %v, want the upstream's", r.Status, r.Header)
		}
		if r := ln.get("/other", "x-api-key", "1"); r.Status != 200 || !b.reached(r) {
			b.Errorf("a request that none is for: got %d, want the upstream's", r.Status)
		}
		write("<p>two</p>")
		b.Poll(func() error {
			if r := ln.get("/page", "x-api-key", "1"); r.Body != "<p>two</p>" || r.Header.Get("content-type") != "text/html; charset=utf-8" {
				return fmt.Errorf("got %q %q, want the new file", r.Header.Get("content-type"), r.Body)
			}
			return nil
		})
		b.WaitMetric("moe.mock.mocked", "user", 1)
	})
}
