package headermutation

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mosn.io/moe/framework/filtertest"
)

// What is the same for all streams needs no phase; all else does, and is not told ahead too.
func TestConstant(t *testing.T) {
	set := func(name, value string) Mutations { return Mutations{Set: map[string]string{name: value}} }
	both := []string{"OnRequestHeaders", "OnResponseHeaders"}
	for _, c := range []struct {
		name              string
		p                 HeaderMutation
		skips             []string // of the phases of headers
		request, response http.Header
	}{
		{name: "nothing", skips: both},
		{
			name:    "set and remove",
			p:       HeaderMutation{Request: set("X-A", "1"), Response: Mutations{Remove: []string{"X-B"}, Set: map[string]string{"x-c": "2"}}},
			skips:   both,
			request: http.Header{"x-a": {"1"}}, response: http.Header{"x-b": nil, "x-c": {"2"}},
		},
		{
			name: "the last of two values",
			p: HeaderMutation{Response: Mutations{Remove: []string{"x-a"}, Set: map[string]string{"x-a": "1"}, Apply: []Mutation{
				{Name: "x-a", Value: "100%%", Action: overwriteOrAdd},
			}}},
			skips: both, response: http.Header{"x-a": {"100%"}},
		},
		{
			name:  "a value of the request's, in the response",
			p:     HeaderMutation{Response: set("x-a", "%REQ(x-b)%")},
			skips: []string{"OnRequestHeaders"},
		},
		{name: "the time, which is taken in the request", p: HeaderMutation{Response: set("x-a", "%START_TIME%")}},
		{
			name:  "another value",
			p:     HeaderMutation{Request: Mutations{Add: map[string]string{"x-a": "1"}}, Response: set("x-b", "1")},
			skips: []string{"OnResponseHeaders"}, response: http.Header{"x-b": {"1"}},
		},
		{
			name:  "names that match",
			p:     HeaderMutation{Response: Mutations{RemoveRegexp: []*regexp.Regexp{regexp.MustCompile("x-.*")}}},
			skips: []string{"OnRequestHeaders"},
		},
		{name: "a pseudo-header", p: HeaderMutation{Request: set(":authority", "a")}, skips: []string{"OnResponseHeaders"}},
		{name: "a length", p: HeaderMutation{Response: set("content-length", "1")}, skips: []string{"OnRequestHeaders"}},
		{
			name:  "a route to be chosen again",
			p:     HeaderMutation{Request: set("x-a", "1"), ClearRouteCache: true},
			skips: []string{"OnResponseHeaders"},
		},
		{
			name:  "a path to be rewritten",
			p:     HeaderMutation{Request: set("x-a", "1"), Rewrite: []Rewrite{{Pattern: regexp.MustCompile("a"), Replace: "b"}}},
			skips: []string{"OnResponseHeaders"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := new(filtertest.Host).Load(t, &c.p); err != nil {
				t.Fatalf("Load: %v", err)
			}
			var skips []string
			for _, method := range both {
				if c.p.SkipsPhase(method) {
					skips = append(skips, method)
				}
			}
			if diff := cmp.Diff(c.skips, skips); diff != "" {
				t.Errorf("phases that are skipped (-want +got):\n%s", diff)
			}
			request, response := c.p.SetsHeaders()
			if diff := cmp.Diff(c.request, request, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("headers of requests (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.response, response, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("headers of responses (-want +got):\n%s", diff)
			}
		})
	}
}
