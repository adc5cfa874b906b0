package mosn

import "testing"

// TestNormalized has the facts of fasthttp's URI.Path; plugins/mosn asks fasthttp itself.
func TestNormalized(t *testing.T) {
	for path, want := range map[string]string{
		"":                           "/",
		"/":                          "/",
		"*":                          "/*",
		"/admin":                     "/admin",
		"/admin/":                    "/admin/",
		"//admin":                    "/admin",
		"///admin//x//":              "/admin/x/",
		"/./admin":                   "/admin",
		"/././admin/./x":             "/admin/x",
		"/admin/.":                   "/admin/.",
		"/.":                         "/.",
		"/public/../admin":           "/admin",
		"/a/b/../../admin":           "/admin",
		"/../../admin":               "/admin",
		"/admin/..":                  "/",
		"/a/b/..":                    "/a/",
		"/a/..//":                    "/",
		"/..":                        "/",
		"/...":                       "/...",
		"/.hidden/..admin":           "/.hidden/..admin",
		"/%61dmin":                   "/admin",
		"/%2Fadmin":                  "/admin",
		"%2Fadmin":                   "/admin",
		"/public%2F..%2fadmin":       "/admin",
		"/public/%2e%2E/admin":       "/admin",
		"/%2561dmin":                 "/%61dmin",
		"/%61dmin/%zz":               "/admin/%zz",
		"/%61dmin/%":                 "/admin/%",
		"/%61dmin/%4":                "/admin/%4",
		"/%%61dmin":                  "/%admin",
		"/a%20b+c":                   "/a b+c",
		`/public\..\admin`:           `/public\..\admin`,
		"/public/x/%2e././/.%2e/../": "/",
	} {
		t.Run(path, func(t *testing.T) {
			if got := normalized(path); got != want {
				t.Errorf("the path is %q, want %q", got, want)
			}
		})
	}
}
