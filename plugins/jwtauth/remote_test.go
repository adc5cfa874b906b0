package jwtauth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/outbound"
)

// keyServer gives keys that change, or fails.
type keyServer struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	body   string
	header http.Header
	hold   chan struct{} // answers wait until it is closed
	asked  int
	cached int // asked with an etag
}

func serveKeys(t *testing.T, body string) *keyServer {
	s := &keyServer{status: 200, body: body, header: http.Header{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked++
		status, body, hold := s.status, s.body, s.hold
		for k, v := range s.header {
			w.Header()[k] = v
		}
		if tag := s.header.Get("ETag"); tag != "" && r.Header.Get("if-none-match") == tag {
			s.cached++
			status, body = 304, ""
		}
		s.mu.Unlock()
		if hold != nil {
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Server.Close)
	return s
}

func (s *keyServer) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *keyServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// remoteConfig reads keys rarely, so that what tests see is what requests ask for.
func remoteConfig(t *testing.T, s *keyServer) *JWTAuth {
	t.Helper()
	u, err := url.Parse(s.URL + "/jwks")
	if err != nil {
		t.Fatalf("url.Parse: %v", err)
	}
	p := inline("")
	p.Providers[0].Keys = Keys{
		URL: u, Refresh: time.Hour, Cooldown: time.Nanosecond,
		Connection: outbound.Connection{AllowHTTP: true, Timeout: 10 * time.Second},
	}
	return p
}

// eventually waits, long, for what must happen.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never happens: " + what)
		}
	}
}

func TestRotation(t *testing.T) {
	s := serveKeys(t, jwks(t, map[string]string{"one": "rsa"}))
	h := filtertest.New(t, remoteConfig(t, s))
	one, two := sign(t, "rsa", "RS256", "one", good(nil)), sign(t, "rsa2", "RS256", "two", good(nil))
	// The first request may come before the first reading: it waits for it.
	if r := h.Get("/", withToken(one)...); r.Status != 200 {
		t.Fatalf("r.Status = %d, want 200: %q, %q", r.Status, r.Details, h.Log())
	}
	s.set(func() { s.body = jwks(t, map[string]string{"two": "rsa2"}) })
	if r := h.Get("/", withToken(two)...); r.Status != 200 {
		t.Error("a new key is not asked for:", r.Details, h.Log())
	}
	if r := h.Get("/", withToken(one)...); r.Status != 401 || details(r) != "key" {
		t.Error("the old key still holds:", r.Status, r.Details)
	}
}

// Whoever makes up key ids cannot make us ask more often than once in a while.
func TestUnknownKeysAskOnce(t *testing.T) {
	s := serveKeys(t, jwks(t, map[string]string{"one": "rsa"}))
	p := remoteConfig(t, s)
	p.Providers[0].Keys.Cooldown = time.Hour
	h := filtertest.New(t, p)
	if r := h.Get("/", withToken(sign(t, "rsa", "RS256", "one", good(nil)))...); r.Status != 200 {
		t.Fatalf("r.Status = %d, want 200: %q", r.Status, r.Details)
	}
	before := s.count()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			token := sign(t, "rsa2", "RS256", fmt.Sprint("made-up-", i), good(nil))
			if r := h.Get("/", withToken(token)...); r.Status != 401 || details(r) != "key" {
				t.Errorf("r.Status = %d, want 401; details(r) = %q, want %q: %q",
					r.Status, details(r), "key", r.Details)
			}
		})
	}
	all.Wait()
	if asked := s.count() - before; asked > 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestServerFails(t *testing.T) {
	keys := jwks(t, map[string]string{"one": "rsa"})
	one, two := sign(t, "rsa", "RS256", "one", good(nil)), sign(t, "rsa2", "RS256", "two", good(nil))
	for name, fail := range map[string]func(*keyServer){
		"500":      func(s *keyServer) { s.status = 500 },
		"redirect": func(s *keyServer) { s.status, s.header = 302, http.Header{"Location": {"/elsewhere"}} },
		"no JSON":  func(s *keyServer) { s.body = "<html>" },
		"no keys":  func(s *keyServer) { s.body = `{"keys":[]}` },
		"empty":    func(s *keyServer) { s.body = "" },
		"endless":  func(s *keyServer) { s.body = `{"keys":[` + strings.Repeat(" ", 2<<20) },
		"secrets": func(s *keyServer) {
			s.body = `{"keys":[{"kty":"oct","kid":"two","k":"` + strings.Repeat("A", 64) + `"}]}`
		},
		"weak":       func(s *keyServer) { s.body = `{"keys":[{"kty":"RSA","kid":"two","n":"AQAB","e":"AQAB"}]}` },
		"encryption": func(s *keyServer) { s.body = jwks(t, map[string]string{"two": "rsa2"}, map[string]any{"use": "enc"}) },
	} {
		t.Run(name, func(t *testing.T) {
			s := serveKeys(t, keys)
			p := remoteConfig(t, s)
			h := filtertest.New(t, p)
			if r := h.Get("/", withToken(one)...); r.Status != 200 {
				t.Fatalf("r.Status = %d, want 200: %q", r.Status, r.Details)
			}
			s.set(func() { fail(s) })
			if r := h.Get("/", withToken(two)...); r.Status != 401 || details(r) != "key" {
				t.Errorf("r.Status = %d, want 401; details(r) = %q, want %q: %q",
					r.Status, details(r), "key", r.Details)
			}
			if r := h.Get("/", withToken(one)...); r.Status != 200 {
				t.Error("the good keys are gone:", r.Status, r.Details)
			}
			if !strings.Contains(h.Log(), "cannot read the keys") || h.Metric("jwtauth.keys_failed") == 0 {
				t.Errorf(`h.Log() = %q, want it to contain %q; h.Metric("jwtauth.keys_failed") = 0, want another`,
					h.Log(), "cannot read the keys")
			}

			// One that never had keys lets nothing pass.
			s = serveKeys(t, "")
			s.set(func() { fail(s) })
			h = filtertest.New(t, remoteConfig(t, s))
			if r := h.Get("/", withToken(one)...); r.Status != 503 || details(r) != "no_keys" {
				t.Errorf("r.Status = %d, want 503; details(r) = %q, want %q: %q",
					r.Status, details(r), "no_keys", r.Details)
			}
			// When it comes back, so do we: the loop tries again soon.
			s.set(func() { s.status, s.body = 200, keys })
			eventually(t, "keys after a failure", func() bool { return h.Get("/", withToken(one)...).Status == 200 })
		})
	}
}

func TestServerIsDown(t *testing.T) {
	s := serveKeys(t, "")
	p := remoteConfig(t, s)
	s.Close()
	h := filtertest.New(t, p)
	if r := h.Get("/", withToken(sign(t, "rsa", "RS256", "one", good(nil)))...); r.Status != 503 {
		t.Errorf("r.Status = %d, want 503: %q", r.Status, r.Details)
	}
	if r := h.Get("/"); r.Status != 401 {
		t.Errorf("r.Status = %d, want 401", r.Status)
	}
}

// A server that does not answer holds nobody up for longer than the time-out, and nobody whose key is known.
func TestServerIsSlow(t *testing.T) {
	s := serveKeys(t, jwks(t, map[string]string{"one": "rsa"}))
	p := remoteConfig(t, s)
	p.Providers[0].Keys.Connection.Timeout = 300 * time.Millisecond
	h := filtertest.New(t, p)
	one := withToken(sign(t, "rsa", "RS256", "one", good(nil)))
	eventually(t, "the first keys", func() bool { return h.Get("/", one...).Status == 200 })
	hold := make(chan struct{})
	s.set(func() { s.hold = hold })
	done := make(chan *filtertest.Response, 1)
	go func() { done <- h.Get("/", withToken(sign(t, "rsa2", "RS256", "two", good(nil)))...) }()
	eventually(t, "the server is asked", func() bool { return s.count() >= 2 })
	if r := h.Get("/", one...); r.Status != 200 {
		t.Errorf("r.Status = %d, want 200: %q", r.Status, r.Details)
	}
	if r := <-done; r.Status != 401 || details(r) != "key" {
		t.Errorf("r.Status = %d, want 401; details(r) = %q, want %q: %q", r.Status, details(r), "key", r.Details)
	}
	close(hold)
}

func TestStaleKeys(t *testing.T) {
	s := serveKeys(t, jwks(t, map[string]string{"one": "rsa"}))
	p := remoteConfig(t, s)
	h := filtertest.New(t, p)
	one := withToken(sign(t, "rsa", "RS256", "one", good(nil)))
	if r := h.Get("/", one...); r.Status != 200 {
		t.Fatalf("r.Status = %d, want 200: %q", r.Status, r.Details)
	}
	s.set(func() { s.status = 500 })
	p.Providers[0].remote.MaxStale = time.Nanosecond
	if r := h.Get("/", one...); r.Status != 503 || details(r) != "no_keys" {
		t.Errorf("r.Status = %d, want 503; details(r) = %q, want %q: %q", r.Status, details(r), "no_keys", r.Details)
	}
}

func TestNotModified(t *testing.T) {
	s := serveKeys(t, jwks(t, map[string]string{"one": "rsa"}))
	s.header.Set("ETag", `"1"`)
	p := remoteConfig(t, s)
	h := filtertest.New(t, p)
	if r := h.Get("/", withToken(sign(t, "rsa", "RS256", "one", good(nil)))...); r.Status != 200 {
		t.Fatalf("r.Status = %d, want 200", r.Status)
	}
	before := p.Providers[0].remote.Current()
	if r := h.Get("/", withToken(sign(t, "rsa2", "RS256", "two", good(nil)))...); r.Status != 401 {
		t.Errorf("r.Status = %d, want 401", r.Status)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cached != 1 || p.Providers[0].remote.Current() != before {
		t.Errorf("%d answers without a body; the keys are others: %v", s.cached, p.Providers[0].remote.Current() != before)
	}
}

// withUnknown is a key set with a key of a type that nobody here knows beside those that it has.
func withUnknown(set string) string {
	return strings.TrimSuffix(set, "]}") + `,{"kty":"AKP","alg":"ML-DSA-44","kid":"pq","pub":"AAAA"}]}`
}

// TestUnknownKeyTypes: a key that cannot be used neither takes the others of its set with it nor hides a rotation.
func TestUnknownKeyTypes(t *testing.T) {
	s := serveKeys(t, withUnknown(jwks(t, map[string]string{"one": "rsa"})))
	h := filtertest.New(t, remoteConfig(t, s))
	if r := h.Get("/", withToken(sign(t, "rsa", "RS256", "one", good(nil)))...); r.Status != 200 {
		t.Errorf("beside an unknown key: got %d %s, want 200", r.Status, r.Details)
	}
	s.set(func() { s.body = withUnknown(jwks(t, map[string]string{"two": "rsa2"})) })
	if r := h.Get("/", withToken(sign(t, "rsa2", "RS256", "two", good(nil)))...); r.Status != 200 {
		t.Errorf("after a rotation: got %d %s, want 200", r.Status, r.Details)
	}
	if got := strings.Count(h.Log(), "a key is not used"); got != 1 {
		t.Errorf("the key is logged %d times, want once:\n%s", got, h.Log())
	}
	if got := h.Metric("jwtauth.keys_skipped"); got != 2 {
		t.Errorf("keys_skipped = %d, want 2", got)
	}
}

// TestUnknownKeyTypesInline: keys in the configuration or in a file are read as those of a URL.
func TestUnknownKeyTypesInline(t *testing.T) {
	text := withUnknown(jwks(t, map[string]string{"one": "rsa"}))
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatalf("writing the keys: %v", err)
	}
	for name, keys := range map[string]Keys{"inline": {Inline: filter.NewSecret(text)}, "file": {File: file}} {
		t.Run(name, func(t *testing.T) {
			p := inline("")
			p.Providers[0].Keys = keys
			h := filtertest.New(t, p)
			if r := h.Get("/", withToken(sign(t, "rsa", "RS256", "one", good(nil)))...); r.Status != 200 {
				t.Errorf("got %d %s, want 200", r.Status, r.Details)
			}
			if got := strings.Count(h.Log(), "a key is not used"); got != 1 || h.Metric("jwtauth.keys_skipped") != 1 {
				t.Errorf("%d lines and %d counted, want 1 and 1:\n%s", got, h.Metric("jwtauth.keys_skipped"), h.Log())
			}
		})
	}
}
