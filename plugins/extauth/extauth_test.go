package extauth

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/authztest"
)

// seen is a request as the service saw it.
type seen struct {
	method, uri, host, body string
	header                  http.Header
}

// service is an authorization service.
type service struct {
	*httptest.Server
	mu    sync.Mutex
	all   []seen
	conns map[string]bool
}

// serve starts a service that answers by f, if there is one, after noting what it saw.
func serve(t testing.TB, f http.HandlerFunc) *service {
	s := &service{conns: map[string]bool{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.all = append(s.all, seen{
			method: r.Method, uri: r.RequestURI, host: r.Host, body: string(b), header: r.Header.Clone(),
		})
		s.conns[r.RemoteAddr] = true
		s.mu.Unlock()
		if f != nil {
			f(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) last(t *testing.T) seen {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 {
		t.Fatal("the service was not asked")
	}
	return s.all[len(s.all)-1]
}

func (s *service) load(t testing.TB, path, more string) *filtertest.Host {
	t.Helper()
	return authztest.Load(t, nil, "extauth", "url: '"+s.URL+path+"'\ntimeout: 20s\n"+more)
}

func TestRequest(t *testing.T) {
	s := serve(t, nil)
	h := s.load(t, "/check/", "send: [x-one, x-two-*, content-length, connection, te]\nadd: {x-key: geheim, x-one: theirs}")
	q := filtertest.NewRequest("PUT", "/a/b?c=d", "body", "authorization", "Bearer t", "x-one", "mine", "x-two-a", "1",
		"x-two-a", "2", "x-other", "3", "cookie", "a=b", "user-agent", "agent", "x-envoy-auth-partial-body", "true", "te", "trailers")
	q.Host = "Shop.example:8443"
	if r := h.Do(q); r.Status != 200 || r.Sent != "body" || r.Upstream.Header.Get("x-other") != "3" {
		t.Fatalf(`r.Status = %d, want 200; r.Sent = %q, want %q; r.Upstream.Header.Get("x-other") = %q, want %q: %q`,
			r.Status, r.Sent, "body", r.Upstream.Header.Get("x-other"), "3", h.Log())
	}
	got := s.last(t)
	if got.method != "PUT" || got.uri != "/check/a/b?c=d" || got.host != "Shop.example:8443" || got.body != "" {
		t.Errorf("got.method = %q, want %q; got.uri = %q, want %q; got.host = %q, want %q; got.body = %q, want %q: %+v",
			got.method, "PUT", got.uri, "/check/a/b?c=d", got.host, "Shop.example:8443", got.body, "", got)
	}
	want := http.Header{
		"Authorization": {"Bearer t"}, "X-One": {"theirs"}, "X-Two-A": {"1", "2"}, "X-Key": {"geheim"},
		"Content-Length": {"0"}, "Accept-Encoding": {"gzip"},
	}
	if diff := cmp.Diff(want, got.header); diff != "" {
		t.Errorf("the headers (-want +got):\n%s", diff)
	}
	for range 5 {
		h.Get("/")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) != 1 {
		t.Error("connections are not used again:", len(s.conns))
	}
}

// TestForgedHeaders: what the upstream takes for this plugin's word is not a client's.
func TestForgedHeaders(t *testing.T) {
	s := serve(t, nil)
	for name, more := range map[string]string{
		"plain": "", "failureHeader": "failOpen: true\nfailureHeader: true", "shadow": "shadow: true",
		"keepClientHeaders": "keepClientHeaders: true\nupstream: ['*']", "requestBody": "requestBody: {maxBytes: 10}",
	} {
		t.Run(name, func(t *testing.T) {
			h := s.load(t, "", more)
			r := h.Post("/", "body", "x-envoy-auth-failure-mode-allowed", "true", "X-Envoy-Auth-Partial-Body", "false",
				"x-envoy-auth-headers-to-remove", "a", "x-envoy-auth-new", "b", "x-envoy-original-path", "/kept")
			if r.Status != 200 {
				t.Fatalf("got %d %s, want 200:\n%s", r.Status, r.Details, h.Log())
			}
			for name, values := range r.Upstream.Header {
				if strings.HasPrefix(strings.ToLower(name), "x-envoy-auth-") {
					t.Errorf("the upstream gets %s: %q", name, values)
				}
			}
			if got := r.Upstream.Header.Get("x-envoy-original-path"); got != "/kept" {
				t.Errorf("x-envoy-original-path is %q, want /kept", got)
			}
		})
	}
}

// What the service is asked about must be what the upstream gets, byte by byte.
func TestPaths(t *testing.T) {
	s := serve(t, nil)
	bare, prefixed := s.load(t, "", ""), s.load(t, "/check", "")
	paths := append([]string{"/", "/?", "/?a=b?c", "/a%2Fb", "//evil.example/a", "//", "///", "/a//b/", "/a/../b", `/a\b`, "/ä"},
		authztest.Tricks...)
	for _, path := range paths {
		q := filtertest.NewRequest("GET", "/", "")
		q.URL.Opaque = path
		if strings.HasPrefix(path, "//") { // net/url would make another one of it
			q.URL.Opaque = ""
			q.URL.Path, q.URL.RawQuery, _ = strings.Cut(path, "?")
		}
		want := strings.ReplaceAll(q.URL.RequestURI(), "ä", "%C3%A4")
		for prefix, h := range map[string]*filtertest.Host{"": bare, "/check": prefixed} {
			t.Run(fmt.Sprintf("%q", prefix), func(t *testing.T) {
				r := h.Do(q)
				if got := s.last(t); r.Status != 200 || got.uri != prefix+want || got.host != "example.com" {
					t.Errorf("%q: %d, asked about %q at %s, want %q\n%s", path, r.Status, got.uri, got.host, prefix+want, h.Log())
				}
			})
		}
	}
}

func TestAllowed(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, f := range []string{
			"X-User: alice", "X-Role: a", "X-Role: b", "X-Tag: new", "X-Private: no", "Set-Cookie: s=1", "Set-Cookie: t=2",
			"X-Level: 3", "X-Envoy-Auth-Headers-To-Remove: cookie, x-gone ,:path,host", "X-Envoy-Auth-Other: x",
		} {
			k, v, _ := strings.Cut(f, ": ")
			w.Header().Add(k, v)
		}
		io.WriteString(w, "allowed")
	})
	const config = "upstream: [x-user, x-role, x-missing, x-envoy-auth-*]\nupstreamAppend: [x-tag]\n" +
		"clientOnSuccess: [set-cookie]\nmetadataHeaders: [x-level]"
	header := []string{
		"x-user", "mallory", "x-user", "mallory2", "x-missing", "forged", "x-tag", "old", "cookie", "a=b", "x-gone", "1", "x-kept", "1",
	}
	h := s.load(t, "", config)
	r := h.Get("/a", header...)
	if r.Status != 200 {
		t.Fatalf("r.Status = %d, want 200: %q", r.Status, h.Log())
	}
	up := r.Upstream.Header
	want := http.Header{"X-User": {"alice"}, "X-Role": {"a", "b"}, "X-Tag": {"old", "new"}, "X-Kept": {"1"}}
	if diff := cmp.Diff(want, up); diff != "" {
		t.Errorf("the headers (-want +got):\n%s", diff)
	}
	if r.Upstream.URL.Path != "/a" || r.Upstream.Host != "example.com" {
		t.Errorf("%v: r.Upstream.URL.Path = %q, want %q; r.Upstream.Host = %q, want %q",
			r.Upstream.URL, r.Upstream.URL.Path, "/a", r.Upstream.Host, "example.com")
	}
	if got := fmt.Sprint(r.Header["Set-Cookie"]); got != "[s=1 t=2]" || r.Header.Get("x-user") != "" {
		t.Errorf(`fmt.Sprint(r.Header["Set-Cookie"]) = %q, want %q; r.Header.Get("x-user") = %q, want %q: %v`,
			got, "[s=1 t=2]", r.Header.Get("x-user"), "", r.Header)
	}
	if r.Metadata["moe.extauth/x-level"] != "3" || r.Metadata["moe.extauth/decision"] != "allow" {
		t.Errorf(`r.Metadata["moe.extauth/x-level"] = %v, want %v; r.Metadata["moe.extauth/decision"] = %v, want %v: %v`,
			r.Metadata["moe.extauth/x-level"], "3", r.Metadata["moe.extauth/decision"], "allow", r.Metadata)
	}
	r = s.load(t, "", config+"\nkeepClientHeaders: true").Get("/a", header...)
	if up := r.Upstream.Header; up.Get("x-missing") != "forged" || fmt.Sprint(up["X-User"]) != "[alice]" {
		t.Errorf(`up.Get("x-missing") = %q, want %q; fmt.Sprint(up["X-User"]) = %q, want %q: %v`,
			up.Get("x-missing"), "forged", fmt.Sprint(up["X-User"]), "[alice]", up)
	}
	r = s.load(t, "", config+"\nshadow: true").Get("/a", header...)
	if up := r.Upstream.Header; up.Get("x-user") != "mallory" || up.Get("cookie") != "a=b" || r.Header["Set-Cookie"] != nil {
		t.Error("shadow changes something:", up, r.Header)
	}
}

func TestDenied(t *testing.T) {
	deny := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/login")
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.Header().Set("X-Why", "because")
			w.Header().Set("X-Other", "1")
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Connection", "close")
			w.WriteHeader(status)
			io.WriteString(w, "<p>no</p>")
		}
	}
	for _, status := range []int{302, 307, 400, 401, 403, 404, 407, 418, 429} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			s := serve(t, deny(status))
			h := s.load(t, "", "clientOnSuccess: [x-other]")
			r := h.Get("/")
			if r.Status != status || r.Body != "<p>no</p>" || r.Upstream != nil || r.Details != "moe.extauth.denied" ||
				r.Header.Get("content-type") != "text/html" || r.Header.Get("x-why") != "because" || r.Header.Get("connection") != "" {
				t.Errorf("got %d %q %v, want the service's answer with %d:\n%s", r.Status, r.Body, r.Header, status, h.Log())
			}
			r = s.load(t, "", "client: [x-why]").Get("/")
			if r.Header.Get("location") != "/login" || r.Header.Get("x-why") == "" || r.Header.Get("x-other") != "" {
				t.Errorf("got %v, want location and x-why, and no x-other", r.Header)
			}
			r = s.load(t, "", "shadow: true").Get("/")
			if r.Status != 200 || r.Metadata["moe.extauth/decision"] != "deny" {
				t.Errorf(`r.Status = %d, want 200; r.Metadata["moe.extauth/decision"] = %v, want %v`,
					r.Status, r.Metadata["moe.extauth/decision"], "deny")
			}
			r = s.load(t, "", "failOpen: true").Get("/")
			if r.Status != status {
				t.Errorf("r.Status = %d, want %d", r.Status, status)
			}
		})
	}
	s := serve(t, deny(403))
	if r := s.load(t, "", "").GRPC("/a.B/C", "x"); r.GRPCStatus != 7 {
		t.Errorf("r.GRPCStatus = %d, want 7", r.GRPCStatus)
	}
}

func TestBody(t *testing.T) {
	long := strings.Repeat("0123456789", 10)
	s := serve(t, nil)
	for _, c := range []struct {
		more, body, asked, partial string
		status                     int
	}{
		{more: "requestBody: {maxBytes: 100}", body: long, asked: long, partial: "false", status: 200},
		{more: "requestBody: {maxBytes: 99}", body: long, status: 413},
		{more: "requestBody: {maxBytes: 99, allowPartial: true}", body: long, asked: long[:99], partial: "true", status: 200},
		{more: "requestBody: {maxBytes: 100, allowPartial: true}", body: long, asked: long, partial: "false", status: 200},
		{more: "requestBody: {maxBytes: 10, allowPartial: true}", partial: "false", status: 200},
		{more: "requestBody: {maxBytes: 10}", partial: "false", status: 200},
		{more: "requestBody: {}", body: long, asked: long, partial: "false", status: 200},
		{more: "requestBody: {maxBytes: 10}\nshadow: true", body: long, status: 200},
	} {
		t.Run(c.more, func(t *testing.T) {
			for _, chunk := range []int{0, 1, 7} {
				t.Run(fmt.Sprintf("chunks of %d", chunk), func(t *testing.T) {
					h := s.load(t, "", c.more)
					h.Chunk = chunk
					s.mu.Lock()
					s.all = nil
					s.mu.Unlock()
					for name, trailers := range map[string]http.Header{"no trailers": nil, "trailers": {"X-T": {"1"}}} {
						t.Run(name, func(t *testing.T) {
							if c.body == "" && trailers != nil {
								return
							}
							q := filtertest.NewRequest("POST", "/", c.body)
							q.Trailer = trailers // then there is no content-length
							r := h.Do(q)
							if r.Status != c.status || r.Status == 200 && r.Sent != c.body {
								t.Errorf("%s, chunks of %d: %d, %d bytes\n%s", c.more, chunk, r.Status, len(r.Sent), h.Log())
							}
							if c.partial == "" {
								return
							}
							got := s.last(t)
							partial := got.header.Get("x-envoy-auth-partial-body")
							if got.body != c.asked || partial != c.partial && !(trailers != nil && len(c.asked) == len(c.body)) {
								t.Errorf("%s, chunks of %d: asked about %d bytes, partial %s", c.more, chunk, len(got.body), partial)
							}
						})
					}
					if c.status == 413 {
						s.mu.Lock()
						if len(s.all) != 0 {
							t.Error("the service is asked about a body that is too long")
						}
						s.mu.Unlock()
					}
				})
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                                                 "url: is required",
		`{url: "ftp://a/"}`:                                  "url: must be",
		`{url: "http://auth.example/"}`:                      "url: must be https",
		`{url: "https://u:p@auth.example/"}`:                 "url: must not have a user",
		`{url: "https://auth.example/?a=b"}`:                 "url: must have no query",
		`{url: "https://a/", send: ["a b"]}`:                 "send[0]",
		`{url: "https://a/", upstream: [":path"]}`:           "upstream[0]",
		`{url: "https://a/", client: [""]}`:                  "client[0]",
		`{url: "https://a/", add: {"a b": c}}`:               "add: ",
		`{url: "https://a/", add: {host: geheim}}`:           "add.host",
		`{url: "https://a/", add: {a: "geheim\n"}}`:          "add.a",
		`{url: "https://a/", requestBody: {maxBytes: 1GiB}}`: "requestBody.maxBytes",
		`{url: "https://a/", timeout: -1s}`:                  "timeout",
		`{url: "https://a/", caFile: /not/there}`:            "/not/there",
		`{url: "https://a/", errorStatus: 200}`:              "errorStatus",
	} {
		t.Run(config, func(t *testing.T) {
			if got := authztest.Refused(t, "extauth", config); !strings.Contains(got, want) || strings.Contains(got, "geheim") {
				t.Errorf(`%s: authztest.Refused("extauth", config) = %q, want it to contain %q, and it without %q`,
					config, got, want, "geheim")
			}
		})
	}
}

func TestParallel(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ok" {
			w.WriteHeader(403)
		}
		w.Header().Set("X-Path", r.URL.Path)
	})
	h := s.load(t, "", "upstream: [x-path]")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			path, want := "/ok", 200
			if i%2 == 1 {
				path, want = "/no", 403
			}
			for range 30 {
				if r := h.Get(path); r.Status != want {
					t.Errorf("r.Status = %d, want %d", r.Status, want)
				}
			}
		}()
	}
	wg.Wait()
}

// The client goes away while the service thinks: the service's request ends.
func TestLeave(t *testing.T) {
	ended := make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(ended)
	})
	h := &filtertest.Host{Leave: func(after string) bool {
		if after != "waiting" {
			return false
		}
		authztest.Until(t, "the service is asked", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.all) > 0 })
		return true
	}}
	if err := h.Load(t, filtertest.Config{Name: "extauth", JSON: "url: '" + s.URL + "'\ntimeout: 60s"}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	if r := h.Get("/"); r.Reset != "left" {
		t.Errorf("r.Reset = %q, want %q", r.Reset, "left")
	}
	<-ended
}

func TestCluster(t *testing.T) {
	h := &filtertest.Host{Clusters: map[string]http.RoundTripper{"auth": roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 403, Header: http.Header{"X-Uri": {r.URL.RequestURI()}}, Body: io.NopCloser(strings.NewReader("no")), Request: r}, nil
	})}}
	config := "url: 'http://auth.example/check'\ncluster: auth\ntimeout: 20s"
	if err := h.Load(t, filtertest.Config{Name: "extauth", JSON: config}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	if r := h.Get("/a?b"); r.Status != 403 || r.Header.Get("x-uri") != "/check/a?b" {
		t.Errorf(`r.Status = %d, want 403; r.Header.Get("x-uri") = %q, want %q: %v, %q`,
			r.Status, r.Header.Get("x-uri"), "/check/a?b", r.Header, h.Log())
	}
	err := (&filtertest.Host{Lacks: filter.CanCallout}).Load(t, filtertest.Config{Name: "extauth", JSON: config})
	if err == nil || !strings.Contains(err.Error(), "cluster") {
		t.Errorf("(&filtertest.Host{Lacks: filter.CanCallout}).Load(…): got error %v, want one with %q", err, "cluster")
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func FuzzTarget(f *testing.F) {
	for _, p := range append([]string{"//a", "/%", "/ ?#"}, authztest.Tricks...) {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		stays := func(address string) {
			p := &ExtAuth{URL: mustURL(t, address)}
			p.prefix = strings.TrimSuffix(p.URL.EscapedPath(), "/")
			u := p.target("/" + path)
			line := u.RequestURI()
			if u.Host != "auth.example" || !strings.HasPrefix(line, p.prefix+"/") || strings.ContainsAny(line, " \r\n\t\x00") {
				t.Fatalf("target(%q): got host %q and %q, want auth.example and the prefix %q", path, u.Host, line, p.prefix)
			}
		}
		stays("http://auth.example")
		stays("http://auth.example/check")
	})
}

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatalf("url.Parse: %v", err)
	}
	return u
}

func BenchmarkExtAuth(b *testing.B) {
	s := serve(b, nil)
	h := s.load(b, "", "upstream: [x-user]")
	b.ReportAllocs()
	for b.Loop() {
		if h.Get("/a/b", "authorization", "x").Status != 200 {
			b.Fatal("denied")
		}
	}
}

// TestUpgrade: a request for a WebSocket has no body to wait for, and the service decides about it.
func TestUpgrade(t *testing.T) {
	for _, status := range []int{200, 403} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
			h := s.load(t, "", "requestBody: {maxBytes: 10}")
			r := h.Do(filtertest.NewRequest("GET", "/ws", "data of the tunnel, longer than maxBytes", "connection", "Upgrade", "upgrade", "websocket"))
			if r.Status != status || (r.Upstream != nil) != (status == 200) {
				t.Errorf("the service answers %d: got %d %s, reached the upstream: %v", status, r.Status, r.Details, r.Upstream != nil)
			}
			if got := s.last(t); got.body != "" || got.header.Get("x-envoy-auth-partial-body") != "false" {
				t.Errorf("the service was sent %q %v, want no body", got.body, got.header)
			}
		})
	}
}
