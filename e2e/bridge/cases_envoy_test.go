package bridge

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
)

func TestProperty(t *testing.T) {
	cases{"Property": func(t testing.TB, s *site) {
		r := client.Request{
			Method: "POST", Path: "/property?a=1", Host: "test.com", Body: "helloworld",
			Header: []string{"user-agent", "ua", "referer", "r", "x-request-id", "xri"},
		}
		got := s.do(t, r)
		status(t, got, 200)
		up := s.last(t)
		for i, want := range []string{
			"/property?a=1", "/property", "test.com", "http", "POST", "r", "ua", "xri", "HTTP/1.1", "a=1", "false",
			"test-route-name",
		} {
			equal(t, fmt.Sprint("request attribute ", i), want, up.Header.Get(fmt.Sprint("p", i)))
		}
		_, port, _ := strings.Cut(s.addr, ":")
		for _, i := range []int{13, 14} {
			equal(t, "an unknown attribute", "error: value not found", up.Header.Get(fmt.Sprint("p", i)))
		}
		for i, want := range []string{
			"200", "via_upstream", strings.TrimPrefix(s.upstream.URL, "http://"), s.name, port,
		} {
			equal(t, fmt.Sprint("response attribute ", i), want, got.Header.Get(fmt.Sprint("p", i)))
		}
		contains(t, "source.address", got.Header.Get("p5"), "127.0.0.1:")
	}, "xds.filter_chain_name": func(t testing.TB, s *site) {
		s.do(t, client.Request{Path: "/property"})
		equal(t, "the attribute", "chain", s.last(t).Header.Get("p12"))
	}, "response.flags": func(t testing.TB, s *site) {
		equal(t, "the attribute", "0", s.do(t, client.Request{Path: "/property"}).Header.Get("p6"))
	}}.run(t, func() listen {
		return listen{
			plugin: "property", routes: a{to("/property", m{"name": "test-route-name"})},
			hcm: m{"generate_request_id": true, "preserve_external_request_id": true},
		}
	})
}

// TestPropertyNames asks for the names of the route, virtual host and cluster that a request matched.
func TestPropertyNames(t *testing.T) {
	tell := func(header, want string) func(t testing.TB, s *site) {
		return func(t testing.TB, s *site) {
			got := s.do(t, client.Request{Path: "/property"})
			equal(t, "the attribute", want, got.Header.Get(header))
		}
	}
	cases{
		"upstream.requested_server_name": tell("p7", "upstream.test"),
		"xds.virtual_cluster_name":       tell("p8", "test_vcluster"),
		"xds.virtual_host_name":          tell("p9", "all"),
	}.run(t, func() listen {
		return listen{
			plugin: "property", secure: true,
			vhost: m{"virtual_clusters": a{m{
				"name": "test_vcluster", "headers": a{m{"name": ":path", "string_match": m{"prefix": "/property"}}},
			}}},
			cluster: m{"transport_socket": m{"name": "tls", "typed_config": m{
				"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
				"sni":   "upstream.test",
			}}},
		}
	})
}

// again sends requests until the upstream gets the headers: the plugin shows in a later request what a log phase has seen.
func again(t testing.TB, s *site, r client.Request, want map[string]string) {
	t.Helper()
	if err := envoytest.Poll(patience, func() error {
		s.do(t, r)
		up := s.last(t)
		for k, v := range want {
			if got := up.Header.Get(k); got != v {
				return fmt.Errorf("%s is %q, want %q", k, got, v)
			}
		}
		return nil
	}); err != nil {
		t.Errorf("envoytest.Poll: %v", err)
	}
}

func TestAccessLog(t *testing.T) {
	with := func(key string, options m) listen {
		return listen{
			plugin: "access_log", config: m{"key": t.Name() + key}, answer: answers(206, nil, true, "good", "bye"),
			hcm: m{"access_log": a{log("golang")}, "access_log_options": options},
		}
	}
	onEnvoys(t, func(t *testing.T, b *bed) {
		file := filepath.Join(t.TempDir(), "access.log")
		l := with("end"+b.Binary.Version, m{})
		l.hcm["access_log"] = append(l.hcm["access_log"].(a), m{"name": "file", "typed_config": m{
			"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": file,
			"log_format": m{"text_format_source": m{"inline_string": "%DYNAMIC_METADATA(golang:access_log_var)%\n"}},
		}})
		cases{"AccessLog": func(t testing.TB, s *site) {
			r := ask("", "helloworld")
			r.Header, r.Trailer = []string{"referer", "r"}, []string{"x-trailer", "foo"}
			status(t, s.do(t, r), 206)
			again(t, s, r, map[string]string{
				"resp-code": "206", "resp-size": "7 <nil>", "status": "206", "referer": "r", "req-trailer": "foo", "resp-trailer": "bar",
			})
			if err := envoytest.Poll(patience, func() error {
				text, err := os.ReadFile(file)
				if err == nil && !strings.Contains(string(text), "written by the plugin") {
					err = fmt.Errorf("the access log has %q", text)
				}
				return err
			}); err != nil {
				t.Errorf("envoytest.Poll: %v", err)
			}
		}}.on(t, b, l)
		cases{"AccessLogDownstreamStart": func(t testing.TB, s *site) {
			r := ask("")
			r.Header = []string{"referer", "r"}
			again(t, s, r, map[string]string{"start-referer": "r"})
		}}.on(t, b, with("start"+b.Binary.Version, m{"flush_access_log_on_new_request": true}))
		cases{"AccessLogDownstreamPeriodic": func(t testing.TB, s *site) {
			r := ask("?async=1&sleep=1", "a", "b", "c", "d")
			r.Header, r.Pause = []string{"referer", "r"}, 30e6
			again(t, s, r, map[string]string{"periodic-referer": "r"})
		}}.on(t, b, with("periodic"+b.Binary.Version, m{"access_log_flush_interval": "0.05s"}))
	})
}

// TestLogEverything has plugins read all headers and trailers in the log phase: in the first stream, for which the
// bridge has not counted their bytes, and in later ones, several at a time.
func TestLogEverything(t *testing.T) {
	many := http.Header{}
	for i := range 20 {
		many.Set(fmt.Sprintf("X-Back-%d", i), strings.Repeat("b", i+1))
	}
	onEnvoys(t, func(t *testing.T, b *bed) {
		sites := [2]*site{}
		for i := range sites {
			sites[i] = b.serve(t, listen{plugin: fmt.Sprint("log_everything", i), answer: answers(200, many, true, "good", "bye")})
		}
		send := func(s *site, note string) error {
			r := ask("?note="+note, "hello")
			for i := range 70 {
				r.Header = append(r.Header, fmt.Sprint("x-many-", i), fmt.Sprint("value ", i, " of ", note))
			}
			r.Trailer = []string{"x-trailer", "foo"}
			got, err := client.Do(s.addr, r)
			if err == nil && got.Status != 200 {
				err = fmt.Errorf("status %d", got.Status)
			}
			return err
		}
		check := func(t *testing.T, s *site, note string) {
			t.Helper()
			want := []string{
				"request trailers: x-trailer: foo", "response: :status: 200", "response trailers: x-trailer: bar",
				"request: :path: /test?note=" + note, "complete: :path: /test?note=" + note,
				"response: x-back-0: b", "response: x-back-19: " + strings.Repeat("b", 20),
			}
			for i := range 70 {
				of := fmt.Sprintf(": x-many-%d: value %d of %s", i, i, note)
				want = append(want, "request"+of, "complete"+of)
			}
			if err := envoytest.Poll(patience, func() error { // the log phase may be after the response
				got := strings.Split(s.do(t, ask("?show="+note)).Body, "\n")
				for _, line := range want {
					if !slices.Contains(got, line) {
						return fmt.Errorf("%s: no line %q in %q", note, line, got)
					}
				}
				for _, line := range got {
					if strings.Contains(line, ": : ") {
						return fmt.Errorf("%s: a header without a name: %q", note, line)
					}
				}
				return nil
			}); err != nil {
				t.Errorf("envoytest.Poll: %v", err)
			}
		}
		for _, note := range []string{"a", "b", "c"} {
			t.Run("stream "+note, func(t *testing.T) {
				if err := send(sites[0], note); err != nil {
					t.Fatalf("send: %v", err)
				}
				check(t, sites[0], note)
			})
		}
		check(t, sites[0], "a")

		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				if err := send(sites[1], fmt.Sprint(i)); err != nil {
					t.Errorf("send: %v", err)
				}
			})
		}
		all.Wait()
		for i := range 16 {
			check(t, sites[1], fmt.Sprint(i))
		}
	})
}

func TestMetric(t *testing.T) {
	onEnvoys(t, func(t *testing.T, b *bed) {
		counts := func(name, query string) {
			cases{name: func(t testing.TB, s *site) {
				s.do(t, ask(query))
				up := s.last(t)
				for k, want := range map[string]string{"counter": "2", "counter-recorded": "3", "gauge": "3", "gauge-recorded": "1"} {
					equal(t, k, want, up.Header.Get(k))
				}
				page, err := b.Admin("/stats?filter=" + name)
				if err != nil {
					t.Fatalf("b.Admin: %v", err)
				}
				contains(t, "Envoy's page", page, name+".counter: 3")
				contains(t, "Envoy's page", page, name+".gauge: 1")
			}}.on(t, b, listen{plugin: "metric", config: m{"prefix": name + "."}})
		}
		counts("Metric", "")
		counts("AsyncMetric", "?async=1")
	})
}

func TestSetUpstreamOverrideHost(t *testing.T) {
	const dead = "127.0.0.1:1" // nobody listens there
	get := func(query string, want int) func(t testing.TB, s *site) {
		return func(t testing.TB, s *site) {
			t.Helper()
			query := strings.ReplaceAll(query, "GOOD", strings.TrimPrefix(s.upstream.URL, "http://"))
			got := s.do(t, ask("?upstreamOverrideHost="+query, "helloworld"))
			status(t, got, want)
			if want == 200 {
				equal(t, "the upstream", strings.TrimPrefix(s.upstream.URL, "http://"), got.Header.Get("rsp-upstream-host"))
			}
		}
	}
	retry := m{"route": m{"cluster": "up", "retry_policy": m{"retry_on": "connect-failure", "num_retries": 2}}}
	onEnvoys(t, func(t *testing.T, b *bed) {
		l := named()
		cases{
			"SetUpstreamOverrideHost":                             get("GOOD", 200),
			"SetUpstreamOverrideHost_BadHost":                     get("badhost", 403),
			"SetUpstreamOverrideHost_InvalidHost_NotFound":        get("200.0.0.1:8080", 200),
			"SetUpstreamOverrideHost_InvalidHost_Strict_NotFound": get("200.0.0.1:8080&strict=true", 503),
		}.on(t, b, l)
		retrying := named()
		retrying.routes = a{to("/test", retry)}
		cases{
			"SetUpstreamOverrideHost_InvalidHost_Strict_NotFound_Retry": get("200.0.0.1:8080&strict=true", 503),
		}.on(t, b, retrying)

		l.endpoints = []string{dead}
		cases{
			"SetUpstreamOverrideHost_InvalidHost_Unavaliable": get(dead, 503),
			"SetUpstreamOverrideHost_InvalidHost_Strict":      get(dead+"&strict=true", 503),
		}.on(t, b, l)
		retrying.endpoints = []string{dead}
		cases{
			"SetUpstreamOverrideHost_InvalidHost_Unavaliable_Retry": get(dead, 200),
			"SetUpstreamOverrideHost_InvalidHost_Strict_Retry":      get(dead+"&strict=true", 200),
		}.on(t, b, retrying)
	})
}

func TestSSL(t *testing.T) {
	onEnvoys(t, func(t *testing.T, b *bed) {
		cases{"SslConnectionNonSsl": func(t testing.TB, s *site) {
			status(t, s.do(t, client.Request{Path: "/test"}), 200)
			equal(t, "x-ssl", "no", s.last(t).Header.Get("x-ssl"))
		}}.on(t, b, listen{plugin: "ssl"})
		id := identities(t)
		cases{"SslConnectionWithCertificate": func(t testing.TB, s *site) {
			c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
				RootCAs: id.pool, Certificates: []tls.Certificate{id.client}, ServerName: "server.test",
			}}}
			defer c.CloseIdleConnections()
			r, err := c.Get("https://" + s.addr + "/test")
			if err != nil {
				t.Fatalf("c.Get: %v", err)
			}
			io.Copy(io.Discard, r.Body)
			r.Body.Close()
			up := s.last(t)
			for name, want := range map[string]string{
				"x-ssl": "yes", "x-cert-presented": "true", "x-cert-validated": "true", "x-cert-digest": id.digest,
				"x-cert-serial": "2a", "x-cert-subject": "CN=client", "x-cert-issuer": "CN=authority",
				"x-cert-subject-local": "CN=server", "x-cert-version": "TLSv1.3", "x-cert-dns": "[client.test]",
				"x-cert-dns-local": "[server.test]", "x-cert-uri": "[spiffe://test/client]",
			} {
				equal(t, name, want, up.Header.Get(name))
			}
			contains(t, "cipher", up.Header.Get("x-cert-cipher"), "_")
			for _, name := range []string{"x-cert-from", "x-cert-expiration"} {
				contains(t, name, up.Header.Get(name), " true")
			}
		}}.on(t, b, listen{plugin: "ssl", tls: m{"name": "tls", "typed_config": m{
			"@type":                      "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
			"require_client_certificate": true,
			"common_tls_context": m{
				"tls_certificates":   a{m{"certificate_chain": m{"inline_string": id.cert}, "private_key": m{"inline_string": id.key}}},
				"validation_context": m{"trusted_ca": m{"inline_string": id.authority}},
			},
		}}})
	})
}
