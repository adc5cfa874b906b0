package moefile

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/internal/testcert"
)

// TestUpstreamForms: many ways to say where requests go mean the same.
func TestUpstreamForms(t *testing.T) {
	for _, c := range []struct{ name, text, endpoint, protocol, host string }{
		{name: "an IPv4 address", text: "upstream: 127.0.0.1:8080", endpoint: "127.0.0.1:8080"},
		{name: "an IPv6 address", text: "upstream: '[::1]:8080'", endpoint: "[::1]:8080"},
		{name: "a name", text: "upstream: api.test:8080", endpoint: "api.test:8080"},
		{name: "a port", text: "upstream: :8080", endpoint: "127.0.0.1:8080"},
		{name: "a URL without a port", text: "upstream: http://api.test", endpoint: "api.test:80"},
		{name: "HTTP/2", text: "upstream: h2c://api.test:1", endpoint: "api.test:1", protocol: "http2"},
		{name: "HTTPS", text: "upstream: https://api.test", endpoint: "api.test:443", host: "api.test"},
		{name: "the only upstream", text: "upstreams: [{name: a, endpoints: ['a.test:1']}]", endpoint: "a.test:1"},
		{
			name: "an upstream by name", text: "upstream: a\nupstreams: [{name: b, url: b.test:1}, {name: a, url: 'h2c://a.test:1'}]",
			endpoint: "a.test:1", protocol: "http2",
		},
		{name: "an address on a route", text: "upstream: a.test:1\nroutes: [{upstream: b.test:2}]", endpoint: "a.test:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := Parse([]byte(c.text), CheckFile, Dynmod)
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			o := f.Bootstrap("127.0.0.1:0", "")
			for _, u := range o.Upstreams {
				if u.Name != o.Default {
					continue
				}
				if u.Endpoints[0] != c.endpoint || u.Protocol != c.protocol || u.HostRewrite != c.host {
					t.Errorf("got %s by protocol %q with host %q, want %s, %q and %q", u.Endpoints[0], u.Protocol, u.HostRewrite,
						c.endpoint, c.protocol, c.host)
				}
				return
			}
			t.Errorf("no upstream %q among %+v", o.Default, o.Upstreams)
		})
	}
}

// TestEdgeErrors: what is wrong about listeners, upstreams and actions is said with its place.
func TestEdgeErrors(t *testing.T) {
	const (
		listener = "listeners: [{name: a, address: ':1', tls: {certificates: [{certificateChain: c, privateKey: k}]"
		upstream = "upstreams: [{name: api, endpoints: ['a.test:1']}]\n"
	)
	for _, c := range []struct{ name, text, want string }{
		{name: "both listen and listeners", text: "listen: :1\nlisteners: [{name: a, address: ':2'}]", want: "listeners: listen and listeners are mutually exclusive"},
		{name: "no listeners", text: "listeners: []", want: "listeners: expected at least 1 elements"},
		{name: "a listener without a name", text: "listeners: [{address: ':1'}]", want: "listeners[0].name: is required"},
		{name: "an unknown field", text: "listeners: [{name: a, adress: ':1'}]", want: `listeners[0].adress: unknown field; did you mean "address"?`},
		{name: "a listener's address", text: "listeners: [{name: a, address: a.test:1}]", want: `listeners[0].address: "a.test:1": expected an IP address, localhost or nothing before the port`},
		{name: "a name twice", text: "listeners: [{name: a, address: ':1'}, {name: a, address: ':2'}]", want: `listeners[1].name: duplicate listener name "a"`},
		{name: "an address twice", text: "listeners: [{name: a, address: ':1'}, {name: b, address: '0.0.0.0:1'}]", want: "listeners[1].address: another listener has this address"},
		{name: "HTTP/3 without TLS", text: "listeners: [{name: a, address: ':1', http3: true}]", want: "listeners[0].http3: HTTP/3 needs tls"},
		{name: "no certificates", text: "listeners: [{name: a, address: ':1', tls: {certificates: []}}]", want: "listeners[0].tls.certificates: expected at least 1 elements"},
		{name: "half a certificate", text: "listeners: [{name: a, address: ':1', tls: {certificates: [{certificateChain: c}]}}]", want: "listeners[0].tls.certificates[0].privateKey: is required"},
		{name: "a server name twice", text: listener + ", serverNames: [a.test, b.test, a.test]}}]", want: `listeners[0].tls.serverNames[2]: duplicate server name "a.test"`},
		{name: "a server name in capitals", text: listener + ", serverNames: [A.test]}}]", want: `listeners[0].tls.serverNames[0]: "A.test" meets no client, because names are in lower case here; write "a.test"`},
		{name: "no server names", text: listener + ", serverNames: []}}]", want: "listeners[0].tls.serverNames: expected at least 1 elements"},
		{name: "clients without authorities", text: listener + ", clientCertificates: {}}}]", want: "listeners[0].tls.clientCertificates.trustedCa: is required, or a validator"},
		{name: "authorities beside a validator", text: listener + ", clientCertificates: {trustedCa: a, validator: {name: v}}}}]", want: "listeners[0].tls.clientCertificates.trustedCa: validator and trustedCa are mutually exclusive"},
		{name: "names beside a validator", text: listener + ", clientCertificates: {subjectAltNames: [a], validator: {name: v}}}}]", want: "listeners[0].tls.clientCertificates.subjectAltNames: validator and subjectAltNames are mutually exclusive"},
		{name: "a list beside a validator", text: listener + ", clientCertificates: {crl: a, validator: {name: v}}}}]", want: "listeners[0].tls.clientCertificates.crl: validator and crl are mutually exclusive"},
		{name: "a validator without a name", text: listener + ", clientCertificates: {validator: {}}}}]", want: "listeners[0].tls.clientCertificates.validator.name: is required"},
		{name: "a number that a Struct cannot have", text: listener + ", clientCertificates: {validator: {name: v, config: {n: 9007199254740993}}}}}]", want: "listeners[0].tls.clientCertificates.validator.config: n: "},
		{name: "an upstream's authorities beside a validator", text: "upstreams: [{name: api, endpoints: ['a.test:1'], tls: {trustedCa: a, validator: {name: v}}}]\nupstream: api", want: "upstreams[0].tls.trustedCa: validator and trustedCa are mutually exclusive"},
		{name: "a validator over QUIC", text: "upstreams: [{name: api, endpoints: ['a.test:1'], protocol: http3, tls: {validator: {name: v}}}]\nupstream: api", want: "upstreams[0].tls.validator: certificate validators are for TLS over TCP"},
		{
			name: "files and SDS", text: "listeners: [{name: a, address: ':1', tls: {certificates: [{certificateChain: c, privateKey: k, sdsSecretConfig: {name: x, sds_config: {ads: {}}}}]}}]",
			want: "listeners[0].tls.certificates[0].sdsSecretConfig: sdsSecretConfig and files are mutually exclusive",
		},
		{name: "an upstream that nothing has", text: upstream + "routes: [{upstream: apis}]", want: `routes[0].upstream: unknown upstream; did you mean "api"?; give a name of upstreams, or an address such as HOST:PORT`},
		{name: "a weight for one that nothing has", text: upstream + "routes: [{weightedUpstreams: [{upstream: apu, weight: 1}]}]", want: `routes[0].weightedUpstreams[0].upstream: unknown upstream; did you mean "api"?; give a name of upstreams, or an address such as HOST:PORT`},
		{name: "no weight", text: upstream + "routes: [{weightedUpstreams: [{upstream: api}]}]", want: "routes[0].weightedUpstreams: at least one weight must be more than 0"},
		{name: "two actions", text: upstream + "routes: [{upstream: api, redirect: {httpsRedirect: true}}]", want: "routes[0].redirect: upstream and redirect are mutually exclusive"},
		{name: "an empty redirect", text: upstream + "routes: [{redirect: {}}]", want: "routes[0].redirect: give at least one of httpsRedirect, hostRedirect, portRedirect, pathRedirect and prefixRewrite; otherwise clients are sent to where they are"},
		{name: "a redirect's status", text: upstream + "routes: [{redirect: {httpsRedirect: true, responseCode: 200}}]", want: `routes[0].redirect.responseCode: expected "301", "302", "303", "307" or "308", got a number`},
		{name: "an answer that is retried", text: upstream + "routes: [{directResponse: {status: 404}, retry: {}}]", want: "routes[0].retry: is for requests that go to an upstream"},
		{name: "two rewrites", text: upstream + "routes: [{rewrite: {prefix: /, regex: {pattern: a}}}]", want: "routes[0].rewrite.regex: prefix and regex are mutually exclusive"},
		{name: "a prefix without one", text: upstream + "routes: [{match: {regex: /a}, rewrite: {prefix: /}}]", want: "routes[0].rewrite.prefix: needs match.prefix or match.path"},
		{name: "a condition for retries", text: upstream + "routes: [{retry: {retryOn: [5XX]}}]", want: `routes[0].retry.retryOn[0]: expected`},
		{name: "a listener that nothing has", text: "routes: [{listeners: [mo]}]", want: `routes[0].listeners[0]: unknown listener; did you mean "moe"?`},
		{name: "no upstreams", text: "upstreams: []", want: "upstreams: expected at least 1 elements"},
		{name: "several upstreams", text: "upstreams: [{name: a, url: ':1'}, {name: b, url: ':2'}]", want: "upstream: is required where there are several upstreams: name the one for requests that match no route, or end routes with one that matches everything"},
		{name: "no endpoints", text: "upstreams: [{name: a}]", want: "upstreams[0].endpoints: is required, or url"},
		{name: "an endpoint without a port", text: "upstreams: [{name: a, endpoints: [a.test]}]", want: "upstreams[0].endpoints[0]: expected HOST:PORT"},
		{name: "a URL and endpoints", text: "upstreams: [{name: a, url: ':1', endpoints: ['a.test:1']}]", want: "upstreams[0].endpoints: url and endpoints are mutually exclusive"},
		{name: "the name of the echo server", text: "upstreams: [{name: echo, url: ':1'}]", want: "upstreams[0].name: expected letters, digits, dots, hyphens and underscores, and not the word echo"},
		{name: "a hash without a policy", text: "upstreams: [{name: a, url: ':1', lbPolicy: maglev}]", want: "upstreams[0].hashPolicy: is required with maglev"},
		{name: "gRPC's health over HTTP/1", text: "upstreams: [{name: a, url: ':1', healthCheck: {grpc: true}}]", want: "upstreams[0].healthCheck.grpc: needs protocol: http2"},
		{name: "TLS to hosts of different names", text: "upstreams: [{name: a, endpoints: ['a.test:1', 'b.test:1'], tls: {}}]", want: "upstreams[0].tls.serverName: is required, because the endpoints have different hosts"},
		{name: "a weight for no endpoint", text: "upstreams: [{name: a, endpoints: ['a.test:1'], endpointWeights: {'a.test:2': 3}}]", want: `upstreams[0].endpointWeights["a.test:2"]: unknown endpoint; did you mean "a.test:1"?`},
		{name: "an endpoint's weight of 0", text: "upstreams: [{name: a, endpoints: ['a.test:1'], endpointWeights: {'a.test:1': 0}}]", want: `upstreams[0].endpointWeights[a.test:1]: expected at least 1`},
		{name: "weights at random", text: "upstreams: [{name: a, endpoints: ['a.test:1'], lbPolicy: random, endpointWeights: {'a.test:1': 3}}]", want: "upstreams[0].endpointWeights: lbPolicy random does not look at weights"},
		{name: "HTTP/3 to an upstream without TLS", text: "upstreams: [{name: a, url: ':1', protocol: http3}]", want: "upstreams[0].protocol: http3 needs tls"},
		{name: "a health check over QUIC", text: "upstreams: [{name: a, url: 'https://a.test', protocol: http3, healthCheck: {}}]", want: "upstreams[0].healthCheck: Envoy cannot check over QUIC whether an endpoint is well"},
		{name: "Envoy's certificate in HTTP/3", text: "upstreams: [{name: a, url: 'https://a.test', protocol: http3, tls: {certificate: {certificateChain: c, privateKey: k}}}]", want: "upstreams[0].tls.certificate: Envoys before 1.40 present no certificate in HTTP/3"},
		{name: "an unlimited connection", text: "upstreams: [{name: a, url: ':1', connectTimeout: 0s}]", want: "upstreams[0].connectTimeout: expected at least 1ms"},
		{name: "proxies by network and number", text: "trustedProxies: [10.0.0.0/8]\ntrustedHops: 1", want: "trustedHops: trustedProxies and trustedHops are mutually exclusive"},
		{name: "headers of no size", text: "http: {maxRequestHeaders: 0}", want: "http.maxRequestHeaders: expected at least 1024"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text), CheckFile, Dynmod)
			var all config.Errors
			errors.As(err, &all)
			if !slices.ContainsFunc(all, func(e config.Error) bool {
				return strings.HasPrefix(e.Path+": "+e.Msg, c.want)
			}) {
				t.Errorf("Parse: got error %v, want one that is %s", err, c.want)
			}
		})
	}
}

// TestCertificates: certificates that Envoy could not use are reported with their place.
func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	ca := testcert.New(t, dir)
	ca.Issue(t, "a", "a.test", "b.test")
	ca.Issue(t, "b", "b.test")
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte("no certificate"), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	listener := func(tls string) string {
		return "listeners: [{name: a, address: ':1', tls: {" + strings.ReplaceAll(tls, "DIR", dir) + "}}]"
	}
	const a = "{certificateChain: DIR/a.crt, privateKey: DIR/a.key}"
	for _, c := range []struct{ name, text, want string }{
		{name: "good", text: listener("certificates: [" + a + "], clientCertificates: {trustedCa: DIR/ca.crt}")},
		{
			name: "no file", text: listener("certificates: [{certificateChain: DIR/no.crt, privateKey: DIR/a.key}]"),
			want: "listeners[0].tls.certificates[0].certificateChain: open " + dir + "/no.crt: no such file or directory",
		},
		{
			name: "no key", text: listener("certificates: [{certificateChain: DIR/a.crt, privateKey: DIR/no.key}]"),
			want: "listeners[0].tls.certificates[0].privateKey: open " + dir + "/no.key: no such file or directory",
		},
		{
			name: "another key", text: listener("certificates: [{certificateChain: DIR/a.crt, privateKey: DIR/b.key}]"),
			want: "listeners[0].tls.certificates[0]: private key does not match public key",
		},
		{
			name: "a name twice", text: listener("certificates: [" + a + ", {certificateChain: DIR/b.crt, privateKey: DIR/b.key}]"),
			want: "listeners[0].tls.certificates[1].certificateChain: a certificate of the same kind for b.test (ECDSA) is at " +
				"listeners[0].tls.certificates[0]; clients would get only one of them",
		},
		{
			name: "authorities", text: listener("certificates: [" + a + "], clientCertificates: {trustedCa: DIR/text}"),
			want: "listeners[0].tls.clientCertificates.trustedCa: expected certificates in PEM; the file has none",
		},
		{
			name: "an upstream's", text: "upstreams: [{name: a, url: ':1', tls: {serverName: a.test, trustedCa: /no, certificate: " +
				"{certificateChain: /nor, privateKey: /nor}}}]",
			want: "upstreams[0].tls.certificate.certificateChain: open /nor: no such file or directory",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Loader{Files: true}.Parse([]byte(c.text))
			var all config.Errors
			errors.As(err, &all)
			if (c.want == "") != (err == nil) || c.want != "" && !slices.ContainsFunc(all, func(e config.Error) bool {
				return e.Path+": "+e.Msg == c.want
			}) {
				t.Errorf("Parse: got error %v, want %q", err, c.want)
			}
			if _, err := (Loader{}).Parse([]byte(c.text)); err != nil {
				t.Errorf("Parse without files: %v", err)
			}
		})
	}
}
