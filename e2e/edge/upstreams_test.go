package edge

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	logpkg "log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
	"mosn.io/moe/internal/testcert"
)

// servers starts n upstreams and returns their addresses.
func servers(t *testing.T, n int) (addrs []string) {
	t.Helper()
	for range n {
		up, err := upstream.Start()
		if err != nil {
			t.Fatalf("upstream.Start: %v", err)
		}
		t.Cleanup(up.Close)
		addrs = append(addrs, up.Addr)
	}
	return addrs
}

// dead returns an address that refuses connections.
func dead(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// do sends a request to the listener named moe.
func (r *running) do(q client.Request) *client.Response {
	r.t.Helper()
	resp, err := client.Do(r.addr, q)
	if err != nil {
		r.t.Fatalf("no response: %v", err)
	}
	return resp
}

// TestActions: routes choose upstreams by name, address and weight, and upstreams their endpoints by weight; routes
// redirect, answer and rewrite. Plugins run before any of that.
func TestActions(t *testing.T) {
	up := servers(t, 3)
	onEnvoys(t, func(t *testing.T, s *site) {
		e := s.run(t, fmt.Sprintf(`
listen: 127.0.0.1:0
plugins: [{name: hello, config: {value: hi}}]
upstreams:
- {name: a, endpoints: ["%[1]s"]}
- {name: b, url: "http://%[2]s", hostRewrite: b.test}
- {name: uneven, endpoints: ["%[1]s", "%[2]s", "%[3]s"], endpointWeights: {"%[1]s": 6, "%[2]s": 3}}
upstream: a
routes:
- {match: {prefix: /b}, upstream: b}
- {match: {prefix: /c}, upstream: "%[3]s"}
- match: {prefix: /weighted}
  weightedUpstreams: [{upstream: a, weight: 3}, {upstream: b, weight: 1}]
- {match: {prefix: /uneven}, upstream: uneven}
- match: {prefix: /old/}
  redirect: {prefixRewrite: /new/, hostRedirect: new.test, stripQuery: true, responseCode: 308}
- match: {path: /robots.txt}
  directResponse: {status: 418, body: short and stout, contentType: text/teapot}
- match: {prefix: /prefix/}
  rewrite: {prefix: /, host: rewritten.test}
- match: {prefix: /regex/}
  rewrite: {regex: {pattern: "^/regex/([^/?]+)/(.*)$", substitution: "/\\2/\\1"}}
- match: {prefix: /names}
  upstream: b
  rewrite: {host: other.test}
`, up[0], up[1], up[2]))
		get := func(path string) (*client.Response, upstream.Echo) {
			t.Helper()
			r := e.do(client.Request{Path: path, Host: "edge.test"})
			if got := r.Header.Get("x-extproc-hello"); got != "hi" {
				t.Errorf("%s: the plugin sets %q, want %q", path, got, "hi")
			}
			var echo upstream.Echo
			json.Unmarshal([]byte(r.Body), &echo) // Envoy's own answers are not JSON
			return r, echo
		}
		for _, c := range []struct{ path, upstream, seen, host string }{
			{path: "/", upstream: up[0], seen: "/", host: "edge.test"},
			{path: "/b", upstream: up[1], seen: "/b", host: "b.test"},
			{path: "/c", upstream: up[2], seen: "/c", host: "edge.test"},
			{path: "/prefix/x?y=z", upstream: up[0], seen: "/x?y=z", host: "rewritten.test"},
			{path: "/regex/x/y?z", upstream: up[0], seen: "/y/x?z", host: "edge.test"},
			{path: "/names", upstream: up[1], seen: "/names", host: "other.test"},
		} {
			t.Run(c.path, func(t *testing.T) {
				r, echo := get(c.path)
				got := r.Header.Get("x-upstream")
				if r.Status != 200 || got != c.upstream || echo.Path != c.seen || echo.Host != c.host {
					t.Errorf("got status %d from %s, which saw path %s and host %s; want %s, %s and %s", r.Status, got, echo.Path,
						echo.Host, c.upstream, c.seen, c.host)
				}
			})
		}
		if r, _ := get("/old/x?y=z"); r.Status != 308 || r.Header.Get("location") != "http://new.test/new/x" {
			t.Errorf("a redirect: got status %d to %q, want 308 to http://new.test/new/x", r.Status, r.Header.Get("location"))
		}
		if r, _ := get("/robots.txt"); r.Status != 418 || r.Body != "short and stout" ||
			r.Header.Get("content-type") != "text/teapot" {
			t.Errorf("a direct response: got %d %q of type %q", r.Status, r.Body, r.Header.Get("content-type"))
		}
		counts := map[string]int{}
		for range 400 {
			r, _ := get("/weighted")
			counts[r.Header.Get("x-upstream")]++
		}
		// Expect 100 at b: 50 and 150 are almost six standard deviations away.
		if b := counts[up[1]]; b < 50 || b > 150 || counts[up[0]]+b != 400 {
			t.Errorf("of 400 requests with weights 3 and 1: got %v, want about 300 and 100", counts)
		}
		counts = map[string]int{}
		for range 100 {
			r, _ := get("/uneven")
			counts[r.Header.Get("x-upstream")]++
		}
		// Round robin spreads requests evenly: each share is exact up to one round of ten.
		near := func(i, want int) bool { got := counts[up[i]]; return got >= want-6 && got <= want+6 }
		if !near(0, 60) || !near(1, 30) || !near(2, 10) {
			t.Errorf("of 100 requests to endpoints with weights 6, 3 and 1: got %v, want about 60, 30 and 10", counts)
		}
	})
}

// TestFailures: retries go to another endpoint, time-outs end slow responses, and failing endpoints get no requests.
func TestFailures(t *testing.T) {
	up := servers(t, 1)
	var well, asked, failing atomic.Int64
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/healthy":
			asked.Add(1)
			if well.Load() == 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		default:
			failing.Add(1)
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(sick.Close)
	bad := strings.TrimPrefix(sick.URL, "http://")
	onEnvoys(t, func(t *testing.T, s *site) {
		well.Store(0)
		e := s.run(t, fmt.Sprintf(`
listen: 127.0.0.1:0
plugins: [{name: hello}]
upstreams:
- {name: one, endpoints: ["%[1]s"]}
- {name: half, endpoints: ["%[1]s", "%[3]s"], retry: {}}
- {name: slow, endpoints: ["%[1]s"], timeout: 500ms}
- name: checked
  endpoints: ["%[1]s", "%[2]s"]
  healthCheck: {path: /healthy, interval: 100ms, timeout: 1s, unhealthyThreshold: 1, healthyThreshold: 1}
- name: ejecting
  endpoints: ["%[1]s", "%[2]s"]
  outlierDetection: {consecutive5xx: 3, baseEjectionTime: 60s}
- {name: hashed, endpoints: ["%[1]s", "%[2]s"], lbPolicy: ringHash, hashPolicy: {header: x-user}}
upstream: one
routes:
- match: {prefix: /flaky}
  retry: {retryOn: [5xx], numRetries: 3}
- {match: {prefix: /echo/half}, upstream: half}
- {match: {prefix: /hang/slow}, upstream: slow, rewrite: {prefix: /hang}}
- {match: {prefix: /hang/route}, upstreamTimeout: 300ms, rewrite: {prefix: /hang}}
- {match: {prefix: /echo/checked}, upstream: checked}
- {match: {prefix: /echo/ejecting}, upstream: ejecting}
- {match: {prefix: /echo/hashed}, upstream: hashed}
`, up[0], bad, dead(t)))
		if r := e.do(client.Request{Path: "/flaky?fail=2"}); r.Status != 200 {
			t.Errorf("an upstream that fails twice: got status %d, want 200 after retries", r.Status)
		}
		if r := e.do(client.Request{Path: "/flaky?fail=9"}); r.Status != 503 {
			t.Errorf("an upstream that keeps failing: got status %d, want its 503", r.Status)
		}
		for range 20 {
			if r := e.do(client.Request{Path: "/echo/half"}); r.Status != 200 {
				t.Fatalf("one endpoint of two is dead: got status %d, want 200 from the other", r.Status)
			}
		}
		for path, bound := range map[string]time.Duration{"/hang/slow": 500 * time.Millisecond, "/hang/route": 300 * time.Millisecond} {
			t.Run(path, func(t *testing.T) {
				begin := time.Now()
				r := e.do(client.Request{Path: path})
				if d := time.Since(begin); r.Status != 504 || d < bound-50*time.Millisecond || d > bound+10*time.Second {
					t.Errorf("got status %d after %v, want 504 after %v", r.Status, d, bound)
				}
			})
		}
		users := map[string]string{}
		for i := range 60 {
			user := fmt.Sprintf("user-%d", i%20)
			got := e.do(client.Request{Path: "/echo/hashed", Header: []string{"x-user", user}}).Header.Get("x-upstream")
			if before, ok := users[user]; ok && before != got {
				t.Errorf("%s: got endpoints %q and %q, want the same one twice", user, before, got)
			}
			users[user] = got
		}
		// The failing endpoint's responses have no x-upstream.
		if err := envoytest.Poll(20*time.Second, func() error {
			for range 10 {
				if r := e.do(client.Request{Path: "/echo/ejecting"}); r.Status != 200 {
					return fmt.Errorf("got status %d, want 200", r.Status)
				}
			}
			return nil
		}); err != nil {
			t.Errorf("an endpoint that answers with 500 was not ejected: %v", err)
		}
		healthy := func(what string, want int) {
			t.Helper()
			if err := envoytest.Poll(20*time.Second, func() error {
				before := failing.Load()
				for range 10 {
					e.do(client.Request{Path: "/echo/checked"})
				}
				if got := failing.Load() - before; (got > 0) != (want > 0) {
					return fmt.Errorf("got %d of 10 requests, want %d", got, want)
				}
				return nil
			}); err != nil {
				t.Errorf("%s did not come to get %d of 10 requests: %v", what, want, err)
			}
		}
		healthy("an endpoint that is not well", 0)
		well.Store(1)
		healthy("an endpoint that is well again", 5)
		if asked.Load() == 0 {
			t.Error("no health check asked for /healthy")
		}
	})
}

// TestUpstreamTLS: Envoy verifies an upstream's name and authority, and presents its own certificate.
func TestUpstreamTLS(t *testing.T) {
	ca := testcert.New(t, t.TempDir())
	cert, key := ca.Issue(t, "server", "up.test")
	own, ownKey := ca.Issue(t, "envoy", "envoy.test")
	other := testcert.New(t, t.TempDir())
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatalf("tls.LoadX509KeyPair: %v", err)
	}
	authority, err := os.ReadFile(ca.File)
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.Proto, r.TLS.ServerName, r.TLS.PeerCertificates[0].DNSNames[0])
	}))
	up.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	up.EnableHTTP2 = true
	up.Config.ErrorLog = logpkg.New(io.Discard, "", 0)
	up.StartTLS()
	t.Cleanup(up.Close)
	onEnvoys(t, func(t *testing.T, s *site) {
		const upstream = "- name: %[1]s\n  endpoints: [\"%[2]s\"]\n  tls: {serverName: %[3]s, trustedCa: %[4]s, " +
			"certificate: {certificateChain: %[5]s, privateKey: %[6]s}}\n"
		text := "listen: 127.0.0.1:0\nplugins: [{name: hello}]\nupstreams:\n"
		for _, u := range [][]any{
			{"good", up.Listener.Addr(), "up.test", ca.File},
			{"name", up.Listener.Addr(), "wrong.test", ca.File},
			{"authority", up.Listener.Addr(), "up.test", other.File},
		} {
			text += fmt.Sprintf(upstream, append(u, own, ownKey)...)
		}
		e := s.run(t, text+"upstream: good\nroutes:\n- {match: {prefix: /name}, upstream: name}\n"+
			"- {match: {prefix: /authority}, upstream: authority}\n")
		if r := e.do(client.Request{Path: "/"}); r.Status != 200 || r.Body != "HTTP/2.0 up.test envoy.test" {
			t.Errorf("got %d %q, want 200 by HTTP/2.0 from up.test for envoy.test", r.Status, r.Body)
		}
		for _, path := range []string{"/name", "/authority"} {
			t.Run("a wrong "+path[1:], func(t *testing.T) {
				if r := e.do(client.Request{Path: path}); r.Status != 503 {
					t.Errorf("got status %d, want 503", r.Status)
				}
			})
		}
	})
}

// TestUpstreamHTTP3: Envoy speaks HTTP/3 to an upstream, and verifies its name and authority.
func TestUpstreamHTTP3(t *testing.T) {
	ca := testcert.New(t, t.TempDir())
	cert, key := ca.Issue(t, "server", "up.test")
	other := testcert.New(t, t.TempDir())
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatalf("tls.LoadX509KeyPair: %v", err)
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.ListenPacket: %v", err)
	}
	up := &http3.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{http3.NextProtoH3}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "%s %s %d", r.Proto, r.TLS.ServerName, n)
		}),
	}
	go up.Serve(udp)
	t.Cleanup(func() { up.Close(); udp.Close() })
	onEnvoys(t, func(t *testing.T, s *site) {
		e := s.run(t, fmt.Sprintf(`
listen: 127.0.0.1:0
plugins: [{name: hello, config: {value: over QUIC}}]
upstreams:
- {name: good, endpoints: ["%[1]s"], protocol: http3, tls: {serverName: up.test, trustedCa: %[2]s}}
- {name: name, endpoints: ["%[1]s"], protocol: http3, tls: {serverName: wrong.test, trustedCa: %[2]s}}
- {name: authority, endpoints: ["%[1]s"], protocol: http3, tls: {serverName: up.test, trustedCa: %[3]s}}
upstream: good
routes:
- {match: {prefix: /name}, upstream: name}
- {match: {prefix: /authority}, upstream: authority}
`, udp.LocalAddr(), ca.File, other.File))
		r := e.do(client.Request{Path: "/", Body: strings.Repeat("x", 300_000)})
		const want = "HTTP/3.0 up.test 300000"
		if r.Status != 200 || r.Body != want || r.Header.Get("x-extproc-hello") != "over QUIC" {
			t.Errorf("got %d %q and header %v, want 200 %q by way of the plugin", r.Status, r.Body, r.Header, want)
		}
		for _, path := range []string{"/name", "/authority"} {
			t.Run("a wrong "+path[1:], func(t *testing.T) {
				if r := e.do(client.Request{Path: path}); r.Status != 503 {
					t.Errorf("got status %d, want 503", r.Status)
				}
			})
		}
	})
}

// TestCallouts: plugins call an upstream by its name.
func TestCallouts(t *testing.T) {
	up := servers(t, 2)
	onEnvoys(t, func(t *testing.T, s *site) {
		e := s.run(t, fmt.Sprintf(`
listen: 127.0.0.1:0
plugins: [{name: extauth, config: {url: "http://auth.test", cluster: auth}}]
upstreams: [{name: api, endpoints: ["%s"]}, {name: auth, endpoints: ["%s"]}]
upstream: api
routes: [{match: {prefix: /public}, plugins: [{name: extauth, disabled: true}]}]
`, up[0], up[1]))
		if r := e.do(client.Request{Path: "/early"}); r.Status != 403 || !strings.Contains(r.Body, "early") {
			t.Errorf("got %d %q, want the 403 of the service behind the upstream auth", r.Status, r.Body)
		}
		if r := e.do(client.Request{Path: "/public"}); r.Status != 200 {
			t.Errorf("a request that the plugin lets pass: got status %d, want 200", r.Status)
		}
	})
}
