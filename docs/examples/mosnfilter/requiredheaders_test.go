package mosnfilter_test

import (
	"strings"
	"testing"

	_ "mosn.io/moe/docs/examples/mosnfilter"
	"mosn.io/moe/framework/filtertest"
	_ "mosn.io/moe/framework/mosn"
)

func TestRequiredHeaders(t *testing.T) {
	h := filtertest.New(t, filtertest.Config{Name: "mosn", JSON: `{"stream_filters": [
		{"type": "required_headers", "config": {"x-tenant": "blue"}}]}`})
	cases := map[string]struct {
		header []string
		status int
		body   string
	}{
		"as required":   {header: []string{"x-tenant", "blue"}, status: 200},
		"another value": {header: []string{"x-tenant", "red"}, status: 403, body: "x-tenant is not as required"},
		"none":          {status: 403, body: "x-tenant is not as required"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if r := h.Get("/", c.header...); r.Status != c.status || r.Body != c.body {
				t.Errorf("got %d %q, want %d %q", r.Status, r.Body, c.status, c.body)
			}
		})
	}
}

func TestWrongConfiguration(t *testing.T) {
	err := (&filtertest.Host{}).Load(t, filtertest.Config{Name: "mosn", JSON: `{"stream_filters": [
		{"type": "required_headers", "config": {"x-tenant": 1}}]}`})
	if err == nil || !strings.Contains(err.Error(), "x-tenant: expected a string") {
		t.Errorf("the error is %v, want one about x-tenant", err)
	}
}
