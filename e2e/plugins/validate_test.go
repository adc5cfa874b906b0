package plugins

import "strings"

func init() {
	add("validate: OpenAPI, JSON Schema by route, responses", func(b *bed) {
		ln := b.listen(`
plugins:
- name: validate
  config:
    unknownPaths: pass
    openapiDocument:
      openapi: 3.1.0
      info: {title: t, version: "1"}
      paths:
        /echo:
          get:
            parameters: [{name: limit, in: query, schema: {type: integer}}]
            responses: {"200": {description: ok}}
          post:
            requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Node"}}}}
            responses: {"200": {description: ok}}
      components:
        schemas:
          Node: {type: object, properties: {next: {$ref: "#/components/schemas/Node"}, n: {type: integer}}}
`, route{"/body/", `plugins: [{name: validate, config: {response: {contentTypes: [application/json]}, request: {maxSize: 4}}}]`})
		if r := ln.get("/echo?limit=3"); r.Status != 200 {
			b.Errorf("a valid query gets %d %s, want 200", r.Status, r.Body)
		}
		r := ln.get("/echo?limit=x")
		if r.Status != 400 || b.reached(r) || r.Header.Get("content-type") != "application/problem+json" ||
			b.Access(r.ID)["details"] != "moe.validate.invalid" {
			b.Errorf("a wrong query gets %d %v, want 400 with a problem", r.Status, r.Header)
		}
		for _, query := range []string{"limit=1&limit=x", "limit=x;a", "limit=%zz"} {
			if r := ln.get("/echo?" + query); r.Status != 400 || b.reached(r) {
				b.Errorf("the query %s gets %d, want 400", query, r.Status)
			}
		}
		if r := ln.post("/echo", `{"next": {"n": 1}}`, "content-type", "application/json"); r.Status != 200 {
			b.Errorf("a valid body gets %d %s, want 200", r.Status, r.Body)
		}
		r = ln.post("/echo", `{"next": {"n": "1"}}`, "content-type", "application/json")
		if r.Status != 400 || b.reached(r) || !strings.Contains(r.Body, `"#/next/n"`) {
			b.Errorf("a wrong body gets %d %s, want 400 that points to #/next/n", r.Status, r.Body)
		}
		if r := ln.post("/echo", `x`, "content-type", "text/plain"); r.Status != 415 || b.reached(r) {
			b.Errorf("a body of another type gets %d, want 415", r.Status)
		}
		if r := ln.get("/other"); r.Status == 404 && strings.Contains(r.Body, "no such path") {
			b.Error("a path that the document does not have is refused, want that it passes")
		}
		if r := ln.post("/body/x", "12345"); r.Status != 413 || b.reached(r) {
			b.Errorf("a body that is too long gets %d, want 413", r.Status)
		}
		if r := ln.get("/body/x"); r.Status != 502 {
			b.Errorf("a response of another type is %d, want 502", r.Status)
		}
		b.WaitMetric("moe.validate.invalid", "response", 1)
	})
}
