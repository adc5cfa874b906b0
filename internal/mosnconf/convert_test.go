package mosnconf

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/dynamic_modules/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/dynamic_modules/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/dynamic_modules/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

// whole is a configuration with a listener, a router and a cluster, into which cases put what they are about.
func whole(listener, route, cluster string) string {
	return fmt.Sprintf(`{"servers": [{"default_log_path": "stdout", "routers": [{"router_config_name": "r",
		"virtual_hosts": [{"name": "v", "domains": ["*"], "routers": [{"match": {"prefix": "/"}, %s}]}]}],
		"listeners": [{"name": "l", "address": "127.0.0.1:80", "bind_port": true, %s
			"filter_chains": [{"filters": [{"type": "proxy", "config": {"downstream_protocol": "Http1",
				"upstream_protocol": "Http1", "router_config_name": "r"}}]}]}]}],
		"cluster_manager": {"clusters": [{"name": "up", "type": "SIMPLE", "lb_type": "LB_RANDOM",
			"hosts": [{"address": "127.0.0.1:81"}]%s}]}}`, route, listener, cluster)
}

// chain is the least with network filters before and behind the proxy.
func chain(before, behind string) string {
	whole := strings.Replace(whole("", toUp, ""), `"filters": [`, `"filters": [`+before, 1)
	return strings.Replace(whole, `"router_config_name": "r"}}]`, `"router_config_name": "r"}}`+behind+`]`, 1)
}

// tcpChain is the least with a TCP proxy, and network filters before it.
func tcpChain(before string) string {
	return `{"servers": [{"listeners": [{"name": "l", "address": "127.0.0.1:80", "bind_port": true,
		"filter_chains": [{"filters": [` + before + `{"type": "tcp_proxy", "config": {"cluster": "up"}}]}]}]}],
		"cluster_manager": {"clusters": [{"name": "up", "type": "SIMPLE", "hosts": [{"address": "127.0.0.1:81"}]}]}}`
}

const toUp = `"route": {"cluster_name": "up"}`

// TestConverts looks for parts of what comes out. All of it must be what Envoy's protos have.
func TestConverts(t *testing.T) {
	cases := map[string]struct{ in, want string }{
		"the least": {in: whole("", toUp, ""), want: `"cluster":"up"`},
		"stream filters": {
			in:   whole(`"stream_filters": [{"type": "gzip", "config": {"gzip_level": 6}}],`, toUp, ""),
			want: `"plugins":[{"config":{"stream_filters":[{"config":{"gzip_level":6},"type":"gzip"}]},"name":"mosn"}]`,
		},
		"a stream filter that does not block": {
			in:   whole(`"stream_filters": [{"type": "gzip", "blocking": false}],`, toUp, ""),
			want: `"stream_filters":[{"blocking":false,"type":"gzip"}]`,
		},
		"per_filter_config": {
			in:   whole(`"stream_filters": [{"type": "fault"}],`, toUp+`, "per_filter_config": {"fault": {"abort": {"status": 5}}}`, ""),
			want: `"per_filter_config":{"fault":{"abort":{"status":5}}}`,
		},
		"direct response": {
			in:   whole("", `"direct_response": {"status": 201, "body": "hi"}`, ""),
			want: `"direct_response":{"body":{"inline_string":"hi"},"status":201}`,
		},
		"redirect": {
			in:   whole("", `"redirect": {"response_code": 302, "path_redirect": "/x"}`, ""),
			want: `"redirect":{"path_redirect":"/x","response_code":"FOUND"}`,
		},
		"a network filter before the proxy": {
			in:   chain(`{"type": "fault_inject", "config": {"delay_percent": 5}}, `, ""),
			want: `"filter_name":"mosn"}},{"name":"envoy.filters.network.http_connection_manager"`,
		},
		"network filters before a TCP proxy": {
			in:   tcpChain(`{"type": "fault_inject", "config": {"delay_percent": 5}}, {"type": "mine"}, `),
			want: `"value":{"network_filters":[{"config":{"delay_percent":5},"type":"fault_inject"},{"type":"mine"}]}`,
		},
		"listener filters": {
			in:   whole(`"listener_filters": [{"type": "mine", "config": {"a": 1}, "blocking": false}, {"type": "x"}],`, toUp, ""),
			want: `"filter_name":"mosn"}}],"name":"l"`,
		},
		"the configuration of listener filters": {
			in:   whole(`"listener_filters": [{"type": "mine", "config": {"a": 1}, "blocking": false}, {"type": "x"}],`, toUp, ""),
			want: `"value":{"listener_filters":[{"blocking":false,"config":{"a":1},"type":"mine"},{"type":"x"}]}`,
		},
		"the original destination": {
			in:   whole(`"use_original_dst": "redirect",`, toUp, ""),
			want: `"name":"envoy.filters.listener.original_dst","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"}}],"name":"l","use_original_dst":true`,
		},
		"the original destination by TPROXY": {
			in:   whole(`"use_original_dst": "tproxy", "listener_filters": [{"type": "original_dst", "config": {"type": "tproxy"}}],`, toUp, ""),
			want: `original_dst.v3.OriginalDst"}}],"name":"l","transparent":true,"use_original_dst":true`,
		},
		"a listener filter before the original destination": {
			in:   whole(`"use_original_dst": "redirect", "listener_filters": [{"type": "mine"}],`, toUp, ""),
			want: `"value":{"listener_filters":[{"type":"mine"}],"use_original_dst":true}},"filter_name":"mosn"}},{"name":"envoy.filters.listener.original_dst"`,
		},
		"a cluster of original destinations": {
			in: strings.Replace(whole("", toUp, ""), `"type": "SIMPLE", "lb_type": "LB_RANDOM",
			"hosts": [{"address": "127.0.0.1:81"}]`, `"type": "ORIGINAL_DST"`, 1),
			want: `"lb_policy":"CLUSTER_PROVIDED","name":"up","type":"ORIGINAL_DST"`,
		},
		"a listener filter behind the original destination": {
			in:   whole(`"use_original_dst": "redirect", "listener_filters": [{"type": "original_dst"}, {"type": "mine"}],`, toUp, ""),
			want: `original_dst.v3.OriginalDst"}},{"name":"moe.mosn"`,
		},
		"default time-out": {in: whole("", toUp, ""), want: `"timeout":"60s"`},
		"retries": {
			in:   whole("", `"route": {"cluster_name": "up", "timeout": "2s", "retry_policy": {"retry_on": true, "num_retries": 3, "retry_timeout": "500ms"}}`, ""),
			want: `"retry_policy":{"num_retries":3,"per_try_timeout":"0.5s","retry_on":"5xx"},"timeout":"2s"`,
		},
		"weights": {
			in:   whole("", `"route": {"weighted_clusters": [{"cluster": {"name": "up", "weight": 100}}]}`, ""),
			want: `"weighted_clusters":{"clusters":[{"name":"up","weight":100}]}`,
		},
		"headers": {
			in:   whole("", `"route": {"cluster_name": "up", "request_headers_to_add": [{"header": {"key": "x-a", "value": "1"}, "append": false}]}`, ""),
			want: `"request_headers_to_add":[{"append_action":"OVERWRITE_IF_EXISTS_OR_ADD","header":{"key":"x-a","value":"1"}}]`,
		},
		"the path that decides": {
			in:   whole("", toUp, ""),
			want: `"merge_slashes":true,"normalize_path":true,"path_with_escaped_slashes_action":"UNESCAPE_AND_FORWARD"`,
		},
		"a path in any case": {
			in:   strings.Replace(whole("", toUp, ""), `{"prefix": "/"}`, `{"path": "/admin"}`, 1),
			want: `"match":{"case_sensitive":false,"path":"/admin"}`,
		},
		"a prefix before a path": {
			in:   strings.Replace(whole("", toUp, ""), `{"prefix": "/"}`, `{"path": "/admin", "prefix": "/a"}`, 1),
			want: `"match":{"prefix":"/a"}`,
		},
		"an expression for paths": {
			in:   strings.Replace(whole("", toUp, ""), `{"prefix": "/"}`, `{"regex": "^/admin|^/internal"}`, 1),
			want: `"safe_regex":{"regex":"\\C*(?:^/admin|^/internal)\\C*"}`,
		},
		"an expression for headers": {
			in: strings.Replace(whole("", toUp, ""), `{"prefix": "/"}`,
				`{"prefix": "/", "headers": [{"name": "x-a", "value": "a|b", "regex": true}]}`, 1),
			want: `"string_match":{"safe_regex":{"regex":"\\C*(?:a|b)\\C*"}}`,
		},
		"upstream protocol": {in: whole("", toUp, ""), want: `"explicit_http_config":{"http_protocol_options":{}}`},
		"subsets": {
			in:   whole("", toUp, `, "lb_subset_config": {"fall_back_policy": 1, "subset_selectors": [["version"]]}`),
			want: `"lb_subset_config":{"fallback_policy":"ANY_ENDPOINT","subset_selectors":[{"keys":["version"]}]}`,
		},
		"health checks": {
			in:   whole("", toUp, `, "health_check": {"protocol": "Http1", "timeout": "1s", "interval": "5s", "healthy_threshold": 2, "unhealthy_threshold": 3, "check_config": {"http_check_config": {"path": "/health"}}}`),
			want: `"http_health_check":{"path":"/health"},"interval":"5s","timeout":"1s","unhealthy_threshold":3`,
		},
		"circuit breakers": {
			in:   whole("", toUp, `, "circuit_breakers": [{"max_connections": 7}]`),
			want: `"circuit_breakers":{"thresholds":[{"max_connections":7}]}`,
		},
		"TLS to the upstream": {
			in:   whole("", toUp, `, "tls_context": {"status": true, "insecure_skip": true, "server_name": "a.example"}`),
			want: `"sni":"a.example"`,
		},
		"the name in the upstream's certificate": {
			in:   whole("", toUp, `, "tls_context": {"status": true, "ca_cert": "ca.pem", "server_name": "a.example"}`),
			want: `"match_typed_subject_alt_names":[{"matcher":{"exact":"a.example"},"san_type":"DNS"}]`,
		},
		"the address in the upstream's certificate": {
			in:   whole("", toUp, `, "tls_context": {"status": true, "ca_cert": "ca.pem", "server_name": "127.0.0.1"}`),
			want: `"match_typed_subject_alt_names":[{"matcher":{"exact":"127.0.0.1"},"san_type":"IP_ADDRESS"}]`,
		},
		"curves": {
			in:   whole("", toUp, `, "tls_context": {"status": true, "insecure_skip": true, "ecdh_curves": "P256,x25519"}`),
			want: `"ecdh_curves":["P-256","X25519"]`,
		},
		"a name as address": {
			in: strings.ReplaceAll(whole("", toUp, ""), "127.0.0.1:81", "up.example:81"), want: `"type":"STRICT_DNS"`,
		},
		"TLS for clients": {
			in: strings.Replace(whole("", toUp, ""), `{"filters"`, `{"tls_context": {"status": true, "cert_chain": "c.pem",
				"private_key": "k.pem", "ca_cert": "ca.pem", "require_client_cert": true, "min_version": "TLSv1_2"}, "filters"`, 1),
			want: `"require_client_certificate":true`,
		},
		"names in other case": {
			in: strings.Replace(whole("", toUp, ""), `"name": "up"`, `"Name": "up"`, 1), want: `"cluster_name":"up"`,
		},
		"a match of nothing": {in: strings.Replace(whole("", toUp, ""), `{"prefix": "/"}`, `{}`, 1), want: `"match":{"prefix":"/"}`},
		"the old form of a match": {
			in:   strings.Replace(whole("", toUp, ""), `{"prefix": "/"}`, `{"headers": [{"name": "service", "value": ".*"}]}`, 1),
			want: `"headers":[{"name":"service","present_match":true}]`,
		},
		"slow start": {
			in: strings.Replace(whole("", toUp, `, "slow_start": {"mode": "duration", "slow_start_duration": "30s", "min_weight_percent": 0.2}`),
				"LB_RANDOM", "LB_ROUNDROBIN", 1),
			want: `"slow_start_config":{"aggression":{"default_value":1,"runtime_key":"up.slow_start.aggression"},"min_weight_percent":{"value":20},"slow_start_window":"30s"}`,
		},
		"health checks of another protocol": {
			in: whole("", toUp, `, "health_check": {"protocol": "http1", "interval": "1s"}`), want: `"tcp_health_check":{}`,
		},
		"a socket to listen on": {
			in:   strings.Replace(whole(`"network": "unix",`, toUp, ""), "127.0.0.1:80", "/run/mosn.sock", 1),
			want: `"address":{"pipe":{"path":"/run/mosn.sock"}}`,
		},
		"a socket of a host": {
			in:   strings.Replace(whole("", toUp, ""), "127.0.0.1:81", "unix:/run/up.sock", 1),
			want: `"endpoint":{"address":{"pipe":{"path":"/run/up.sock"}}}`,
		},
		"the size of headers": {
			in: strings.Replace(whole("", toUp, ""), `"router_config_name": "r"}}`,
				`"router_config_name": "r", "extend_config": {"max_header_size": 16000}}}`, 1),
			want: `"max_request_headers_kb":16`,
		},
		"empty objects of a dump": {
			in: whole("", toUp, `, "spec": {}, "health_check": {"timeout": "0s", "interval": "0s"}, "tls_context": {}`), want: `"up"`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			result, err := Convert([]byte(c.in), nil)
			if err != nil {
				t.Fatalf("cannot convert: %v", err)
			}
			text, err := json.Marshal(result.Bootstrap)
			if err != nil {
				t.Fatalf("cannot write the result: %v", err)
			}
			if !strings.Contains(string(text), c.want) {
				t.Errorf("the result lacks %s:\n%s", c.want, text)
			}
			if err := protojson.Unmarshal(text, new(bootstrapv3.Bootstrap)); err != nil {
				t.Errorf("Envoy's protos do not have what came out: %v\n%s", err, text)
			}
		})
	}
}

// TestRefuses looks for errors with their places.
func TestRefuses(t *testing.T) {
	cases := map[string]struct {
		in   string
		want []string
	}{
		"not JSON":          {in: `{"servers": [`, want: []string{""}},
		"no listener":       {in: `{}`, want: []string{"servers: has no listener"}},
		"unknown field":     {in: whole(`"adress": 1,`, toUp, ""), want: []string{"servers[0].listeners[0].adress"}},
		"wrong type":        {in: whole("", `"route": {"cluster_name": 1}`, ""), want: []string{"cluster_name"}},
		"unknown cluster":   {in: whole("", `"route": {"cluster_name": "upp"}`, ""), want: []string{"routers[0].route.cluster_name", `did you mean "up"`}},
		"unknown router":    {in: strings.Replace(whole("", toUp, ""), `"router_config_name": "r"}}`, `"router_config_name": "x"}}`, 1), want: []string{"config.router_config_name", "no router"}},
		"a protocol of RPC": {in: strings.Replace(whole("", toUp, ""), `"downstream_protocol": "Http1"`, `"downstream_protocol": "bolt"`, 1), want: []string{"downstream_protocol", "bolt"}},
		"two protocols": {
			in:   strings.Replace(whole("", toUp+`}, {"match": {"prefix": "/b"}, "route": {"cluster_name": "up", "upstream_protocol": "Http2"}`, ""), "", "", 1),
			want: []string{"make two"},
		},
		"a load balancer": {in: strings.ReplaceAll(whole("", toUp, ""), "LB_RANDOM", "LB_PEAK"), want: []string{"clusters[0].lb_type"}},
		"an original destination of another kind": {
			in: whole(`"use_original_dst": "divert",`, toUp, ""), want: []string{"listeners[0].use_original_dst", "redirect and tproxy"},
		},
		"an original_dst of another kind": {
			in:   whole(`"listener_filters": [{"type": "original_dst", "config": {"type": "divert"}}],`, toUp, ""),
			want: []string{"listener_filters[0].config.type", "redirect and tproxy"},
		},
		"two kinds of original destinations": {
			in: whole(`"use_original_dst": "redirect", "listener_filters": [{"type": "original_dst", "config": {"type": "tproxy"}}],`,
				toUp, ""),
			want: []string{"listener_filters[0].config.type", "Envoy has one of them"},
		},
		"an original_dst with a fallback": {
			in:   whole(`"listener_filters": [{"type": "original_dst", "config": {"fallback_to_local": true}}],`, toUp, ""),
			want: []string{"listener_filters[0].config.fallback_to_local", "0.0.0.0"},
		},
		"an original_dst with an unknown field": {
			in:   whole(`"listener_filters": [{"type": "original_dst", "config": {"fallback": true}}],`, toUp, ""),
			want: []string{"listener_filters[0].config.fallback"},
		},
		"original destinations by a header": {
			in:   strings.Replace(whole("", toUp, `, "original_dst_lb_config": {"use_header": true}`), "SIMPLE", "ORIGINAL_DST", 1),
			want: []string{"clusters[0].original_dst_lb_config.use_header", "use_http_header"},
		},
		"a local original destination": {
			in:   strings.Replace(whole("", toUp, `, "original_dst_lb_config": {"replace_local": true}`), "SIMPLE", "ORIGINAL_DST", 1),
			want: []string{"clusters[0].original_dst_lb_config.replace_local"},
		},
		"a load balancer of original destinations alone": {
			in: strings.ReplaceAll(whole("", toUp, ""), "LB_RANDOM", "LB_ORIGINAL_DST"), want: []string{"clusters[0].lb_type", "ORIGINAL_DST"},
		},
		"a listener filter without a type": {
			in: whole(`"listener_filters": [{}],`, toUp, ""), want: []string{"listener_filters[0].type"},
		},
		"a listener filter that is a Go plugin": {
			in:   whole(`"listener_filters": [{"type": "x", "go_plugin_config": {"so_path": "x.so"}}],`, toUp, ""),
			want: []string{"listener_filters[0].go_plugin_config"},
		},
		"a Go plugin":      {in: whole(`"stream_filters": [{"type": "x", "go_plugin_config": {"so_path": "x.so"}}],`, toUp, ""), want: []string{"stream_filters[0].go_plugin_config"}},
		"variables":        {in: strings.Replace(whole("", toUp, ""), `{"prefix": "/"}`, `{"prefix": "/", "variables": [{"name": "x"}]}`, 1), want: []string{"match.variables"}},
		"a bad expression": {in: strings.Replace(whole("", toUp, ""), `{"prefix": "/"}`, `{"regex": "("}`, 1), want: []string{"match.regex"}},
		"a tunnel":         {in: chain(`{"type": "tunnel"}, `, ""), want: []string{"filters[0].type", "between two MOSNs"}},
		"a gRPC server":    {in: chain(`{"type": "grpc"}, `, ""), want: []string{"filters[0].type", "let the server listen"}},
		"a filter behind the proxy": {
			in: chain("", `, {"type": "mine"}`), want: []string{"filters[1].type", "behind the proxy in servers[0]"},
		},
		"two proxies": {
			in: chain("", `, {"type": "tcp_proxy", "config": {"cluster": "up"}}`), want: []string{"filters[1].type", "behind the proxy"},
		},
		"no proxy": {
			in: strings.Replace(whole("", toUp, ""), `"type": "proxy"`, `"type": "mine"`, 1), want: []string{"has neither a proxy nor"},
		},
		"another network filter": {in: strings.Replace(whole("", toUp, ""), `"type": "proxy"`, `"type": "prxy"`, 1), want: []string{"filters[0].type", `did you mean "proxy"`}},
		"routers in files":       {in: strings.Replace(whole("", toUp, ""), `"virtual_hosts"`, `"router_configs": "/etc/r", "virtual_hosts"`, 1), want: []string{"routers[0].router_configs", "is given too"}},
		"a certificate for nobody": {
			in:   whole("", toUp, `, "tls_context": {"status": true, "ca_cert": "ca.pem"}`),
			want: []string{"clusters[0].tls_context.server_name"},
		},
		"a name twice, in other case": {
			in: strings.Replace(whole("", toUp, ""), `"name": "up"`, `"name": "up", "Name": "down"`, 1), want: []string{"clusters[0].Name"},
		},
		"a network": {in: whole(`"network": "udp",`, toUp, ""), want: []string{"listeners[0].network", "tcp and unix"}},
		"a slow start of random choice": {
			in:   whole("", toUp, `, "slow_start": {"mode": "duration", "slow_start_duration": "30s"}`),
			want: []string{"clusters[0].slow_start", "LB_ROUNDROBIN"},
		},
		"a limit of bodies": {
			in: strings.Replace(whole("", toUp, ""), `"router_config_name": "r"}}`,
				`"router_config_name": "r", "extend_config": {"Http1": {"max_request_body_size": 9}}}}`, 1),
			want: []string{"config.extend_config.Http1.max_request_body_size", "payload_limit"},
		},
		"clusters in files":     {in: strings.Replace(whole("", toUp, ""), `{"clusters"`, `{"clusters_configs": "/etc/c", "clusters"`, 1), want: []string{"cluster_manager.clusters_configs", "is given too"}},
		"a filter's wrong type": {in: whole(`"stream_filters": [{"type": "gzip", "config": [6]}],`, toUp, ""), want: []string{"stream_filters[0].config"}},
		"a number as text":      {in: strings.Replace(whole("", toUp, `, "max_request_per_conn": "many"`), "", "", 1), want: []string{"clusters[0].max_request_per_conn"}},
		"a wrong duration":      {in: whole("", toUp, `, "connect_timeout": "soon"`), want: []string{"clusters[0].connect_timeout"}},
		"several at once": {
			in:   whole(`"use_original_dst": "divert",`, `"route": {"cluster_name": "x"}`, ""),
			want: []string{"use_original_dst", "no cluster"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Convert([]byte(c.in), nil)
			if err == nil {
				t.Fatal("the configuration was converted, want an error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}

// TestRegexSearches holds what becomes of an expression, which must match the whole text, against what it finds in MOSN. Go
// has no \C, so that (?s:.) takes its place here.
func TestRegexSearches(t *testing.T) {
	texts := []string{
		"", "/", "/admin", "/admin/x", "/internal", "/internal/x", "/x/admin", "/x/internal", "/ADMIN", "$", "/a$/x", "/a",
		"/x\n/admin", "/admin\n", "/a.b", "/a|b", "/aab",
	}
	for _, expression := range []string{
		"^/admin|^/internal", "/admin$|/internal$", "^/admin$|^/x", "admin", "^/admin", "admin$", `\$`, `a\$`, `^/a\$`, `[$]`,
		"(?i)^/admin", "(?m)^/admin$", "(?s)x.+n", "^", "$", "", "|", `\Qa.b`, `\Qa|b\E$`, `\Q|`, `a\z`, `\A/a`, "a|", `\\`, "a{2}",
	} {
		t.Run(expression, func(t *testing.T) {
			c := &converter{}
			whole := c.regex("regex", expression)
			if len(c.errs) > 0 {
				t.Fatalf("the expression was refused: %v", c.errs)
			}
			matches, err := regexp.Compile(`\A(?:` + strings.ReplaceAll(whole, `\C*`, `(?s:.*)`) + `)\z`)
			if err != nil {
				t.Fatalf("the result %s does not compile: %v", whole, err)
			}
			finds := regexp.MustCompile(expression)
			for _, text := range texts {
				if got, want := matches.MatchString(text), finds.MatchString(text); got != want {
					t.Errorf("%s matches %q: %v, want %v", whole, text, got, want)
				}
			}
		})
	}
}

func TestNotes(t *testing.T) {
	result, err := Convert([]byte(whole("", toUp, "")), nil)
	if err != nil {
		t.Fatalf("cannot convert: %v", err)
	}
	if len(result.Notes) != 1 || !strings.HasPrefix(result.Notes[0], "servers[0].default_log_path: ") {
		t.Errorf("the notes are %q, want one about default_log_path", result.Notes)
	}
}

// TestOriginalDstWithoutEffect has MOSN's listener filter on a listener that does not ask for it.
func TestOriginalDstWithoutEffect(t *testing.T) {
	result, err := Convert([]byte(whole(`"listener_filters": [{"type": "original_dst"}],`, toUp, "")), nil)
	if err != nil {
		t.Fatalf("cannot convert: %v", err)
	}
	if notes := strings.Join(result.Notes, "\n"); !strings.Contains(notes, "listener_filters[0]: has no effect") {
		t.Errorf("the notes are %q, want one about listener_filters[0]", notes)
	}
	text, err := json.Marshal(result.Bootstrap)
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	if strings.Contains(string(text), "listener_filters") {
		t.Errorf("the result has listener filters: %s", text)
	}
}

// TestEscapable has routes whose requests clients may write in a way that only MOSN takes for the same.
func TestEscapable(t *testing.T) {
	for match, want := range map[string]string{
		`{"prefix": "/a-b_c.d~e/9"}`: "",
		`{"prefix": "/a:b"}`:         "match.prefix: has \":\"",
		`{"path": "/a b"}`:           "match.path: has \" \"",
		`{"path": "/ä"}`:             "match.path: has \"ä\"",
		`{"path": "/100%"}`:          "match.path: has \"%\"",
		`{"regex": "^/a:b"}`:         "",
	} {
		t.Run(match, func(t *testing.T) {
			result, err := Convert([]byte(strings.Replace(whole("", toUp, ""), `{"prefix": "/"}`, match, 1)), nil)
			if err != nil {
				t.Fatalf("cannot convert: %v", err)
			}
			notes := strings.Join(result.Notes, "\n")
			if want == "" && strings.Contains(notes, "match.") || !strings.Contains(notes, want) {
				t.Errorf("the notes are %q, want %q among them", notes, want)
			}
		})
	}
}

// TestInherited has a configuration that MOSN merges with that of the process before it: Envoy has no such process.
func TestInherited(t *testing.T) {
	result, err := Convert([]byte(strings.Replace(whole("", toUp, ""), `{"servers"`, `{"inherit_old_mosnconfig": true, "servers"`, 1)), nil)
	if err != nil {
		t.Fatalf("cannot convert: %v", err)
	}
	if !strings.HasPrefix(strings.Join(result.Notes, "\n"), "inherit_old_mosnconfig: ") {
		t.Errorf("the notes are %q, want the first about inherit_old_mosnconfig", result.Notes)
	}
}

// TestManyRoutes converts 10,000 routes.
func TestManyRoutes(t *testing.T) {
	var routes strings.Builder
	routes.WriteString(toUp)
	for i := range 9_999 {
		fmt.Fprintf(&routes, `}, {"match": {"prefix": "/%d"}, %s`, i, toUp)
	}
	result, err := Convert([]byte(whole("", routes.String(), "")), nil)
	if err != nil {
		t.Fatalf("cannot convert: %v", err)
	}
	text, err := json.Marshal(result.Bootstrap)
	if err != nil || strings.Count(string(text), `"prefix":`) != 10_000 {
		t.Errorf("%d routes came out (%v), want 10000", strings.Count(string(text), `"prefix":`), err)
	}
}

// FuzzConvert looks for panics, and for results that Envoy's protos do not have.
func FuzzConvert(f *testing.F) {
	f.Add(whole("", toUp, ""))
	f.Add(whole(`"stream_filters": [{"type": "gzip"}],`, `"direct_response": {"status": 200}`, `, "tls_context": {"status": true}`))
	f.Fuzz(func(t *testing.T, text string) {
		result, err := Convert([]byte(text), nil)
		if err == nil && result.Bootstrap == nil {
			t.Error("neither a result nor an error")
		}
	})
}
