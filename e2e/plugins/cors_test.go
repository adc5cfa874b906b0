package plugins

import "mosn.io/moe/e2e/client"

func init() {
	add("cors: preflight, request and refusal", func(b *bed) {
		// A page must be able to read why a later plugin has refused it.
		ln := b.listen(`plugins:
- {name: tokenauth, config: {secret: secret}}
- {name: cors, config: {allowOrigins: ["https://app.example"], allowMethods: [PUT], allowCredentials: true, maxAge: 1m}}`,
			route{"/body/", `plugins: [{name: cors, config: {denyOthers: true}}, {name: tokenauth, disabled: true}]`})
		preflight := func(origin string) *client.Response {
			return ln.Do(client.Request{
				Method: "OPTIONS", Header: []string{"origin", origin, "access-control-request-method", "PUT"},
			})
		}
		r := preflight("https://app.example")
		if r.Status != 204 || b.reached(r) || r.Header.Get("access-control-allow-origin") != "https://app.example" ||
			r.Header.Get("access-control-allow-methods") != "GET, HEAD, POST, PUT" ||
			r.Header.Get("access-control-allow-credentials") != "true" || r.Header.Get("access-control-max-age") != "60" {
			b.Errorf("%d %v", r.Status, r.Header)
		}
		if got := b.Access(r.ID)["details"]; got != "moe.cors.preflight" {
			b.Errorf("the details are %v", got)
		}
		r = preflight("https://evil.example")
		if r.Status != 403 || b.reached(r) || r.Header.Get("access-control-allow-origin") != "" {
			b.Errorf("%d %v", r.Status, r.Header)
		}
		r = ln.get("/echo", "origin", "https://app.example")
		if r.Status != 403 || r.Header.Get("access-control-allow-origin") != "https://app.example" {
			b.Errorf("%d %v", r.Status, r.Header)
		}
		for origin, status := range map[string]int{"https://app.example": 200, "https://evil.example": 403, "null": 403} {
			r := ln.get("/body/x", "origin", origin)
			allowed := r.Header.Get("access-control-allow-origin") == origin
			if r.Status != status || allowed != (status == 200) || r.Header.Get("vary") != "Origin" {
				b.Errorf("%s: %d %v", origin, r.Status, r.Header)
			}
		}
		ln = b.listen(`plugins: [{name: cors, config: {allowOrigins: ["https://app.example"], reflectHeaders: true, allowTiming: true}}]`,
			route{"/body/", `plugins: [{name: cors, config: {reflectHeaders: false, passPreflights: true}}]`})
		asks := []string{"origin", "https://app.example", "access-control-request-method", "PUT", "access-control-request-headers", "x-a, authorization"}
		r = ln.Do(client.Request{Method: "OPTIONS", Header: asks})
		if got := r.Header.Get("access-control-allow-headers"); r.Status != 204 || got != "x-a, authorization" {
			b.Errorf("reflected: got %d with %q, want 204 with what was asked for", r.Status, got)
		}
		if r := ln.get("/echo", "origin", "https://app.example"); r.Header.Get("timing-allow-origin") != "https://app.example" {
			b.Errorf("timing: got %v", r.Header)
		}
		if r := ln.Do(client.Request{Method: "OPTIONS", Path: "/body/x", Header: asks}); r.Status != 200 || !b.reached(r) {
			b.Errorf("passed on: got %d, want 200 of the upstream", r.Status)
		}
		b.refused(`plugins: [{name: cors, config: {allowOrigins: ["*"], allowCredentials: true}}]`)
	})
}
