package staticfiles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatalf("os.MkdirAll: %v", err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
}

func TestStaticFiles(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	big := strings.Repeat("0123456789", 100_000)
	write(t, dir, "a.html", big)
	write(t, dir, "sub/noext", "x")
	write(t, dir, "empty.txt", "")
	write(t, dir, ".git/config", "geheim")
	write(t, outside, "secret", "geheim")
	if err := os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "link")); err != nil {
		t.Fatalf("os.Symlink: %v", err)
	}
	h := filtertest.New(t, &StaticFiles{Root: dir, Prefix: "/s"})
	for path, want := range map[string]struct {
		status     int
		kind, body string
	}{
		"/s/a.html":             {200, "text/html; charset=utf-8", big},
		"/s/./sub/../a.html?q":  {200, "text/html; charset=utf-8", big},
		"/s/sub/noext":          {200, "application/octet-stream", "x"},
		"/s/empty.txt":          {200, "text/plain; charset=utf-8", ""},
		"/s/sub":                {404, "", ""},
		"/s/link":               {500, "", ""},
		"/s/none":               {0, "", ""}, // 0: goes to the upstream
		"/s/.git/config":        {0, "", ""},
		"/s/sub/../.git/config": {0, "", ""},
		"/s/../a.html":          {0, "", ""},
		"/sa.html":              {0, "", ""},
		"/s/%2e%2e/a.html":      {0, "", ""},
		"/":                     {0, "", ""},
	} {
		t.Run(path, func(t *testing.T) {
			r := h.Get(path)
			if want.status == 0 {
				if r.Upstream == nil {
					t.Errorf("%s: did not reach the upstream but %d", path, r.Status)
				}
				return
			}
			if r.Status != want.status || r.Upstream != nil || strings.Contains(r.Body, "geheim") {
				t.Errorf("%s: r.Status = %d, want %d; r.Upstream = %+v, want nil; r.Body = %q, want it without %q",
					path, r.Status, want.status, r.Upstream, r.Body, "geheim")
			}
			if want.status == 200 && (r.Body != want.body || r.Header.Get("content-type") != want.kind) {
				t.Errorf("%s: %d bytes of %s", path, len(r.Body), r.Header.Get("content-type"))
			}
			if len(want.body) > 1000 && len(r.Chunks) < 2 {
				t.Errorf("%s: came in one piece", path)
			}
		})
	}
	if r := h.Post("/s/a.html", "x"); r.Upstream == nil {
		t.Error("POST did not reach the upstream")
	}
}
