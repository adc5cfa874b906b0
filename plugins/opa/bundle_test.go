package opa

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"

	"mosn.io/moe/plugins/internal/authztest"
)

// pack makes a bundle as `opa build` does, signed if there is a secret.
func pack(t *testing.T, module, secret string) []byte {
	t.Helper()
	b := bundle.Bundle{
		Data: map[string]any{"roles": map[string]any{"alice": "admin"}},
		Modules: []bundle.ModuleFile{{
			URL: "/policy.rego", Path: "/policy.rego", Raw: []byte(module), Parsed: ast.MustParseModule(module),
		}},
	}
	b.Manifest.Init()
	if secret != "" {
		if err := b.GenerateSignature(bundle.NewSigningConfig(secret, "HS256", ""), "key", false); err != nil {
			t.Fatalf("b.GenerateSignature: %v", err)
		}
	}
	var out bytes.Buffer
	if err := bundle.Write(&out, b); err != nil {
		t.Fatalf("bundle.Write: %v", err)
	}
	return out.Bytes()
}

func TestBundleFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	authztest.Replace(t, file, string(pack(t, rule(`data.roles.alice == "admin"`), "")))
	h := authztest.Load(t, nil, "opa", "bundle: {file: "+file+"}\npoll: 10ms\ntimeout: 20s")
	status := func(want int) func() bool { return func() bool { return h.Get("/").Status == want } }
	if !status(200)() {
		t.Fatalf("status(200)() = false, want true: %q", h.Log())
	}
	authztest.Replace(t, file, string(pack(t, rule(`data.roles.alice == "guest"`), "")))
	authztest.Until(t, "the new bundle holds", status(403))
	authztest.Replace(t, file, "broken")
	authztest.Until(t, "it is said why", func() bool { return h.Metric("reload_failed") > 0 })
	authztest.Replace(t, file, string(pack(t, rule(`true`), "")))
	authztest.Until(t, "the new bundle holds", status(200))
}

func TestSignature(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ secret, with, want string }{
		"right":    {"0123456789abcdef0123456789abcdef", "verifyWith: 0123456789abcdef0123456789abcdef", ""},
		"wrong":    {"1123456789abcdef0123456789abcdef", "verifyWith: 0123456789abcdef0123456789abcdef", "the bundle"},
		"unsigned": {"", "verifyWith: 0123456789abcdef0123456789abcdef", "the bundle"},
		"scope":    {"0123456789abcdef0123456789abcdef", "verifyWith: 0123456789abcdef0123456789abcdef, scope: other", "the bundle"},
		"key":      {"0123456789abcdef0123456789abcdef", "verifyWith: 0123456789abcdef0123456789abcdef, algorithm: RS256", "the bundle"},
		"ignored":  {"0123456789abcdef0123456789abcdef", "scope: x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, name)
			authztest.Replace(t, file, string(pack(t, rule("true"), c.secret)))
			config := "bundle: {file: " + file + ", " + c.with
			if !strings.Contains(c.with, "algorithm") {
				config += ", algorithm: HS256"
			}
			config += "}"
			if c.want == "" {
				if r := authztest.Load(t, nil, "opa", config+"\ntimeout: 20s").Get("/"); r.Status != 200 {
					t.Errorf("%s: r.Status = %d, want 200", name, r.Status)
				}
			} else if got := authztest.Refused(t, "opa", config); !strings.Contains(got, c.want) || strings.Contains(got, "0123456789abcdef") {
				t.Errorf(`%s: authztest.Refused("opa", config) = %q, want it to contain %q, and it without %q`,
					name, got, c.want, "0123456789abcdef")
			}
		})
	}
}

// shelf is a server of bundles.
type shelf struct {
	mu    sync.Mutex
	data  []byte
	etag  string
	fail  int
	seen  int // requests that were answered with a bundle
	token string
}

func (s *shelf) put(data []byte, etag string, fail int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data, s.etag, s.fail = data, etag, fail
}

// ServeHTTP serves the bundle.
func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = r.Header.Get("Authorization")
	switch {
	case s.fail != 0:
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(s.fail)
	case s.etag != "" && r.Header.Get("If-None-Match") == s.etag:
		w.WriteHeader(http.StatusNotModified)
	default:
		s.seen++
		w.Header().Set("ETag", s.etag)
		w.Write(s.data)
	}
}

func TestBundleURL(t *testing.T) {
	s := &shelf{data: pack(t, rule("true"), ""), etag: `"1"`, fail: 503}
	server := httptest.NewServer(s)
	defer server.Close()
	config := "bundle: {url: '" + server.URL + "/bundle?secret=geheim', interval: 10ms, token: geheim}\n"
	h := authztest.Load(t, nil, "opa", config+"timeout: 10ms")
	if r := h.Get("/"); r.Status != 403 || r.Details != "moe.opa.error" || !strings.Contains(h.Log(), "no policy is loaded yet") {
		t.Errorf("r.Status = %d, want 403; r.Details = %q, want %q; h.Log() = %q, want it to contain %q",
			r.Status, r.Details, "moe.opa.error", h.Log(), "no policy is loaded yet")
	}
	h = authztest.Load(t, nil, "opa", config+"timeout: 20s")
	status := func(want int) func() bool { return func() bool { return h.Get("/").Status == want } }
	authztest.Until(t, "it is said why", func() bool { return strings.Contains(h.Log(), "the server answers 503") })
	s.put(s.data, `"1"`, 0)
	authztest.Until(t, "the bundle holds", status(200))
	for what, fail := range map[string]int{"gone": 404, "moved": 302, "broken": 0} {
		t.Run(what, func(t *testing.T) {
			before := h.Metric("reload_failed")
			s.put([]byte("no bundle"), what, fail)
			authztest.Until(t, what, func() bool { return h.Metric("reload_failed") > before })
			if !status(200)() {
				t.Errorf("%s: what was loaded before does not hold", what)
			}
		})
	}
	s.put(pack(t, rule("false"), ""), `"2"`, 0)
	authztest.Until(t, "the new bundle holds", status(403))
	s.mu.Lock()
	seen, token := s.seen, s.token
	s.mu.Unlock()
	authztest.Until(t, "it is asked for again", func() bool { return h.Get("/").Status == 403 })
	if token != "Bearer geheim" || seen < 2 || strings.Contains(h.Log(), "geheim") {
		t.Errorf("s.token = %q, want %q; s.seen = %d, want at least 2; h.Log() = %q, want it without %q",
			token, "Bearer geheim", seen, h.Log(), "geheim")
	}
	server.Close()
	before := h.Metric("reload_failed")
	authztest.Until(t, "the server is down", func() bool { return h.Metric("reload_failed") > before })
	if !status(403)() || strings.Contains(h.Log(), "geheim") {
		t.Error("the log has a secret, or what was loaded is forgotten")
	}
}

// Decisions wait for the first bundle.
func TestFirstBundle(t *testing.T) {
	s := &shelf{data: pack(t, rule("true"), "")}
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-release
		s.ServeHTTP(w, r)
	}))
	defer server.Close()
	h := authztest.Load(t, nil, "opa", "bundle: {url: '"+server.URL+"', timeout: 30s}\ntimeout: 30s")
	got := make(chan int)
	go func() { got <- h.Get("/").Status }()
	close(release)
	if status := <-got; status != 200 {
		t.Errorf("got %d, want 200: %q", status, h.Log())
	}
}

// A bundle that is small to send and endless to unpack.
func TestBomb(t *testing.T) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	const size, limit = 5 << 20, 4 << 20
	if err := w.WriteHeader(&tar.Header{Name: "/data.json", Mode: 0o600, Size: size}); err != nil {
		t.Fatalf("w.WriteHeader: %v", err)
	}
	block := make([]byte, 1<<20)
	for range size >> 20 {
		if _, err := w.Write(block); err != nil {
			t.Fatalf("w.Write: %v", err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatalf("w.Close: %v", err)
	}
	if err := z.Close(); err != nil {
		t.Fatalf("z.Close: %v", err)
	}
	if _, err := (&Bundle{}).unpack(out.Bytes(), limit); err == nil || !strings.Contains(err.Error(), "exceeded max size") {
		t.Errorf("(&Bundle{}).unpack(out.Bytes(), limit): got error %v, want one with %q", err, "exceeded max size")
	}
}
