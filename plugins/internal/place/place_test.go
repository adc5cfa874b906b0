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
		path   string
		header []string
		want   string
		n      int
		left   string // path, and the headers that are left
	}{
		{"/", nil, "", 0, "/"},
		{"/", []string{"authorization", "Bearer abc"}, "abc", 1, "/"},
		{"/", []string{"authorization", "bEARER   abc "}, "abc", 1, "/"},
		{"/", []string{"authorization", "Bearer"}, "", 1, "/"},
		{"/", []string{"authorization", "Basic abc"}, "", 0, "/ Basic abc"},
		{"/", []string{"authorization", "Bearerabc"}, "", 0, "/ Bearerabc"},
		{"/", []string{"authorization", "Basic x", "authorization", "Bearer y"}, "y", 1, "/ Basic x"},
		{"/", []string{"authorization", "Bearer a", "authorization", "Bearer b"}, "a", 2, "/"},
		{"/", []string{"x-token", "abc"}, "abc", 1, "/"},
		{"/", []string{"x-token", ""}, "", 1, "/"},
		{"/", []string{"x-token", "a", "authorization", "Bearer a"}, "a", 2, "/"},
		{"/", []string{"x-token", long}, long, 1, "/"},
		{"/?token=a%2Bb", nil, "a+b", 1, "/"},
		{"/?x=1&token=abc&y=%zz", nil, "abc", 1, "/?x=1&y=%zz"},
		{"/?x=1&&%74oken=abc", nil, "abc", 1, "/?x=1&"},
		{"/?a+b=1", nil, "1", 1, "/"},
		{"/?token=a&token=b", nil, "a", 2, "/"},
		{"/?Token=a", nil, "", 0, "/?Token=a"},
		{"/?token", nil, "", 1, "/"},
		{"/?x=token=1", nil, "", 0, "/?x=token=1"},
		{"/", []string{"cookie", "a=b; t=abc; c=d"}, "abc", 1, "/ a=b; c=d"},
		{"/", []string{"cookie", `t="abc"`}, "abc", 1, "/"},
		{"/", []string{"cookie", "a=b;c=d"}, "", 0, "/ a=b;c=d"},
		{"/", []string{"cookie", "T=1; tt=2; t =3"}, "3", 1, "/ T=1; tt=2"},
		{"/", []string{"cookie", "t=1", "cookie", "t=2; x=y"}, "1", 2, "/ x=y"},
	} {
		h := filtertest.New(t, &plugintest.Probe{Request: func(_ filter.Stream, h filter.RequestHeaders) {
			if got, n := p.Find(h); got != c.want || n != c.n {
				t.Errorf("%s %.60q: %.40q %d, want %.40q %d", c.path, c.header, got, n, c.want, c.n)
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
	}
}

func TestValidate(t *testing.T) {
	for want, p := range map[string]Places{
		"headers[0].name":   {Headers: []Header{{"a b", ""}}},
		"headers[1].scheme": {Headers: []Header{{"a", "b"}, {"a", "b c"}}},
		"queries[0]":        {Queries: []string{""}},
		"cookies[0]":        {Cookies: []string{"a=b"}},
	} {
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("p.Validate(): got error %v, want one with %q", err, want)
		}
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
