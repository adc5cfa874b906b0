package origin

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for text, want := range map[string]string{
		"https://a.example": "", "http://localhost:8080": "", "https://*.a.example": "", "app://x": "",
		"https://[::1]:8080": "", "https://192.0.2.1": "",
		"a.example": "not an origin", "": "not an origin", "https://": "not an origin", "://a": "not an origin",
		"https://a.example/": "nothing may follow", "https://a?b": "nothing may follow", "https://u@a": "nothing may follow",
		"https://*a.example": "first label", "https://a.*.example": "first label", "https://*": "first label",
		"https://A.example": "lower case", "https://a:443": "leave out the port", "http://a:80": "leave out the port",
		"https://a:x": "not an origin", "https://*.a:443": "leave out the port",
	} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			err := Check(text)
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %q", text, err, want)
			}
		})
	}
}

func set(t *testing.T, origins []string, patterns ...string) Set {
	t.Helper()
	var ps []*regexp.Regexp
	for _, p := range patterns {
		ps = append(ps, regexp.MustCompile(p))
	}
	s, err := Parse(origins, ps)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return s
}

func TestHas(t *testing.T) {
	s := set(t, []string{"https://a.example", "https://*.b.example", "http://*.c.example:8080"},
		`https://d[0-9]+\.example`, "(?i).*e-any|x")
	for o, want := range map[string]bool{
		"https://a.example": true, "http://a.example": false, "https://a.example:8443": false, "https://A.example": false,
		"https://a.example.evil": false, "https://evil/https://a.example": false, "": false, "null": false,
		"https://x.b.example": true, "https://x.y.b.example": true, "https://b.example": false, "https://.b.example": false,
		"https://evilb.example": false, "https://x.b.example:1": false, "https://evil/.b.example": false,
		"https://evil:80.b.example": false, "https://u@x.b.example": false, "https://\xff.b.example": false,
		"http://x.c.example:8080": true, "http://x.c.example": false,
		"https://d12.example": true, "https://d.example": false, "https://d1xexample": false,
		"https://d1.example.evil": false, "xhttps://d1.example": false, "https://d1.example\n": false, "x": true,
		"https://" + strings.Repeat("x", 1<<20) + ".b.example": false,
	} {
		t.Run(fmt.Sprintf("%.40q", o), func(t *testing.T) {
			if got := s.Has(o); got != want {
				t.Errorf("%.60q: s.Has(o) = %v, want %v", o, got, want)
			}
		})
	}
	none := set(t, nil)
	if none.Has("https://a.example") || !none.Empty() || s.Empty() {
		t.Error("an empty set is not empty")
	}
	if opaque := set(t, []string{Null}); !opaque.Has("null") {
		t.Error("null is listed")
	}
	if all := set(t, nil, ".*"); all.Has("null") || !all.Has("https://x") {
		t.Error(".* must match every origin but null")
	}
}

func TestOf(t *testing.T) {
	for address, want := range map[string]string{
		"https://a.example/x?y#z": "https://a.example", "https://A.example:443/": "https://a.example",
		"http://a:8080": "http://a:8080", "http://u:p@a/": "http://a", "http://[::1]/": "http://[::1]",
		"": "", "a.example": "", "//a.example": "", "data:text/html,x": "", "https://": "", "https:///x": "",
		"https://\x00": "", "javascript://a": "", "https://a.example:" + strings.Repeat("1", 9000): "",
	} {
		t.Run(fmt.Sprintf("%.40q", address), func(t *testing.T) {
			if got, ok := Of(address); got != want || ok != (want != "") {
				t.Errorf("%.40q: Of(address): got = %q, want %q; ok = %v, want %v", address, got, want, ok, (want != ""))
			}
		})
	}
}

func TestSameHost(t *testing.T) {
	for _, c := range []struct {
		o, authority string
		want         bool
	}{
		{"https://a.example", "a.example", true},
		{"https://a.example", "A.example:443", true},
		{"http://a.example", "a.example:80", true},
		{"http://a.example", "a.example:443", false},
		{"https://a.example:8443", "a.example:8443", true},
		{"https://a.example:8443", "a.example", false},
		{"https://b.a.example", "a.example", false},
		{"null", "a.example", false},
		{"null", "null", false},
		{"https://", "", false},
		{"", "", false},
		{"a.example", "a.example", false},
	} {
		t.Run(fmt.Sprintf("%v %v", c.o, c.authority), func(t *testing.T) {
			if got := SameHost(c.o, c.authority); got != c.want {
				t.Errorf("%q, %q: SameHost(c.o, c.authority) = %v, want %v", c.o, c.authority, got, c.want)
			}
		})
	}
}

func FuzzOrigins(f *testing.F) {
	for _, s := range []string{"https://a.example", "https://x.b.example", "null", "https://u@a:1/x", "\xff"} {
		f.Add(s)
	}
	s, err := Parse([]string{"https://a.example", "https://*.b.example"}, nil)
	if err != nil {
		f.Fatalf("Parse: %v", err)
	}
	f.Fuzz(func(t *testing.T, o string) {
		if s.Has(o) && o != "https://a.example" &&
			(!strings.HasPrefix(o, "https://") || !strings.HasSuffix(o, ".b.example") || strings.ContainsAny(o[8:], "/@:?#")) {
			t.Errorf("%q is not an origin of the set", o)
		}
		if from, ok := Of(o); ok && !SameHost(from, strings.SplitN(from, "://", 2)[1]) {
			t.Errorf("%q has the origin %q, which is not its own host", o, from)
		}
	})
}
