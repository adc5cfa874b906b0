package authz

import (
	"strings"
	"testing"
)

var paths = []struct {
	raw, path, query string
	err              error
}{
	{"/", "/", "", nil},
	{"/a/b", "/a/b", "", nil},
	{"/a/b/?x=1?2", "/a/b/", "x=1?2", nil},
	{"/a.b/c..d", "/a.b/c..d", "", nil},
	{"*", "*", "", nil},
	{"", "", "", nil},
	{"//a///b//", "/a/b/", "", nil},
	{"/a;x=1/b;y/c", "/a/b/c", "", nil},
	{"/a;x=1/?;", "/a/", ";", nil},
	{"/%61dmin", "/admin", "", nil},
	{"/a%20b", "/a b", "", nil},
	{"/%C3%A4", "/ä", "", nil},
	{"/100%25", "/100%", "", nil},
	{"/.well-known/x", "/.well-known/x", "", nil},

	{"/public/../admin", "/admin", "", errDots},
	{"/public/..", "/", "", errDots},
	{"/public/x/..", "/public/", "", errDots},
	{"/../../admin", "/admin", "", errDots},
	{"/./admin/.", "/admin/", "", errDots},
	{"/public/%2e%2e/admin", "/admin", "", errDots},
	{"/public/%2E./admin", "/admin", "", errDots},
	{"/public/..;/admin", "/admin", "", errDots},
	{"/public/..;x=1/admin", "/admin", "", errDots},
	{"/public%2f..%2fadmin", "/admin", "", errSlash},
	{"/admin%2Fusers", "/admin/users", "", errSlash},
	{`/admin\users`, "/admin/users", "", errSlash},
	{"/admin%5cusers", "/admin/users", "", errSlash},
	{"/public/%252e%252e/admin", "/public/%2e%2e/admin", "", errTwice},
	{"/admin%252fx", "/admin%2fx", "", errTwice},
	{"/%2561dmin", "/%61dmin", "", errTwice},
	{"/100%2541", "/100%41", "", errTwice},
	{"/a%2520b", "/a%20b", "", errTwice},
	{"/%25%36%31dmin", "/%61dmin", "", errTwice},
	{"/%%36%31dmin", "/%61dmin", "", errEscape},
	{"/100%25zz", "/100%zz", "", nil},
	{"/100%25a", "/100%a", "", nil},
	{"/admin%25252fx", "/admin%252fx", "", errTwice},
	{"/admin%00.png", "/admin\x00.png", "", errControl},
	{"/admin%0a", "/admin\n", "", errControl},
	{"/admin%", "/admin%", "", errEscape},
	{"/admin%2", "/admin%2", "", errEscape},
	{"/admin%zz", "/admin%zz", "", errEscape},
	{"/admin%c0%af", "/admin\xc0\xaf", "", errUTF8},
	{"/admin%3bx", "/admin", "", errParam},
	{"/admin#/public", "/admin", "", errFragment},
	{"admin", "/admin", "", errNoSlash},
	{"http://host/admin", "/http:/host/admin", "", errNoSlash},
}

func TestPath(t *testing.T) {
	for _, c := range paths {
		if path, query, err := (Path{}).Read(c.raw); path != c.path || query != c.query || err != c.err {
			t.Errorf("%q: got %q %q %v, want %q %q %v", c.raw, path, query, err, c.path, c.query, c.err)
		} else if Ambiguous(err) != (err != nil) {
			t.Errorf("%q: ambiguous: %v", c.raw, Ambiguous(err))
		}
		if path, query, err := (Path{Mode: "normalize"}).Read(c.raw); path != c.path || query != c.query || err != nil {
			t.Errorf("%q: normalize: got %q %q %v", c.raw, path, query, err)
		}
		raw, _, _ := strings.Cut(c.raw, "?")
		if path, _, err := (Path{Mode: "raw"}).Read(c.raw); path != raw || err != nil {
			t.Errorf("%q: raw: got %q %v", c.raw, path, err)
		}
	}
	if path, query, _ := (Path{IgnoreCase: true}).Read("/ADMIN/%41?X=Y"); path != "/admin/a" || query != "X=Y" {
		t.Errorf(`(Path{IgnoreCase: true}).Read("/ADMIN/%%41?X=Y"): path = %q, want %q; query = %q, want %q`,
			path, "/admin/a", query, "X=Y")
	}
}

// A path that is not ambiguous is read the same again, and so are those that normalize makes, but for what is encoded
// twice.
func FuzzPath(f *testing.F) {
	for _, c := range paths {
		f.Add(c.raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		path, query, err := Path{}.Read(raw)
		if p, q, e := (Path{Mode: "normalize"}).Read(raw); p != path || q != query || e != nil {
			t.Fatalf("normalize reads %q %q %v, strict %q %q", p, q, e, path, query)
		}
		if path == "" || path == "*" {
			return
		}
		if path[0] != '/' || strings.Contains(path, "//") || strings.Contains(path, "/../") ||
			strings.Contains(path, "/./") || strings.HasSuffix(path, "/..") || strings.Contains(path, ";") {
			t.Fatalf("%q becomes %q", raw, path)
		}
		if err == nil && strings.ContainsAny(path, "\x00\\") {
			t.Fatalf("%q passes as %q", raw, path)
		}
		if err == nil && twice(path) {
			t.Fatalf("%q passes as %q, which has escapes", raw, path)
		}
		if again, _, e := (Path{}).Read(path); err == nil && !strings.ContainsAny(path, "%?") && (again != path ||
			e != nil && e != errFragment) && !strings.Contains(path, "#") {
			t.Fatalf("%q becomes %q, and that %q, %v", raw, path, again, e)
		}
	})
}

func BenchmarkPath(b *testing.B) {
	for name, raw := range map[string]string{"plain": "/a/path?with=a+query", "encoded": "/a/p%61th//x;y=z?with=a+query"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := (Path{}).Read(raw); err != nil {
					b.Fatalf("(Path{}).Read: %v", err)
				}
			}
		})
	}
}
