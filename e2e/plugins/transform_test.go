package plugins

import "strings"

func init() {
	add("transform: requests, responses, by route", func(b *bed) {
		ln := b.listen(`
plugins:
- name: transform
  config:
    request:
      query: {rename: {a: z}, set: {n: "{{method}}"}}
      headers: {remove: [x-secret], set: {x-path: "{{path}}"}}
      cookies: {remove: [session]}
      body: [{jq: "{name, n: (.list | length)}"}, {mergePatch: {extra: [1]}}]
    responses:
    - {statuses: ["404"], status: 200, body: [{template: "nothing at {{path}}", contentType: text/plain}]}
    - {headers: {set: {x-status: "{{status}}"}}}
`, route{"/body/", `plugins: [{name: transform, config: {responses: [{body: [{template: "<{{text}}>"}]}]}}]`})
		r := ln.post("/echo?a=1&b=2", `{"name": "é", "list": [1, 2]}`, "content-type", "application/json",
			"x-secret", "s", "cookie", "session=1; other=2")
		seen := b.upstream(r)
		if want := `{"n":2,"name":"é","extra":[1]}`; r.Status != 200 || seen.Body != want {
			b.Errorf("got %d, the upstream sees %s, want 200 and %s", r.Status, seen.Body, want)
		}
		if want := "/echo?b=2&z=1&n=POST"; seen.Path != want {
			b.Errorf("the upstream sees the path %s, want %s", seen.Path, want)
		}
		if h := seen.Header; h.Get("x-secret") != "" || h.Get("x-path") != "/echo" || h.Get("cookie") != "other=2" {
			b.Errorf("the upstream sees %v, want no x-secret, x-path /echo and the cookie other", h)
		}
		for _, name := range []string{"range", "if-range"} {
			if r := ln.get("/echo", name, "bytes=0-1"); b.upstream(r).Header.Get(name) != "" {
				b.Errorf("the upstream sees %s, and may answer with a part: want that it goes", name)
			}
		}
		if got := r.Header.Get("x-status"); got != "200" {
			b.Errorf("x-status is %q, want 200", got)
		}
		if r := ln.get("/echo?status=404"); r.Status != 200 || r.Body != "nothing at /echo" || r.Header.Get("content-type") != "text/plain" {
			b.Errorf("got %d %q %s, want 200, the page and text/plain", r.Status, r.Body, r.Header.Get("content-type"))
		}
		if r := ln.post("/echo", `{"name":`, "content-type", "application/json"); r.Status != 400 || b.reached(r) {
			b.Errorf("JSON that is cut gets %d, want 400", r.Status)
		}
		if r := ln.post("/echo", strings.Repeat("[", 5000), "content-type", "application/json"); r.Status != 400 {
			b.Errorf("deep JSON gets %d, want 400", r.Status)
		}
		if r := ln.get("/body/page"); r.Status != 200 || r.Body != "<page>" {
			b.Errorf("got %d %q, want 200 <page>", r.Status, r.Body)
		}
	})
}
