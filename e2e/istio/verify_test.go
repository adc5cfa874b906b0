package istio

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// filterOf writes an EnvoyFilter by hand, for gateways: an HTTP filter "moe" before the router, and whatever more
// patches say.
func filterOf(typedConfig, more string) string {
	return `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: mine, namespace: istio-system}
spec:
  priority: 10
  workloadSelector: {labels: {istio: ingressgateway}}
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: GATEWAY
      listener:
        filterChain:
          filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.router}}
    patch: {operation: INSERT_BEFORE, value: {name: moe, ` + typedConfig + `}}
` + more
}

const (
	lua     = `typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua}`
	noRoute = `  - applyTo: HTTP_ROUTE
    match: {context: GATEWAY, routeConfiguration: {vhost: {name: "www.example.com:80", route: {name: nosuch}}}}
    patch:
      operation: MERGE
      value:
        typed_per_filter_config:
          moe: {"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}
`
	dynamicModule = `typed_config: {
      "@type": type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter,
      dynamic_module_config: {name: moe, do_not_close: true}, filter_name: moe, filter_config: {
      "@type": type.googleapis.com/google.protobuf.Struct, value: {plugins: [{name: PLUGIN}]}}}`
	golang = `typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.golang.v3alpha.Config,
      library_id: moe, library_path: /var/lib/moe/libmoe.so, plugin_name: moe}`
	discovery = `config_discovery: {config_source: {ads: {}, resource_api_version: V3},
      type_urls: [type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua]}`
)

// certificates are gateways whose Secrets are not there.
const certificates = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: tls, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    tls: {mode: SIMPLE, credentialName: www}
    hosts: ["*.example.com"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: tls, namespace: default}
spec:
  hosts: [tls.example.com]
  gateways: [tls]
  http: [{name: all, route: [{destination: {host: echo.test, port: {number: 8080}}}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  gatewayClassName: istio
  listeners:
  - {name: web, port: 443, protocol: HTTPS, tls: {mode: Terminate, certificateRefs: [{name: front}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: front, namespace: default}
spec:
  parentRefs: [{name: front}]
  rules: [{backendRefs: [{group: networking.istio.io, kind: Hostname, name: echo.test, port: 8080}]}]
`

// TestVerifyCommand runs `moe istio verify` on folders with and without mistakes, each of which Istio passes over or
// does not explain.
func TestVerifyCommand(t *testing.T) {
	command, err := moe()
	if err != nil {
		t.Fatalf("moe: %v", err)
	}
	lib, err := module()
	if err != nil {
		t.Fatalf("module: %v", err)
	}
	some := strings.ReplaceAll(world+"\n---\n"+services, "UPSTREAM", "8080")
	good := []string{
		gatewayAPI,
		policy("istio-system", "base", toGateway+"plugins: ["+auth+"]\nroutes: [{name: api, plugins: ["+
			marks("x-moe", "api")+"]}]"),
		policy("default", "app", toApp+"traffic: [inbound]\nplugins: ["+auth+"]"),
		policy("default", "front", `targetRefs: [{kind: HTTPRoute, name: front, sectionName: api}]
plugins: [`+auth+"]"),
	}
	noPlugin := strings.ReplaceAll(dynamicModule, "PLUGIN", "nosuch")
	noModule := strings.NewReplacer("PLUGIN", "passthrough", "{name: moe,", "{name: nosuch,").Replace(dynamicModule)
	withTLS := policy("istio-system", "base", toGateway+"plugins: ["+auth+"]")
	for _, c := range []struct {
		name   string
		docs   []string
		status int
		says   []string
		never  []string
	}{
		{name: "good policies", docs: good, status: 0, says: []string{
			"of FilterPolicy istio-system/base: admitted", "HTTP_FILTER INSERT_BEFORE: listener 0.0.0.0_80",
			"HTTP_ROUTE MERGE: routes http.80, virtual host www.example.com:80, route api", "route api",
			"gateway in istio-system (istio=ingressgateway), Envoy ", "serves 1 listener",
			"sidecar in default (app=app), Envoy ",
			"gateway in default (gateway.networking.k8s.io/gateway-name=front), Envoy ",
		}, never: []string{"REFUSED", "NO EFFECT", "s3cret"}},
		{
			name:   "a sidecar where there is no gateway",
			docs:   []string{policy("default", "app", toApp+"plugins: ["+auth+"]")},
			status: 0,
			says: []string{
				"SIDECAR_INBOUND HTTP_FILTER INSERT_BEFORE: listener virtualInbound",
				"GATEWAY HTTP_FILTER INSERT_BEFORE: not tried: it is for gateways, and the EnvoyFilter selects none",
			},
			never: []string{"REFUSED", "NO EFFECT"},
		},
		{
			name:   "gateways with certificates",
			docs:   []string{certificates, withTLS},
			status: 0,
			says: []string{
				"HTTP_FILTER INSERT_BEFORE: listener 0.0.0.0_443; listener 0.0.0.0_80", "ENVOY: serves 2 listeners",
				"gateway in default (gateway.networking.k8s.io/gateway-name=front), ENVOY: serves 1 listener",
			},
			never: []string{"REFUSED", "NO EFFECT"},
		},
		{
			name: "a secret that the proxy mounts",
			docs: []string{policy("istio-system", "base", toGateway+"secretMounts: [{name: token}]\n"+
				"plugins: [{name: tokenauth, config: {secret: {secretKeyRef: {name: token, key: secret}}}}]")},
			status: 0,
			says: []string{
				"/etc/moe/secrets/token/secret: placeholder: no Secret in the input provides it",
				"HTTP_FILTER INSERT_BEFORE: listener 0.0.0.0_80",
			},
			never: []string{"REFUSED", "NO EFFECT"},
		},
		{name: "a route that does not exist", docs: []string{filterOf(lua, noRoute)}, status: 1, says: []string{
			"configPatches[0] GATEWAY HTTP_FILTER INSERT_BEFORE: listener 0.0.0.0_80",
			"configPatches[1] GATEWAY HTTP_ROUTE MERGE: NO EFFECT: its match fits nothing that Istio sends to these " +
				"proxies: gateway in istio-system (istio=ingressgateway)",
		}, never: []string{"REFUSED"}},
		{
			name: "a selector that selects nothing",
			docs: []string{strings.ReplaceAll(filterOf(lua, ""), "{istio: ingressgateway}", "{istio: nosuch}")}, status: 1,
			says: []string{"configPatches[0] GATEWAY HTTP_FILTER INSERT_BEFORE: NO EFFECT"},
		},
		{
			name: "a type that there is not", docs: []string{filterOf(strings.ReplaceAll(lua, "v3.Lua", "v3.Luna"), "")},
			status: 1, says: []string{"EnvoyFilter istio-system/mine: REFUSED by Istio: ", "v3.Luna"},
		},
		{name: "a plugin that there is not", docs: []string{filterOf(noPlugin, "")}, status: 1, says: []string{
			"configPatches[0] GATEWAY HTTP_FILTER INSERT_BEFORE: listener 0.0.0.0_80", "REFUSED listener 0.0.0.0_80: ",
			"patched there: istio-system/mine/0", "unknown plugin", "nosuch",
		}, never: []string{"NO EFFECT"}},
		{name: "a module that there is not", docs: []string{filterOf(noModule, "")}, status: 1, says: []string{
			"REFUSED listener 0.0.0.0_80: ", "patched there: istio-system/mine/0", "libnosuch.so",
		}, never: []string{"NO EFFECT"}},
		{
			name: "an extension configuration that nobody adds", docs: []string{filterOf(discovery, "")}, status: 1,
			says: []string{"REFUSED extension configuration moe: ", "requests are answered with status 500"},
		},
		{name: "the contrib Golang filter", docs: []string{filterOf(golang, "")}, status: 0, says: []string{
			"configPatches[0] GATEWAY HTTP_FILTER INSERT_BEFORE: listener 0.0.0.0_80", "not tried in Envoy: ",
		}, never: []string{"REFUSED", "NO EFFECT"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bin := binaries(t)[0]
			dir := t.TempDir()
			write := func(name string, docs ...string) {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(docs, "\n---\n")), 0o600); err != nil {
					t.Fatalf("os.WriteFile: %v", err)
				}
			}
			write("mesh.yaml", some)
			write("more.yaml", c.docs...)
			cmd := exec.Command(command, "istio", "verify", "-f", dir, "--module", lib, "--envoy", bin.Path,
				"--log", filepath.Join(folder(t), "verify.log"))
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil {
				t.Fatalf("cmd.ProcessState = nil, want a value: %v", err)
			}
			if got := cmd.ProcessState.ExitCode(); got != c.status {
				t.Errorf("status %d, not %d", got, c.status)
			}
			for _, s := range c.says {
				s = strings.ReplaceAll(s, "ENVOY", "Envoy "+bin.Version)
				if !strings.Contains(string(out), s) {
					t.Errorf("the report does not say %q", s)
				}
			}
			for _, s := range c.never {
				if strings.Contains(string(out), s) {
					t.Errorf("the report says %q", s)
				}
			}
			if t.Failed() {
				t.Logf("%s", out)
			}
		})
	}
}
