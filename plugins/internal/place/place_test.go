package place

import (
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/plugintest"
)

func places() *Places {
	p := &Places{
		Headers: []Header{{"Authorization", "Bearer"}, {"X-Token", ""}}, Queries: []string{"token", "a b"},
		Cookies: []string{"t"},
	}
	p.Lower()
	return p
}

func TestPlaces(t *testing.T) {
	p := places()
	long := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name, path string
		header     []string
		want       string
		count      int
		left       string // path, and the headers that are left
	}{
		{name: "nothing", path: "/", left: "/"},
		{
			name: "header with a scheme", path: "/", header: []string{"authorization", "Bearer abc"}, want: "abc",
			count: 1, left: "/",
		},
		{
			name: "scheme of another case and spaces", path: "/", header: []string{"authorization", "bEARER   abc "},
			want: "abc", count: 1, left: "/",
		},
		{name: "scheme alone", path: "/", header: []string{"authorization", "Bearer"}, count: 1, left: "/"},
		{name: "another scheme", path: "/", header: []string{"authorization", "Basic abc"}, left: "/ Basic abc"},
		{name: "scheme without a space", path: "/", header: []string{"authorization", "Bearerabc"}, left: "/ Bearerabc"},
		{
			name: "another scheme's field before", path: "/",
			header: []string{"authorization", "Basic x", "authorization", "Bearer y"}, want: "y", count: 1,
			left: "/ Basic x",
		},
		{
			name: "two of a header", path: "/",
			header: []string{"authorization", "Bearer a", "authorization", "Bearer b"}, want: "a", count: 2, left: "/",
		},
		{
			name: "header without a scheme", path: "/", header: []string{"x-token", "abc"}, want: "abc", count: 1,
			left: "/",
		},
		{name: "empty header", path: "/", header: []string{"x-token", ""}, count: 1, left: "/"},
		{
			name: "two headers", path: "/", header: []string{"x-token", "a", "authorization", "Bearer a"}, want: "a",
			count: 2, left: "/",
		},
		{name: "long header", path: "/", header: []string{"x-token", long}, want: long, count: 1, left: "/"},
		{name: "query", path: "/?token=a%2Bb", want: "a+b", count: 1, left: "/"},
		{name: "query among others", path: "/?x=1&token=abc&y=%zz", want: "abc", count: 1, left: "/?x=1&y=%zz"},
		{name: "encoded name in the query", path: "/?x=1&&%74oken=abc", want: "abc", count: 1, left: "/?x=1&"},
		{name: "space in a query's name", path: "/?a+b=1", want: "1", count: 1, left: "/"},
		{name: "twice in the query", path: "/?token=a&token=b", want: "a", count: 2, left: "/"},
		{name: "another case in the query", path: "/?Token=a", left: "/?Token=a"},
		{name: "query without a value", path: "/?token", count: 1, left: "/"},
		{name: "name within a value", path: "/?x=token=1", left: "/?x=token=1"},
		{
			name: "cookie", path: "/", header: []string{"cookie", "a=b; t=abc; c=d"}, want: "abc", count: 1,
			left: "/ a=b; c=d",
		},
		{name: "quoted cookie", path: "/", header: []string{"cookie", `t="abc"`}, want: "abc", count: 1, left: "/"},
		{name: "other cookies", path: "/", header: []string{"cookie", "a=b;c=d"}, left: "/ a=b;c=d"},
		{
			name: "cookies of similar names", path: "/", header: []string{"cookie", "T=1; tt=2; t =3"}, want: "3",
			count: 1, left: "/ T=1; tt=2",
		},
		{
			name: "two cookies", path: "/", header: []string{"cookie", "t=1", "cookie", "t=2; x=y"}, want: "1",
			count: 2, left: "/ x=y",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := filtertest.New(t, &plugintest.Probe{Request: func(_ filter.Stream, h filter.RequestHeaders) {
				if got, n := p.Find(h); got != c.want || n != c.count {
					t.Errorf("%s %.60q: %.40q %d, want %.40q %d", c.path, c.header, got, n, c.want, c.count)
				}
				p.Take(h)
			}})
			r := h.Get(c.path, c.header...)
			left := r.Upstream.RequestURI
			for _, name := range []string{"Authorization", "X-Token", "Cookie"} {
				for _, v := range r.Upstream.Header[name] {
					left += " " + v
				}
			}
			if left != c.left {
				t.Errorf("%s %.60q: %.60q is left, want %q", c.path, c.header, left, c.left)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for want, p := range map[string]Places{
		"headers[0].name":   {Headers: []Header{{"a b", ""}}},
		"headers[1].scheme": {Headers: []Header{{"a", "b"}, {"a", "b c"}}},
		"queries[0]":        {Queries: []string{""}},
		"cookies[0]":        {Cookies: []string{"a=b"}},
	} {
		t.Run(want, func(t *testing.T) {
			if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("p.Validate(): got error %v, want one with %q", err, want)
			}
		})
	}
	if p := places(); p.Validate() != nil || p.Empty() || !new(Places).Empty() {
		t.Error("good places are refused")
	}
}

func FuzzParameters(f *testing.F) {
	f.Add("a=b&c=%zz&&=")
	f.Fuzz(func(t *testing.T, query string) {
		var raws []string
		parameters(query, func(_, _, raw string) { raws = append(raws, raw) })
		if strings.Join(raws, "&") != query {
			t.Errorf("%q became %q", query, raws)
		}
		cookies(query, func(name, _, raw string) {
			if !strings.HasPrefix(raw, name) {
				t.Errorf("%q: %q is not in %q", query, name, raw)
			}
		})
	})
}
