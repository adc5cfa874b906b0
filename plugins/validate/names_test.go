package validate

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mosn.io/moe/framework/filtertest"
)

// TestNamesTwice refuses objects with two properties of one name, wherever they are in a body, and takes what only looks so.
func TestNamesTwice(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{name: "no object", text: `[":", 1, true, null, "a:b"]`, want: true},
		{name: "empty objects", text: `[{}, {}]`, want: true},
		{name: "one name in two objects", text: `[{"a": 1}, {"a": {"a": {"a": 2}}}]`, want: true},
		{name: "names and values with colons and quotes", text: `{"a:\\": ":", "b\":": "\\\":", ":": "::"}`, want: true},
		{name: "names in another case", text: `{"a": 1, "A": 2}`, want: true},
		{name: "twice", text: `{"a": 1, "a": 1}`},
		{name: "twice, of another type", text: `{"a": {"b": 1}, "a": []}`},
		{name: "twice, escaped", text: `{"a": 1, "\u0061": 2}`},
		{name: "twice, in a list in an object", text: `{"x": [1, {"b": 0, "a": 1, "c": 2, "a": 3}]}`},
		{name: "twice, inside of what is dropped", text: `{"a": {"x": 1, "x": 2}, "a": 1}`},
		{name: "twice the empty name", text: `{"": 1, "": 2}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(c.text)))
			if err != nil {
				t.Fatalf("jsonschema.UnmarshalJSON: %v", err)
			}
			if got := unique([]byte(c.text), v); got != c.want {
				t.Errorf("unique(%s) = %v, want %v", c.text, got, c.want)
			}
		})
	}
}

// TestNamesTwiceRefused sends such bodies to every way of validating one.
func TestNamesTwiceRefused(t *testing.T) {
	const form = `openapi: 3.1.0
info: {title: Form, version: "1"}
paths:
  /:
    post:
      requestBody:
        content:
          multipart/form-data: {schema: {type: object, properties: {a: {type: object}}}}
          application/json: {schema: {type: object}}
      responses: {"200": {description: taken}}
`
	openAPI := "openapi: " + write(t, "form.yaml", form)
	for _, c := range []struct{ name, config, contentType, before, after string }{
		{name: "schema", config: "request: {schema: {type: object}}", contentType: asJSON},
		{name: "document", config: openAPI, contentType: asJSON},
		{
			name: "part of a form", config: openAPI, contentType: "multipart/form-data; boundary=b",
			before: "--b\r\ncontent-disposition: form-data; name=\"a\"\r\ncontent-type: application/json\r\n\r\n", after: "\r\n--b--\r\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &filtertest.Host{Upstream: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
			if err := h.Load(t, filtertest.Config{Name: "validate", JSON: "{" + c.config + "}"}); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			check := func(body string, want int) {
				t.Helper()
				if r := h.Post("/", c.before+body+c.after, "content-type", c.contentType); r.Status != want {
					t.Errorf("POST %s: got %d %s, want %d", body, r.Status, r.Body, want)
				}
			}
			check(`{"x": 1, "y": {"x": 1}}`, 200)
			check(`{"x": 1, "y": {"x": 1, "x": 2}}`, 400)
		})
	}
}
