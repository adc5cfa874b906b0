package plugins

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/filtertest"
)

// TestParts has clients ask for parts of a response that a plugin looks into: the plugin has to see all of it, or a client gets what
// it is to keep back.
func TestParts(t *testing.T) {
	const body = `{"name":"a","secret":"4711"}`
	for _, c := range []struct {
		plugin, config string
		want           string // the body of a response that passes
	}{
		{plugin: "transform", config: `{budget: 30s, responses: [{statuses: ["200"], body: [{jq: "del(.secret)"}]}]}`, want: `{"name":"a"}`},
		{
			plugin: "script", want: `{"name":"a","secret":"****"}`,
			config: `{budget: 1s, responseBody: true, source: "function onResponse(r) { r.body = r.body.replace(/[0-9]{4}/, '****') }"}`,
		},
		{
			plugin: "validate",
			config: `{response: {contentTypes: [application/json], schema: {type: object, properties: {secret: false}}}}`,
		},
		{
			plugin: "waf",
			config: `{withoutCoreRuleSet: true, response: {inspect: body},
				directives: 'SecRule RESPONSE_BODY "@contains 4711" "id:1,phase:4,deny,status:403"'}`,
		},
	} {
		for _, header := range [][]string{nil, {"range", "bytes=0-27"}, {"range", "bytes=20-23", "if-range", `"1"`}, {"accept-encoding", "gzip"}} {
			t.Run(c.plugin+" "+strings.Join(header, " "), func(t *testing.T) {
				h := &filtertest.Host{Upstream: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if coding := r.Header.Get("accept-encoding"); coding != "" {
						t.Errorf("the upstream is asked for the encoding %s, want none", coding)
					}
					w.Header().Set("content-type", "application/json")
					w.Header().Set("etag", `"1"`)
					http.ServeContent(w, r, "", time.Time{}, strings.NewReader(body))
				})}
				if err := h.Load(t, filtertest.Config{Name: c.plugin, JSON: c.config}); err != nil {
					t.Fatalf("h.Load: %v", err)
				}
				r := h.Get("/", header...)
				if strings.Contains(r.Body, "4711") || r.Status == 200 && r.Body != c.want {
					t.Errorf("got %d %q, want %q, or a refusal", r.Status, r.Body, c.want)
				}
			})
		}
	}
}
