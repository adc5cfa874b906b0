package validate

import (
	"net/http"
	"runtime"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

func TestBoundedNumber(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{name: "plain", text: "-12.5", want: true},
		{name: "as long as may be", text: strings.Repeat("1", 400), want: true},
		{name: "too long", text: strings.Repeat("1", 401)},
		{name: "the largest exponent", text: "1e400", want: true},
		{name: "the smallest exponent", text: "1E-400", want: true},
		{name: "an exponent with zeros", text: "1e+0000000400", want: true},
		{name: "too large an exponent", text: "1e401"},
		{name: "too small an exponent", text: "1E-401"},
		{name: "an exponent beyond int", text: "1e99999999999999999999"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := boundedNumber(c.text); got != c.want {
				t.Errorf("boundedNumber(%q) = %v, want %v", c.text, got, c.want)
			}
		})
	}
}

// TestLargeNumbers: numbers that are large written out are refused before anything computes with them. Work is measured by
// what is allocated: one of these numbers takes some 400 kB.
func TestLargeNumbers(t *testing.T) {
	const form = `openapi: 3.1.0
info: {title: Form, version: "1"}
paths:
  /:
    post:
      requestBody:
        content:
          multipart/form-data: {schema: {type: object, properties: {a: {type: object, properties: {n: {items: {type: integer}}}}}}}
          application/json: {schema: {type: array, items: {multipleOf: 3}}}
      responses: {"200": {description: taken}}
`
	openAPI := "openapi: " + write(t, "form.yaml", form)
	part := func(text string) string {
		return "--b\r\ncontent-disposition: form-data; name=\"a\"\r\ncontent-type: application/json\r\n\r\n{\"n\":" + text + "}\r\n--b--\r\n"
	}
	plain := func(text string) string { return text }
	for _, c := range []struct {
		name, config, contentType string
		body                      func(list string) string
	}{
		{name: "schema", config: "request: {schema: {items: {multipleOf: 3}}}", contentType: asJSON, body: plain},
		{name: "unique", config: "request: {schema: {uniqueItems: true}}", contentType: asJSON, body: plain},
		{name: "document", config: openAPI, contentType: asJSON, body: plain},
		{name: "part of a form", config: openAPI, contentType: "multipart/form-data; boundary=b", body: part},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &filtertest.Host{Upstream: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
			if err := h.Load(t, filtertest.Config{Name: "validate", JSON: "{" + c.config + "}"}); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			if r := h.Post("/", c.body("[3, 6]"), "content-type", c.contentType); r.Status != 200 {
				t.Fatalf("small numbers get %d %s, want 200", r.Status, r.Body)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r := h.Post("/", c.body("["+strings.Repeat("1e1000000,", 1000)+"1]"), "content-type", c.contentType)
			runtime.ReadMemStats(&after)
			if r.Status != 400 {
				t.Errorf("got %d %s, want 400", r.Status, r.Body)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 20<<20 {
				t.Errorf("%d MiB were allocated, want 20 at most", n>>20)
			}
		})
	}
}
