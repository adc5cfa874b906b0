package plugins

func init() {
	add("script: changes, replies, bounds, by route", func(b *bed) {
		ln := b.listen(`
plugins:
- name: script
  config:
    requestBody: true
    budget: 500ms
    source: |
      let first = ""
      function onRequest(r) {
        if (r.headers.get("x-loop")) for (;;) {}
        if (r.headers.get("x-reply")) return {status: 418, body: "short", headers: {"x-pot": "1"}}
        first = r.body === undefined ? "none" : r.body
        if (r.body !== undefined) r.body = r.body.toUpperCase()
        r.headers.set("x-method", r.method)
      }
      function onResponse(response, request) { response.headers.set("x-first", first) }
`, route{"/body/", `plugins: [{name: script, config: {responseBody: true, source: "function onResponse(r) { r.status = 201; r.body = '<' + r.body + '>' }"}}]`})
		r := ln.post("/echo", "body")
		if seen := b.upstream(r); r.Status != 200 || seen.Body != "BODY" || seen.Header.Get("x-method") != "POST" || r.Header.Get("x-first") != "body" {
			b.Errorf("got %d with x-first %q, the upstream sees %q %v; want 200, body, and BODY", r.Status, r.Header.Get("x-first"), seen.Body, seen.Header)
		}
		if r := ln.get("/echo", "x-reply", "1"); r.Status != 418 || r.Body != "short" || r.Header.Get("x-pot") != "1" || b.reached(r) {
			b.Errorf("got %d %q, want 418 short with x-pot", r.Status, r.Body)
		}
		if r := ln.get("/echo", "x-loop", "1"); r.Status != 500 || b.reached(r) {
			b.Errorf("a loop gets %d, want 500", r.Status)
		}
		if r := ln.get("/body/page"); r.Status != 201 || r.Body != "<page>" {
			b.Errorf("got %d %q, want 201 <page>", r.Status, r.Body)
		}
	})
}
