package match

import (
	"regexp"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/plugintest"
)

func TestIs(t *testing.T) {
	for _, c := range []struct {
		name         string
		match        Match
		method, path string
		host         string
		header       []string
		want         bool
	}{
		{name: "zero", want: true},
		{name: "method", match: Match{Methods: []string{"PUT", "GET"}}, want: true},
		{name: "another method", match: Match{Methods: []string{"PUT"}}},
		{name: "method in lower case", match: Match{Methods: []string{"GET"}}, method: "get"},
		{name: "scheme", match: Match{Scheme: "http"}, want: true},
		{name: "another scheme", match: Match{Scheme: "https"}},
		{name: "host", match: Match{Hosts: []string{"b.example", "A.example"}}, host: "a.EXAMPLE:8080", want: true},
		{name: "host with a dot at its end", match: Match{Hosts: []string{"a.example"}}, host: "a.example.", want: true},
		{name: "another host", match: Match{Hosts: []string{"a.example"}}, host: "a.example.evil"},
		{name: "below a host", match: Match{Hosts: []string{"*.a.example"}}, host: "x.y.a.example", want: true},
		{name: "the host itself", match: Match{Hosts: []string{"*.a.example"}}, host: "a.example"},
		{name: "a name that ends alike", match: Match{Hosts: []string{"*.a.example"}}, host: "xa.example"},
		{name: "IPv6", match: Match{Hosts: []string{"[::1]"}}, host: "[::1]:80", want: true},
		{name: "path", match: Match{Path: "/a"}, path: "/a?b", want: true},
		{name: "longer path", match: Match{Path: "/a"}, path: "/a/"},
		{name: "prefix", match: Match{Prefix: "/a"}, path: "/a", want: true},
		{name: "below the prefix", match: Match{Prefix: "/a"}, path: "/a/b", want: true},
		{name: "half a segment", match: Match{Prefix: "/a"}, path: "/ab"},
		{name: "prefix with a slash", match: Match{Prefix: "/a/"}, path: "/a/b", want: true},
		{name: "without the slash", match: Match{Prefix: "/a/"}, path: "/a"},
		{name: "the root", match: Match{Prefix: "/"}, path: "/a", want: true},
		{name: "encoded", match: Match{Prefix: "/a b"}, path: "/a%20b/c", want: true},
		{name: "pattern", match: Match{Pattern: regexp.MustCompile(`/\d+$`)}, path: "/a/12", want: true},
		{name: "pattern that is not there", match: Match{Pattern: regexp.MustCompile(`/\d+$`)}, path: "/a/b"},
		{name: "header", match: Match{Headers: []Header{{Name: "X-A"}}}, header: []string{"x-a", ""}, want: true},
		{name: "no header", match: Match{Headers: []Header{{Name: "x-a"}}}},
		{name: "absent", match: Match{Headers: []Header{{Name: "x-a", Absent: true}}}, want: true},
		{name: "not absent", match: Match{Headers: []Header{{Name: "x-a", Absent: true}}}, header: []string{"x-a", "1"}},
		{
			name: "one of the values", match: Match{Headers: []Header{{Name: "x-a", Value: "2"}}},
			header: []string{"x-a", "1", "x-a", "2"}, want: true,
		},
		{name: "another value", match: Match{Headers: []Header{{Name: "x-a", Value: "2"}}}, header: []string{"x-a", "22"}},
		{
			name: "value by pattern", match: Match{Headers: []Header{{Name: "x-a", Pattern: regexp.MustCompile("^2+$")}}},
			header: []string{"x-a", "22"}, want: true,
		},
		{
			name:  "one header of two",
			match: Match{Headers: []Header{{Name: "x-a"}, {Name: "x-b"}}}, header: []string{"x-a", "1"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.match.Validate(); err != nil {
				t.Fatalf("Validate: %v", err)
			}
			method, path := c.method, c.path
			if method == "" {
				method = "GET"
			}
			if path == "" {
				path = "/"
			}
			asked := false
			h := filtertest.New(t, &plugintest.Probe{Request: func(s filter.Stream, h filter.RequestHeaders) {
				asked = true
				r, _ := authz.Path{Mode: "normalize"}.Request(s, h)
				if got, err := c.match.Is(&r); got != c.want || err != nil {
					t.Errorf("got %v, %v; want %v", got, err, c.want)
				}
			}})
			q := filtertest.NewRequest(method, path, "", c.header...)
			if c.host != "" {
				q.Host = c.host
			}
			if h.Do(q); !asked {
				t.Error("the request has not come")
			}
			if c.match.Empty() != (c.name == "zero") {
				t.Errorf("Empty() = %v", c.match.Empty())
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name  string
		match Match
		want  string
	}{
		{name: "method", match: Match{Methods: []string{"GET", "get"}}, want: "methods[1]: methods are case-sensitive"},
		{name: "port", match: Match{Hosts: []string{"a:80"}}, want: "hosts[0]: expected a host without a port"},
		{name: "star within", match: Match{Hosts: []string{"a.*.b"}}, want: "hosts[0]"},
		{name: "star alone", match: Match{Hosts: []string{"*."}}, want: "hosts[0]"},
		{name: "no slash", match: Match{Path: "a"}, want: "path: must begin with a slash"},
		{name: "query", match: Match{Prefix: "/a?b"}, want: "prefix: must not have a query"},
		{name: "two ways", match: Match{Path: "/a", Prefix: "/a"}, want: "mutually exclusive"},
		{name: "header", match: Match{Headers: []Header{{Name: "a b"}}}, want: "headers[0].name"},
		{
			name: "two conditions", match: Match{Headers: []Header{{Name: "a", Absent: true, Value: "b"}}},
			want: "headers[0].name: value, pattern and absent",
		},
		{name: "expression without cel", match: Match{When: "true"}, want: "when: expressions need the plugin cel"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.match.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestWithin(t *testing.T) {
	m := Match{Path: "a", Methods: []string{""}}
	err := Within("rules[0]", m.Validate())
	if err == nil || strings.Count(err.Error(), "rules[0].") != 2 {
		t.Errorf("got %v, want both errors within rules[0]", err)
	}
	if err := Within("x", nil); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}
