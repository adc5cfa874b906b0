package headermutation

import (
	"net/url"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
	_ "mosn.io/moe/plugins/cel"
)

func TestTarget(t *testing.T) {
	for _, c := range []struct {
		name, config, target, want string
	}{
		{name: "rewrite", config: `{rewrite: [{pattern: "^/v1/(.*)$", replace: "/v2/$1"}]}`, target: "/v1/a%2Fb?c=d", want: "/v2/a%2Fb?c=d"},
		{name: "all parts", config: `{rewrite: [{pattern: "a", replace: "b"}]}`, target: "/a/a?a", want: "/b/b?a"},
		{name: "two rewrites", config: `{rewrite: [{pattern: "a", replace: "b"}, {pattern: "b", replace: "c"}]}`, target: "/a", want: "/c"},
		{name: "nothing matches", config: `{rewrite: [{pattern: "x", replace: "y"}]}`, target: "/a?", want: "/a?"},
		{name: "not a path any more", config: `{rewrite: [{pattern: "^/", replace: ""}, {pattern: "a", replace: "b"}]}`, target: "/a", want: "/b"},
		{name: "after set", config: `{request: {set: {":path": "/x?y=1"}}, rewrite: [{pattern: "x", replace: "z"}]}`, target: "/a", want: "/z?y=1"},
		{name: "remove", config: `{query: {remove: [a, "b c"]}}`, target: "/?a=1&x=%41&b+c=2&a&%61=3", want: "/?x=%41"},
		{name: "remove the last", config: `{query: {remove: [a]}}`, target: "/?a=1", want: "/"},
		{name: "set", config: `{query: {set: {a: "b c&d"}}}`, target: "/?a=1&x=2&a=3", want: "/?x=2&a=b+c%26d"},
		{name: "set where there is no query", config: `{query: {set: {a: "1"}}}`, target: "/", want: "/?a=1"},
		{name: "set an empty value", config: `{query: {set: {a: ""}}}`, target: "/?a=1", want: "/?a="},
		{name: "add", config: `{query: {add: {a: "2"}}}`, target: "/?a=1", want: "/?a=1&a=2"},
		{name: "substitution", config: `{query: {set: {user: "%REQ(x-user)%", none: "%REQ(x-none)%"}}}`, target: "/?none=1", want: "/?none=1&user=tom"},
		{name: "from what was there before", config: `{query: {remove: [a], set: {b: "%QUERY_PARAM(a)%"}}}`, target: "/?a=1", want: "/?b=1"},
		{name: "malformed", config: `{query: {remove: [a]}}`, target: "/?%zz=1&a=2&=3", want: "/?%zz=1&=3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := filtertest.New(t, filtertest.Config{Name: "headermutation", JSON: c.config})
			q := filtertest.NewRequest("GET", "/", "", "x-user", "tom")
			q.URL = &url.URL{Opaque: c.target}
			if r := h.Do(q); r.Upstream.URL.RequestURI() != c.want {
				t.Errorf("got %q, want %q", r.Upstream.URL.RequestURI(), c.want)
			}
		})
	}
}

func TestTargetRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{rewrite: [{replace: "/"}]}`: "rewrite[0].pattern", `{rewrite: [{pattern: "", replace: "/"}]}`: "rewrite[0].pattern",
		`{rewrite: [{pattern: a, replace: "?b"}]}`: "rewrite[0].replace", `{query: {remove: [""]}}`: "query.remove[0]",
		`{query: {set: {a: "%NO%"}}}`: "query.set.a: position 0",
	} {
		t.Run(config, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "headermutation", JSON: config})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one with %q", err, want)
			}
		})
	}
}
