package dynmod

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
	"mosn.io/moe/internal/testcert"
)

// certBed is an Envoy whose listener asks Go about clients' certificates.
type certBed struct {
	*testing.T
	envoy *envoytest.Envoy
	ca    *testcert.Authority
	addr  string
	pairs map[string]tls.Certificate

	crt, key string // Envoy's own
	up       string // where the upstream listens
}

// TestCertValidator has Go decide about certificates, of clients and of servers.
func TestCertValidator(t *testing.T) {
	conformance.OnEnvoys(t, &Host{}, nil, envoytest.Options{}, func(t *testing.T, e *envoytest.Envoy, up *upstream.Server) {
		b := &certBed{T: t, envoy: e, ca: testcert.New(t, e.Dir), pairs: map[string]tls.Certificate{}, up: up.Addr}
		if err := b.serve(m{"closed": b.file("closed")}); err != nil {
			t.Fatalf("serving a listener with a certificate validator: %v", err)
		}
		for _, c := range []struct {
			name string
			run  func(*certBed)
		}{
			{"clients", testClients},
			{"each connection has its own filter state", testOwnState},
			{"sessions", testSessions},
			{"servers", testServers},
			{"bad configurations", testValidatorRefused},
		} {
			t.Run(c.name, func(t *testing.T) {
				of := *b
				of.T = t
				c.run(&of)
			})
		}
	})
}

func (b *certBed) file(name string) string { return filepath.Join(b.envoy.Dir, name) }

// pair returns a certificate for a common name.
func (b *certBed) pair(name string) tls.Certificate {
	b.Helper()
	if _, ok := b.pairs[name]; !ok {
		crt, key := b.ca.Issue(b, name, "127.0.0.1", "spiffe://example.org/"+name)
		pair, err := tls.LoadX509KeyPair(crt, key)
		if err != nil {
			b.Fatalf("tls.LoadX509KeyPair: %v", err)
		}
		b.pairs[name] = pair
	}
	return b.pairs[name]
}

// serve has Envoy serve one listener with TLS, whose clients the probe decides about.
func (b *certBed) serve(config m) error {
	return b.serveWith(envoytest.MoE.CertValidator("probe", envoytest.Document(envoytest.Struct, config)))
}

// serveWith is serve with other members of the TLS context.
func (b *certBed) serveWith(validator m, others ...m) error {
	b.Helper()
	if b.crt == "" {
		b.crt, b.key = b.ca.Issue(b, "server", "127.0.0.1")
	}
	l := conformance.OwnListener("l", nil)
	chain := l["filter_chains"].(a)[0].(m)
	host := chain["filters"].(a)[0].(m)["typed_config"].(m)["route_config"].(m)["virtual_hosts"].(a)[0].(m)
	host["response_headers_to_add"] = a{
		m{"header": m{"key": "x-state", "value": "%FILTER_STATE(probe.name:PLAIN)%,%FILTER_STATE(probe.late:PLAIN)%"}},
	}
	l["access_log"] = a{logger("probe", m{"output": b.file("connections.log"), "do": "fields"})}
	context := m{
		"@type":                      "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
		"require_client_certificate": true,
		"common_tls_context": m{
			"tls_certificates":   a{m{"certificate_chain": m{"filename": b.crt}, "private_key": m{"filename": b.key}}},
			"validation_context": m{"custom_validator_config": validator},
		},
	}
	for _, other := range others {
		maps.Copy(context, other)
	}
	chain["transport_socket"] = m{"name": "tls", "typed_config": context}
	if err := b.envoy.SetListeners([]m{l}); err != nil {
		return err
	}
	return envoytest.Poll(patience, func() (err error) {
		b.addr, err = b.envoy.ListenerAddress("l")
		return err
	})
}

// answer is what a client gets.
type answer struct {
	status  int
	state   string // the filter state that the validator has left
	resumed bool
}

// ask connects with a configuration, and sends a request.
func (b *certBed) ask(config *tls.Config) (got answer, err error) {
	config.InsecureSkipVerify = true // it is not Envoy's certificate that matters here
	config.ServerName = "a.example"
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", b.addr, config)
	if err != nil {
		return got, err
	}
	defer c.Close()
	// Where the certificate is refused, this may fail, and the alert is there to be read.
	_, unsent := io.WriteString(c, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return got, errors.Join(err, unsent)
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, r.Body)
	return answer{r.StatusCode, r.Header.Get("x-state"), c.ConnectionState().DidResume}, err
}

// with is the configuration of a client that has a certificate.
func with(pair tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

// letIn is what a client with a certificate gets that is let in.
func (b *certBed) letIn(name string) answer {
	if !b.scoped() {
		return answer{status: 200, state: ","}
	}
	return answer{status: 200, state: name + ","}
}

// scoped reports whether this Envoy keeps what a validator says apart by connections.
func (b *certBed) scoped() bool { return !strings.HasPrefix(b.envoy.Binary.Version, "1.38.") }

// What the certificate of a client leads to.
func testClients(b *certBed) {
	for _, c := range []struct {
		name    string
		alert   string // "": let in
		failure string
		log     string
	}{
		{name: "accept"},
		{name: "unvalidated"},
		{name: "keep"},
		{name: "revoked", alert: "revoked certificate", failure: "revoked, of a.example to server true"},
		{name: "panic", alert: "internal error", failure: "the validator panicked", log: `panic in Verify of the certificate validator probe`},
		{name: "exit", alert: "internal error", failure: "the validator panicked", log: "runtime.Goexit was called"},
		{name: "hang", alert: "internal error", failure: "no verdict within 1s", log: "no return within 1s"},
		{name: "none", alert: "unknown certificate", failure: "the validator gave no verdict"},
	} {
		b.Run(c.name, func(t *testing.T) {
			of := *b
			of.T = t
			mark := b.envoy.Log.Mark()
			for range 2 {
				got, err := of.ask(with(of.pair(c.name)))
				if c.alert == "" {
					if want := of.letIn(c.name); err != nil || got != want {
						t.Fatalf("the answer is %+v, %v; want %+v", got, err, want)
					}
				} else if err == nil || !strings.Contains(err.Error(), c.alert) {
					t.Fatalf("the answer is %+v, %v; want the alert %q", got, err, c.alert)
				}
			}
			if c.failure != "" && of.scoped() {
				of.logged(c.failure)
			}
			if c.log == "" {
				return
			}
			if err := envoytest.Poll(patience, func() error {
				if n := b.envoy.Log.Count(mark, c.log); n != 2 {
					return fmt.Errorf("Envoy's log has %q %d times, want 2", c.log, n)
				}
				return nil
			}); err != nil {
				t.Errorf("waiting for Envoy's log: %v", err)
			}
		})
	}
	b.Run("no certificate", func(t *testing.T) {
		if got, err := b.ask(&tls.Config{}); err == nil || !strings.Contains(err.Error(), "certificate required") {
			t.Errorf("the answer is %+v, %v; want the alert that a certificate is required", got, err)
		}
	})
}

// logged waits until the transport failure reason of a connection in the access log says want.
func (b *certBed) logged(want string) {
	b.Helper()
	if err := envoytest.Poll(patience, func() error {
		text, err := os.ReadFile(b.file("connections.log"))
		if err == nil && !strings.Contains(string(text), want) {
			err = fmt.Errorf("it has not %q:\n%s", want, text)
		}
		return err
	}); err != nil {
		b.Errorf("waiting for the access log of connections: %v", err)
	}
}

// What one connection's validator says is never another's, on whatever threads they are.
func testOwnState(b *certBed) {
	names := []string{"accept", "unvalidated", "keep", "revoked", "none"}
	for _, name := range names {
		b.pair(name)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				name := names[(i+j)%len(names)]
				got, err := b.ask(with(b.pairs[name]))
				if name == "revoked" || name == "none" {
					if err == nil {
						b.Errorf("%s: the answer is %+v, want none", name, got)
					}
				} else if want := b.letIn(name); err != nil || got != want {
					b.Errorf("%s: the answer is %+v, %v; want %+v", name, got, err, want)
				}
			}
		})
	}
	wg.Wait()
}

// TLS sessions go on without the validator, which is Envoy's doing, and end with what it depends on, or are not at all.
func testSessions(b *certBed) {
	validator := envoytest.MoE.CertValidator("probe", envoytest.Document(envoytest.Struct, m{"closed": b.file("closed")}))
	keys := m{"session_ticket_keys": m{"keys": a{m{"inline_bytes": strings.Repeat("a2V5", 27)[:107] + "="}}}}
	none := m{"disable_stateless_session_resumption": true, "disable_stateful_session_resumption": true}
	for _, c := range []struct {
		name   string
		first  []m // members of the TLS context
		then   []m
		closed bool   // what the validator depends on has changed
		want   answer // to the second connection; zero: none
	}{
		{
			name: "another context", first: []m{keys}, then: []m{keys, {"ocsp_staple_policy": "STRICT_STAPLING"}},
			want: answer{status: 200, resumed: true},
		},
		{name: "what the validator depends on has changed", first: []m{keys}, then: []m{keys, {"ocsp_staple_policy": "STRICT_STAPLING"}}, closed: true},
		{name: "no sessions", first: []m{none}, want: answer{status: 200}},
		{name: "no sessions, and a certificate that is refused now", first: []m{none}, closed: true},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			b.Run(c.name+", "+tls.VersionName(version), func(t *testing.T) {
				of := *b
				of.T = t
				serve := func(context []m) {
					t.Helper()
					if err := of.serveWith(validator, context...); err != nil {
						t.Fatalf("serving: %v", err)
					}
				}
				serve(c.first)
				config := with(of.pair("accept"))
				config.MaxVersion, config.ClientSessionCache = version, tls.NewLRUClientSessionCache(8)
				if got, err := of.ask(config); err != nil || got.status != 200 {
					t.Fatalf("at first the answer is %+v, %v; want 200", got, err)
				}
				if c.closed {
					if err := os.WriteFile(of.file("closed"), nil, 0o600); err != nil {
						t.Fatalf("os.WriteFile: %v", err)
					}
					defer os.Remove(of.file("closed"))
				}
				if c.then != nil {
					serve(c.then)
				}
				got, err := of.ask(config)
				got.state = ""
				if got != c.want || (err == nil) != (c.want.status == 200) {
					t.Errorf("the answer is %+v, %v; want %+v", got, err, c.want)
				}
			})
		}
	}
}

// What the certificate of an upstream leads to.
func testServers(b *certBed) {
	routes, clusters := a{}, []m{envoytest.Cluster("up", false, b.up)}
	for name, want := range map[string]int{"accept": 204, "unvalidated": 204, "none": 503, "panic": 503} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		}))
		server.TLS = &tls.Config{Certificates: []tls.Certificate{b.pair(name)}}
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		b.Cleanup(server.Close)
		cluster := envoytest.Cluster(name, false, server.Listener.Addr().String())
		cluster["transport_socket"] = m{"name": "tls", "typed_config": m{
			"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
			"common_tls_context": m{"validation_context": m{
				"custom_validator_config": envoytest.MoE.CertValidator("probe", nil),
			}},
		}}
		clusters = append(clusters, cluster)
		routes = append(routes, m{"match": m{"path": fmt.Sprintf("/%s/%d", name, want)}, "route": m{"cluster": name}})
	}
	if err := b.envoy.SetClusters(clusters); err != nil {
		b.Fatalf("e.SetClusters: %v", err)
	}
	if err := b.envoy.SetListeners([]m{conformance.OwnListener("plain", routes)}); err != nil {
		b.Fatalf("e.SetListeners: %v", err)
	}
	addr, err := b.envoy.ListenerAddress("plain")
	if err != nil {
		b.Fatalf("e.ListenerAddress: %v", err)
	}
	for _, r := range routes {
		path := r.(m)["match"].(m)["path"].(string)
		b.Run(path, func(t *testing.T) {
			r, err := client.Do(addr, client.Request{Path: path})
			if err != nil || !strings.HasSuffix(path, fmt.Sprint(r.Status)) {
				t.Errorf("GET %s: %+v, %v", path, r, err)
			}
		})
	}
}

// What is wrong is refused, with words, and what there was goes on.
func testValidatorRefused(b *certBed) {
	if err := b.serve(nil); err != nil {
		b.Fatalf("serving a good configuration: %v", err)
	}
	for _, c := range []struct {
		name, want string
		validator  m
	}{
		{"no such validator", `unknown certificate validator; did you mean "probe"`, envoytest.MoE.CertValidator("prob", nil)},
		{"unknown field", "closde", envoytest.MoE.CertValidator("probe", envoytest.Document(envoytest.Struct, m{"closde": "x"}))},
	} {
		b.Run(c.name, func(t *testing.T) {
			mark := b.envoy.Log.Mark()
			if err := b.serveWith(c.validator); err == nil {
				t.Fatal("Envoy takes the configuration")
			}
			if log := strings.ReplaceAll(b.envoy.Log.Since(mark), `\"`, `"`); !strings.Contains(log, "configuration rejected") ||
				!strings.Contains(log, c.want) {
				t.Errorf("Envoy's log has not %q:\n%s", c.want, envoytest.Tail(log, 10))
			}
		})
	}
	if got, err := b.ask(with(b.pair("accept"))); err != nil || got.status != 200 {
		b.Errorf("after that the answer is %+v, %v; want 200", got, err)
	}
}
