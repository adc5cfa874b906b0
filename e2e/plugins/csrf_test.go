package plugins

import (
	"net/http"

	"mosn.io/moe/e2e/client"
)

func init() {
	add("csrf: origin and token", func(b *bed) {
		ln := b.listen(`plugins: [{name: csrf, config: {allowOrigins: ["https://a.example"]}}]`,
			route{"/body/", `plugins: [{name: csrf, config: {token: {secret: 0123456789abcdef}}}]`})
		post := func(path string, header ...string) *client.Response {
			return ln.Do(client.Request{Method: "POST", Host: "app.test", Path: path, Body: "x", Header: header})
		}
		for _, c := range []struct {
			origin string
			status int
			body   string // of a refusal
		}{
			{"http://app.test", 200, ""},
			{"https://a.example", 200, ""},
			{"http://evil.test", 403, "invalid origin"},
			{"null", 403, "invalid origin"},
			{"http://app.test.evil", 403, "invalid origin"},
		} {
			r := post("/echo", "origin", c.origin)
			if r.Status == 200 {
				b.upstream(r) // it arrives
			}
			if r.Status != c.status || c.body != "" && (r.Body != c.body || b.reached(r)) {
				b.Errorf("%s: %d %s", c.origin, r.Status, r.Body)
			}
		}
		if r := post("/echo"); r.Status != 403 || r.Body != "missing origin" {
			b.Errorf("%d %s", r.Status, r.Body)
		}
		r := ln.Do(client.Request{Host: "app.test", Path: "/body/x"})
		cookies := (&http.Response{Header: r.Header}).Cookies()
		if r.Status != 200 || len(cookies) != 1 {
			b.Fatalf("%d %v", r.Status, r.Header)
		}
		token := cookies[0].Value
		origin := []string{"origin", "http://app.test", "cookie", "__Host-csrf=" + token}
		if r := post("/body/x", append(origin, "x-csrf-token", token)...); r.Status != 200 {
			b.Errorf("%d %s", r.Status, r.Body)
		}
		if r := post("/body/x", origin...); r.Status != 403 || b.Access(r.ID)["details"] != "moe.csrf.invalid_token" {
			b.Errorf("%d %s", r.Status, r.Body)
		}
	})
}
