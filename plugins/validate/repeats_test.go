package validate

import (
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

// TestRepeats refuses what is there more than once where the document has one value, and what the library would leave out unread:
// an upstream may take what was not validated.
func TestRepeats(t *testing.T) {
	const api = `openapi: 3.0.3
info: {title: Repeats, version: "1"}
paths:
  /:
    parameters:
      - {name: limit, in: query, schema: {type: integer, maximum: 100}}
      - {name: tags, in: query, schema: {type: array, items: {type: integer}}}
      - {name: either, in: query, schema: {anyOf: [{type: integer}, {type: array, items: {type: integer}}]}}
      - {name: ids, in: query, explode: false, schema: {type: array, items: {type: integer}}}
      - {name: place, in: query, schema: {type: object, properties: {x: {type: integer}, y: {type: integer}}}}
      - {name: filter, in: query, style: deepObject, schema: {type: object, properties: {a: {type: integer}}}}
      - {name: x-age, in: header, schema: {type: integer}}
      - {name: x-ages, in: header, schema: {type: array, items: {type: integer}}}
      - {name: size, in: cookie, schema: {type: integer}}
    get:
      responses: {"200": {description: taken}}
    post:
      requestBody:
        content:
          application/x-www-form-urlencoded:
            schema:
              type: object
              additionalProperties: false
              properties: {a: {type: integer}, list: {type: array, items: {type: integer}}}
          multipart/form-data:
            schema:
              type: object
              properties: {a: {type: integer}, list: {type: array, items: {type: integer}}}
      responses: {"200": {description: taken}}
  /free:
    get:
      responses: {"200": {description: taken}}
`
	const form = "application/x-www-form-urlencoded"
	parts := func(fields ...string) string {
		var b strings.Builder
		for _, f := range fields {
			name, value, _ := strings.Cut(f, "=")
			b.WriteString("--x\r\ncontent-disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n")
		}
		return b.String() + "--x--\r\n"
	}
	config := "{openapi: " + write(t, "repeats.yaml", api) + "}"
	for _, c := range []struct {
		name, path, contentType, body string
		header                        []string
		problem                       string // "" where the request passes
	}{
		{name: "once", path: "/?limit=1&tags=1&either=1&ids=1,2&x=1&y=1&filter[a]=1&other=1&other=2"},
		{name: "a list", path: "/?tags=1&tags=2"},
		{name: "what may be a list", path: "/?either=1&either=2"},
		{name: "no parameter is declared", path: "/free?limit=1&limit=x&y=%zz;z"},
		{name: "twice", path: "/?limit=1&limit=1000", problem: "query limit"},
		{name: "twice, escaped", path: "/?limit=1&%6cimit=1000", problem: "query limit"},
		{name: "twice, the first empty", path: "/?limit=&limit=1&limit=1000", problem: "query limit"},
		{name: "a list in one value twice", path: "/?ids=1&ids=x", problem: "query ids"},
		{name: "a property twice", path: "/?x=1&x=z", problem: "query x"},
		{name: "a property of a nested object twice", path: "/?filter[a]=1&filter[a]=x", problem: "query filter"},
		{name: "a semicolon", path: "/?limit=1000;a=b", problem: unreadable},
		{name: "a malformed escape", path: "/?limit=%zz", problem: unreadable},
		{name: "headers", path: "/", header: []string{"x-age", "1", "x-ages", "1", "x-ages", "2"}},
		{name: "a header twice", path: "/", header: []string{"x-age", "1", "x-age", "2"}, problem: "header x-age"},
		{name: "a list in headers", path: "/", header: []string{"x-ages", "1", "x-ages", "x"}, problem: "header x-ages"},
		{name: "cookies", path: "/", header: []string{"cookie", "size=1; other=1; other=2"}},
		{name: "a cookie twice", path: "/", header: []string{"cookie", "size=1; size=x"}, problem: "cookie size"},
		{name: "a cookie in two headers", path: "/", header: []string{"cookie", "size=1", "cookie", "size=x"}, problem: "cookie size"},
		{name: "a cookie that is left out", path: "/", header: []string{"cookie", `size=a"b`}, problem: "cookie size"},
		{name: "a form", path: "/", contentType: form, body: "a=1&list=1&list=2"},
		{name: "a field twice", path: "/", contentType: form, body: "a=1&a=x", problem: repeated},
		{name: "a field that is not allowed", path: "/", contentType: form, body: "a=1&b=2", problem: undeclared},
		{name: "a form with a semicolon", path: "/", contentType: form, body: "a=1000;b", problem: unreadable},
		{name: "parts", path: "/", contentType: "multipart/form-data; boundary=x", body: parts("a=1", "list=1", "list=2")},
		{name: "a part twice", path: "/", contentType: "multipart/form-data; boundary=x", body: parts("a=1", "a=2"), problem: repeated},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &filtertest.Host{}
			if err := h.Load(t, filtertest.Config{Name: "validate", JSON: config}); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			method := "GET"
			if c.body != "" {
				method, c.header = "POST", append(c.header, "content-type", c.contentType)
			}
			r := h.Do(filtertest.NewRequest(method, c.path, c.body, c.header...))
			if want := c.problem == ""; want != (r.Status == 200) || !strings.Contains(r.Body, c.problem) {
				t.Errorf("got %d %s, want it to pass: %v, and else a problem with %q", r.Status, r.Body, want, c.problem)
			}
		})
	}
}

// TestSchemasOfThemselves looks for lists in schemas that refer to themselves.
func TestSchemasOfThemselves(t *testing.T) {
	const api = `openapi: 3.0.3
info: {title: Self, version: "1"}
paths:
  /:
    get:
      parameters: [{name: a, in: query, schema: {$ref: "#/components/schemas/A"}}]
      responses: {"200": {description: taken}}
components:
  schemas:
    A: {anyOf: [{type: integer}, {$ref: "#/components/schemas/B"}]}
    B: {anyOf: [{type: boolean}, {$ref: "#/components/schemas/A"}, {$ref: "#/components/schemas/B"}]}
`
	h := &filtertest.Host{}
	if err := h.Load(t, filtertest.Config{Name: "validate", JSON: "{openapi: " + write(t, "self.yaml", api) + "}"}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	if r := h.Get("/?a=1"); r.Status != 200 {
		t.Errorf("one value gets %d %s, want 200", r.Status, r.Body)
	}
	if r := h.Get("/?a=1&a=2"); r.Status != 400 {
		t.Errorf("two values get %d, want 400", r.Status)
	}
}
