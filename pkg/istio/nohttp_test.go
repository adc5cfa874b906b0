package istio

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestNoHTTP wants a policy refused that is attached only to what runs no HTTP filters: it would look like a guard and
// let everything pass.
func TestNoHTTP(t *testing.T) {
	istioGateway := func(servers string) string {
		return "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\n" +
			"spec: {selector: {istio: edge}, servers: [" + servers + "]}\n"
	}
	apiGateway := func(class, listeners string) string {
		return fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\n"+
			"spec: {gatewayClassName: %s, listeners: [%s]}\n", class, listeners)
	}
	service := func(ports string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {selector: {app: web}, ports: [" + ports + "]}\n"
	}
	const (
		toIstio   = "targetRefs: [{group: networking.istio.io, kind: Gateway, name: edge}]"
		toAPI     = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]"
		toService = "targetRefs: [{kind: Service, name: web}]"
		toPort    = "targetRefs: [{kind: Service, name: web, sectionName: '9000'}]"
	)
	for name, c := range map[string]struct{ spec, world, want string }{
		"waypoint without a listener for ztunnels": {
			toAPI, apiGateway("istio-waypoint", "{name: http, port: 80, protocol: HTTP}"),
			":6:66: spec.targetRefs[0].name: no plugin can run there: the waypoint (in.yaml:8) has no listener of protocol HBONE",
		},
		"waypoint by its labels": {
			"selector: {matchLabels: {gateway.networking.k8s.io/gateway-name: edge}}\ntraffic: [gateway]",
			apiGateway("istio-waypoint", "{name: mesh, port: 15008, protocol: HBONE}"),
			":6:14: spec.selector.matchLabels: Gateway shop/edge (in.yaml:9) is a waypoint, and Istio selects none by labels; use targetRefs",
		},
		"listeners for TCP and TLS": {
			toAPI, apiGateway("istio", "{name: a, port: 9000, protocol: TCP}, {name: b, port: 443, protocol: TLS, tls: {mode: Passthrough}}"),
			":6:66: spec.targetRefs[0].name: no plugin can run there: the Gateway (in.yaml:8) has no server that terminates HTTP",
		},
		"servers for TCP": {
			toIstio, istioGateway("{port: {number: 9000, name: tcp, protocol: TCP}, hosts: ['*']}"),
			":6:60: spec.targetRefs[0].name: no plugin can run there: the Gateway (in.yaml:8) has no server that terminates HTTP",
		},
		"servers that pass TLS through": {
			toIstio, istioGateway("{port: {number: 443, name: https, protocol: HTTPS}, tls: {mode: PASSTHROUGH}, hosts: ['*']}"),
			":6:60: spec.targetRefs[0].name: no plugin can run there: the Gateway (in.yaml:8) has no server that terminates HTTP",
		},
		"a VirtualService for TCP": {
			"targetRefs: [{kind: VirtualService, name: v}]",
			istioGateway("{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}") +
				"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: shop}\n" +
				"spec: {hosts: [a.example], gateways: [edge], tcp: [{route: [{destination: {host: web}}]}]}\n",
			":6:39: spec.targetRefs[0].name: no plugin can run there: the VirtualService (in.yaml:13) has no HTTP routes",
		},
		"a port that is TCP by its name": {
			toPort, service("{name: tcp-admin, port: 9000}"),
			":6:43: spec.targetRefs[0].sectionName: no plugin can run there: the Service (in.yaml:8) says that the port is TCP",
		},
		"a port that is TCP by its appProtocol": {
			toPort, service("{name: http-admin, port: 9000, appProtocol: tcp}"),
			":6:43: spec.targetRefs[0].sectionName: no plugin can run there: the Service (in.yaml:8) says that the port is TCP",
		},
		"a port for UDP": {
			toPort, service("{name: dns, port: 9000, protocol: UDP}"), "says that the port is UDP",
		},
		"a Service without a port for HTTP": {
			toService, service("{name: redis, port: 6379}, {name: tls-x, port: 9000}, {port: 3306}"),
			"the Service (in.yaml:8) has no port for HTTP; 3306 is TCP, 6379 is REDIS, 9000 is TLS",
		},
		"a port for HTTP":                     {spec: toPort, world: service("{name: http-admin, port: 9000}")},
		"a port for gRPC-Web":                 {spec: toPort, world: service("{name: grpc-web, port: 9000}")},
		"a port for HTTP/2 by appProtocol":    {spec: toPort, world: service("{name: tcp, port: 9000, appProtocol: kubernetes.io/h2c}")},
		"a port whose protocol Istio detects": {spec: toPort, world: service("{name: admin, port: 9000}")},
		"a Service with one port for HTTP":    {spec: toService, world: service("{name: tcp, port: 9000}, {name: http, port: 80}")},
		"one listener of two": {
			spec: toAPI, world: apiGateway("istio", "{name: a, port: 9000, protocol: TCP}, {name: b, port: 80, protocol: HTTP}"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := Parse("in.yaml", []byte(policyText("p", hello+c.spec)+"---\n"+c.world))
			if err != nil {
				t.Fatalf("Parse: got %v, want no error", err)
			}
			_, err = Generate(in, Options{})
			var es Errors
			errors.As(err, &es)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("Generate: got %v, want no error", err)
			case c.want != "" && (len(es) != 1 || !strings.Contains(es[0].Error(), c.want)):
				t.Errorf("Generate: got %v, want one error with %q", err, c.want)
			}
		})
	}
}

// TestExplainHost asks for a host of a wildcard: Envoy takes the narrowest virtual host that covers it.
func TestExplainHost(t *testing.T) {
	var text strings.Builder
	text.WriteString("apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\n" +
		"spec: {selector: {istio: edge}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}\n")
	for name, host := range map[string]string{"all": "*", "gui": "*.gui.example", "deep": "*.deep.gui.example", "plain": "plain.gui.example", "own": "own.gui.example"} {
		fmt.Fprintf(&text, "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: %s, namespace: shop}\n"+
			"spec: {hosts: ['%s'], gateways: [edge], http: [{name: to-%s, route: [{destination: {host: web}}]}]}\n", name, host, name)
		if name != "plain" {
			text.WriteString("---\n" + policyText("guard-"+name, hello+"targetRefs: [{kind: VirtualService, name: "+name+"}]"))
		}
	}
	r := generate(t, text.String())
	for name, c := range map[string]struct{ ask, want string }{
		"a host of the wildcard":            {"a.gui.example", "host *.gui.example"},
		"in upper case":                     {"A.GUI.example", "host *.gui.example"},
		"a host of the narrower wildcard":   {"a.deep.gui.example", "host *.deep.gui.example"},
		"the wildcard":                      {"*.gui.example", "host *.gui.example"},
		"a host of its own":                 {"own.gui.example", "host own.gui.example"},
		"any other host":                    {"elsewhere.example", "host *"},
		"the suffix alone":                  {"gui.example", "host *"},
		"a host of its own without a chain": {"plain.gui.example", ""},
		"neither a host nor a route":        {"nothing", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			for line := range strings.Lines(r.Explain(c.ask)) {
				if title, ok := strings.CutPrefix(line, "  host "); ok {
					title, _, _ = strings.Cut(title, ",")
					got += "host " + title
				}
			}
			if got != c.want {
				t.Errorf("Explain(%q): got %q, want %q in\n%s", c.ask, got, c.want, r.Explain(c.ask))
			}
		})
	}
}
