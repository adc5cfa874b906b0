package edge

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/internal/testcert"
)

// TestSPIFFE: a listener lets in, and an upstream is, whom the certificate validator spiffe trusts.
func TestSPIFFE(t *testing.T) {
	ours, partner, foreign := testcert.New(t, t.TempDir()), testcert.New(t, t.TempDir()), testcert.New(t, t.TempDir())
	crt, key := ours.Issue(t, "envoy", "good.test", "bad.test")
	upstream := func(id string) string {
		crt, key := ours.Issue(t, "upstream-"+id, "spiffe://example.org/"+id)
		pair, err := tls.LoadX509KeyPair(crt, key)
		if err != nil {
			t.Fatalf("tls.LoadX509KeyPair: %v", err)
		}
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		}))
		server.TLS, server.Config.ErrorLog = &tls.Config{Certificates: []tls.Certificate{pair}}, stdlog.New(io.Discard, "", 0)
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	const of = "trustDomains: [{name: example.org, bundle: OURS}, {name: partner.example, bundle: PARTNER}]"
	config := strings.NewReplacer("OURS", ours.File, "PARTNER", partner.File, "CRT", crt, "KEY", key,
		"GOOD", upstream("good"), "BAD", upstream("bad")).Replace(`
plugins: [{name: passthrough}]
listeners:
- name: moe
  address: 127.0.0.1:0
  tls:
    certificates: [{certificateChain: CRT, privateKey: KEY}]
    clientCertificates:
      forward: true
      validator:
        name: spiffe
        config: {` + of + `, revocation: {crls: [LISTS]}, poll: 20ms}
upstreams:
- {name: good, endpoints: [GOOD], tls: {validator: {name: spiffe, config: {` + of + `, ids: [spiffe://example.org/good]}}}}
- {name: bad, endpoints: [BAD], tls: {validator: {name: spiffe, config: {` + of + `, ids: [spiffe://example.org/good]}}}}
upstream: echo
routes:
- {match: {path: /, host: good.test, headers: {x-to: upstream}}, upstream: good}
- {match: {path: /, host: bad.test, headers: {x-to: upstream}}, upstream: bad}
`)
	client := func(ca *testcert.Authority, name, id string, change func(*x509.Certificate)) *tls.Config {
		if change == nil {
			change = func(*x509.Certificate) {}
		}
		crt, key := ca.IssueLike(t, name, change, "spiffe://"+id)
		pair, err := tls.LoadX509KeyPair(crt, key)
		if err != nil {
			t.Fatalf("tls.LoadX509KeyPair: %v", err)
		}
		c := trusting(t, ours, "good.test")
		c.Certificates = []tls.Certificate{pair}
		return c
	}
	past := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	onEnvoys(t, func(t *testing.T, s *site) {
		lists := t.TempDir()
		e := s.run(t, strings.ReplaceAll(config, "LISTS", lists))
		for _, c := range []struct {
			name  string
			as    *tls.Config
			alert string // "" is let in
		}{
			{name: "ours", as: client(ours, "a", "example.org/a", nil)},
			{name: "a partner's", as: client(partner, "a", "partner.example/a", nil)},
			{name: "a partner's that claims to be ours", as: client(partner, "b", "example.org/b", nil), alert: "unknown certificate authority"},
			{name: "foreign", as: client(foreign, "c", "foreign.example/c", nil), alert: "unknown certificate authority"},
			{name: "expired", as: client(ours, "d", "example.org/d", past), alert: "expired certificate"},
			{name: "none", as: trusting(t, ours, "good.test"), alert: "certificate required"},
		} {
			t.Run(c.name, func(t *testing.T) {
				if c.alert != "" {
					if err := alert(e.addr, c.as); !strings.Contains(err.Error(), c.alert) {
						t.Errorf("got error %v, want the alert %q", err, c.alert)
					}
					return
				}
				a, _, err := e.over(e.addr, c.as, false)
				if err != nil || a.status != 200 || a.seen == nil || !strings.Contains(a.seen.Headers["x-forwarded-client-cert"], "URI=spiffe://") {
					t.Errorf("got %v and error %v, want 200 and the ID at the upstream", a, err)
				}
			})
		}
		for name, want := range map[string]int{"good.test": 204, "bad.test": 503} {
			t.Run("the upstream "+name, func(t *testing.T) {
				as := client(ours, "a", "example.org/a", nil)
				as.ServerName = name
				if a, _, err := e.over(e.addr, as, false, "x-to", "upstream"); err != nil || a.status != want {
					t.Errorf("got %v and error %v, want %d", a, err, want)
				}
			})
		}
		t.Run("revoked, with a session from before", func(t *testing.T) {
			as := client(ours, "r", "example.org/r", nil)
			as.ClientSessionCache = tls.NewLRUClientSessionCache(8)
			if a, _, err := e.over(e.addr, as, false); err != nil || a.status != 200 {
				t.Fatalf("before: got %v and error %v, want 200", a, err)
			}
			list := ours.Revoke(t, "r", time.Now().Add(time.Hour), filepath.Join(filepath.Dir(ours.File), "r.crt"))
			if err := os.Rename(list, filepath.Join(lists, "r.crl")); err != nil {
				t.Fatalf("os.Rename: %v", err)
			}
			if err := envoytest.Poll(10*time.Second, func() error {
				a, _, err := e.over(e.addr, as, false)
				if err == nil || !strings.Contains(err.Error(), "revoked certificate") {
					return fmt.Errorf("got %v and error %v, want the alert that the certificate is revoked", a, err)
				}
				return nil
			}); err != nil {
				t.Error("waiting for the revocation:", err)
			}
		})
	})
}

// alert returns why a server refuses a client's certificate. With TLS 1.3 a client's handshake ends before the server has
// looked at that, and the alert may come after the server has gone: who writes first may never see it.
func alert(addr string, c *tls.Config) error {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", addr, c)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err = conn.Read(make([]byte, 1)); err == nil {
		return errors.New("the server talks first")
	}
	return err
}
