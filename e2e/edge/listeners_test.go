package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/internal/testcert"
)

// trusting returns the configuration of a TLS client that trusts the authority and asks for name.
func trusting(t *testing.T, ca *testcert.Authority, name string) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(ca.File)
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return &tls.Config{ServerName: name, RootCAs: pool}
}

// handshake returns the names in the certificate that a listener presents.
func handshake(addr string, c *tls.Config) ([]string, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", addr, c)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].DNSNames, nil
}

// over sends a GET over TLS, with HTTP/2 or HTTP/1.1.
func (r *running) over(addr string, c *tls.Config, h2 bool, header ...string) (answer, string, error) {
	r.t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!h2)
	protocols.SetHTTP2(h2)
	transport := &http.Transport{
		TLSClientConfig: c, Protocols: protocols, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, addr)
		},
	}
	defer transport.CloseIdleConnections()
	return r.send(transport, c.ServerName, header)
}

func (r *running) send(transport http.RoundTripper, host string, header []string) (answer, string, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/", nil)
	if err != nil {
		r.t.Fatalf("http.NewRequest: %v", err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return answer{}, "", err
	}
	return r.answer(resp), resp.Proto, nil
}

// TestTLS: the name that a client asks for chooses the certificate, protocols are negotiated, and a connection for any
// other name is closed.
func TestTLS(t *testing.T) {
	ca := testcert.New(t, t.TempDir())
	certA, keyA := ca.Issue(t, "a", "a.test")
	certB, keyB := ca.Issue(t, "b", "*.b.test")
	config := fmt.Sprintf(`
plugins: [{name: hello}]
listeners:
- name: moe
  address: 127.0.0.1:0
  tls:
    certificates:
    - {certificateChain: %s, privateKey: %s}
    - {certificateChain: %s, privateKey: %s}
    serverNames: [a.test, "*.b.test"]
`, certA, keyA, certB, keyB)
	onEnvoys(t, func(t *testing.T, s *site) {
		e := s.run(t, config)
		for name, want := range map[string]string{"a.test": "a.test", "x.b.test": "*.b.test"} {
			t.Run("a client that asks for "+name, func(t *testing.T) {
				got, err := handshake(e.addr, trusting(t, ca, name))
				if err != nil || got[0] != want {
					t.Errorf("got a certificate for %v and error %v, want one for %s", got, err, want)
				}
			})
		}
		if got, err := handshake(e.addr, &tls.Config{ServerName: "c.test", InsecureSkipVerify: true}); err == nil {
			t.Errorf("asking for c.test: got a certificate for %v, want the connection closed", got)
		}
		old := trusting(t, ca, "a.test")
		old.MaxVersion = tls.VersionTLS11
		if _, err := handshake(e.addr, old); err == nil {
			t.Error("a client with TLS 1.1: got a connection, want it refused")
		}
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("HTTP/2=%v", h2), func(t *testing.T) {
				a, proto, err := e.over(e.addr, trusting(t, ca, "a.test"), h2)
				if err != nil || a.status != 200 || a.seen == nil || a.seen.Headers["x-forwarded-proto"] != "https" ||
					(proto == "HTTP/2.0") != h2 {
					t.Errorf("got %v by %s and error %v, want 200 and x-forwarded-proto https", a, proto, err)
				}
			})
		}
		if a, _, err := e.over(e.addr, trusting(t, ca, "a.test"), true, "x-forwarded-proto", "http"); err != nil ||
			a.seen == nil || a.seen.Headers["x-forwarded-proto"] != "https" {
			t.Errorf("a forged x-forwarded-proto: got %v and error %v, want https", a, err)
		}
	})
}

// TestClientCertificates: only a client with a valid certificate gets an answer, and the upstream learns the certificate's
// names from Envoy, not from the client.
func TestClientCertificates(t *testing.T) {
	ca := testcert.New(t, t.TempDir())
	cert, key := ca.Issue(t, "server", "a.test")
	other := testcert.New(t, t.TempDir())
	config := fmt.Sprintf(`
plugins: [{name: cel, config: {allowIf: "source.principal == 'spiffe://test/good'"}}]
listeners:
- name: moe
  address: 127.0.0.1:0
  tls:
    certificates: [{certificateChain: %s, privateKey: %s}]
    clientCertificates:
      trustedCa: %s
      subjectAltNames: [spiffe://test/good, spiffe://test/other]
      forward: true
`, cert, key, ca.File)
	with := func(authority *testcert.Authority, name string) *tls.Config {
		c := trusting(t, ca, "a.test")
		file, key := authority.Issue(t, name, "spiffe://test/"+name)
		pair, err := tls.LoadX509KeyPair(file, key)
		if err != nil {
			t.Fatalf("tls.LoadX509KeyPair: %v", err)
		}
		c.Certificates = []tls.Certificate{pair}
		return c
	}
	onEnvoys(t, func(t *testing.T, s *site) {
		e := s.run(t, config)
		a, _, err := e.over(e.addr, with(ca, "good"), true, "x-forwarded-client-cert", "URI=spiffe://test/forged")
		if err != nil || a.status != 200 || a.seen == nil {
			t.Fatalf("a good certificate: got %v and error %v, want 200", a, err)
		}
		if got := a.seen.Headers["x-forwarded-client-cert"]; !strings.Contains(got, "URI=spiffe://test/good") ||
			strings.Contains(got, "forged") {
			t.Errorf("a good certificate: the upstream sees %q, want its URI alone", got)
		}
		if a, _, err := e.over(e.addr, with(ca, "other"), true); err != nil || a.status != 403 {
			t.Errorf("a certificate that the plugin refuses: got %v and error %v, want 403", a, err)
		}
		for what, c := range map[string]*tls.Config{
			"no certificate": trusting(t, ca, "a.test"), "a certificate of another authority": with(other, "good"),
			"a name that is not listed": with(ca, "stranger"),
		} {
			t.Run(what, func(t *testing.T) {
				if a, _, err := e.over(e.addr, c, true); err == nil {
					t.Errorf("got %v, want no answer", a)
				}
			})
		}
	})
}

// freePort returns a port that is free for both TCP and UDP.
func freePort(t *testing.T) int {
	t.Helper()
	for range 20 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("net.Listen: %v", err)
		}
		port := ln.Addr().(*net.TCPAddr).Port
		udp, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
		ln.Close()
		if err == nil {
			udp.Close()
			return port
		}
	}
	t.Fatal("no port is free for both TCP and UDP")
	return 0
}

// TestHTTP3: TCP responses advertise HTTP/3, and the same plugins and routes serve requests over UDP.
func TestHTTP3(t *testing.T) {
	ca := testcert.New(t, t.TempDir())
	cert, key := ca.Issue(t, "a", "a.test")
	onEnvoys(t, func(t *testing.T, s *site) {
		port := freePort(t)
		e := s.run(t, fmt.Sprintf(`
plugins: [{name: hello, config: {value: over QUIC}}]
listeners:
- name: moe
  address: 127.0.0.1:%d
  http3: true
  tls:
    certificates: [{certificateChain: %s, privateKey: %s}]
    serverNames: [a.test]
`, port, cert, key))
		a, _, err := e.over(e.addr, trusting(t, ca, "a.test"), true)
		if want := fmt.Sprintf(`h3=":%d"; ma=86400`, port); err != nil || a.header.Get("alt-svc") != want {
			t.Errorf("over TCP: got alt-svc %q and error %v, want %q", a.header.Get("alt-svc"), err, want)
		}
		transport := &http3.Transport{TLSClientConfig: trusting(t, ca, "a.test")}
		defer transport.Close()
		a, proto, err := e.send(transport, fmt.Sprintf("127.0.0.1:%d", port), nil)
		if err != nil || a.status != 200 || proto != "HTTP/3.0" || a.seen == nil ||
			a.seen.Headers["x-forwarded-proto"] != "https" {
			t.Errorf("over QUIC: got %v by %s with error %v, want 200 by HTTP/3.0", a, proto, err)
		}
		if got := a.header.Get("x-extproc-hello"); got != "over QUIC" {
			t.Errorf("over QUIC: the plugin sets %q, want %q", got, "over QUIC")
		}
	})
}

// TestFiles: Envoy reads everything, or only certificates, from files. It takes a new certificate into use without a
// restart and without an error for clients.
func TestFiles(t *testing.T) {
	for _, static := range []bool{false, true} {
		t.Run(fmt.Sprintf("static=%v", static), func(t *testing.T) {
			onEnvoys(t, func(t *testing.T, s *site) { replaceCertificate(t, s, static) })
		})
	}
}

func replaceCertificate(t *testing.T, s *site, static bool) {
	ca := testcert.New(t, t.TempDir())
	cert, key := ca.Issue(t, "a", "a.test", "old.test")
	e := s.runIn(t, fmt.Sprintf(`
plugins: [{name: hello}]
listeners:
- name: moe
  address: 127.0.0.1:0
  tls:
    certificates: [{certificateChain: %s, privateKey: %s}]
    clientCertificates: {trustedCa: %s, required: false}
`, cert, key, ca.File), t.TempDir(), static)
	var names []string
	if err := envoytest.Poll(20*time.Second, func() (err error) {
		e.addr = e.listener("moe")
		names, err = handshake(e.addr, trusting(t, ca, "a.test"))
		return err
	}); err != nil {
		t.Fatalf("waiting for the listener: %v", err)
	}
	if names[1] != "old.test" {
		t.Errorf("at first: got a certificate for %v, want one for old.test", names)
	}
	ca.Issue(t, "a", "a.test", "new.test")
	if err := envoytest.Poll(20*time.Second, func() error {
		a, _, err := e.over(e.addr, trusting(t, ca, "a.test"), true)
		if err != nil || a.status != 200 {
			t.Fatalf("while the certificate is replaced: got %v and error %v, want 200", a, err)
		}
		if names, err = handshake(e.addr, trusting(t, ca, "a.test")); err != nil || names[1] != "new.test" {
			return fmt.Errorf("got a certificate for %v and error %v, want one for new.test", names, err)
		}
		return nil
	}); err != nil {
		t.Errorf("after the certificate was replaced: %v", err)
	}
}

// TestPlainListener: a route can be limited to one listener, such as the one that redirects clients to TLS.
func TestPlainListener(t *testing.T) {
	ca := testcert.New(t, t.TempDir())
	cert, key := ca.Issue(t, "a", "a.test")
	onEnvoys(t, func(t *testing.T, s *site) {
		e := s.run(t, fmt.Sprintf(`
plugins: [{name: hello}]
listeners:
- {name: moe, address: "127.0.0.1:0"}
- name: secure
  address: 127.0.0.1:0
  tls: {certificates: [{certificateChain: %s, privateKey: %s}]}
routes:
- listeners: [moe]
  redirect: {httpsRedirect: true}
`, cert, key))
		r, err := client.Do(e.addr, client.Request{Path: "/a?b=c", Host: "a.test"})
		if err != nil || r.Status != 301 || r.Header.Get("location") != "https://a.test/a?b=c" {
			t.Errorf("in plain text: got %+v and error %v, want a redirect to https://a.test/a?b=c", r, err)
		}
		if a, _, err := e.over(e.listener("secure"), trusting(t, ca, "a.test"), true); err != nil || a.status != 200 {
			t.Errorf("over TLS: got %v and error %v, want 200", a, err)
		}
	})
}
