package mesh

import (
	"fmt"
	"strings"
	"testing"

	"mosn.io/moe/pkg/istio/internal/manifest"
)

func read(t *testing.T, text string) (*Mesh, error) {
	t.Helper()
	in, err := manifest.Parse("in.yaml", []byte(text))
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, text)
	}
	var p manifest.Problems
	return Read(in, "default", &p), p.Err()
}

// TestServersForHTTP says which servers of an Istio Gateway have HTTP filters: those that Istio gives an HTTP connection
// manager.
func TestServersForHTTP(t *testing.T) {
	for name, c := range map[string]struct {
		server string
		want   bool
	}{
		"HTTP":                                {"port: {number: 80, name: x, protocol: HTTP}", true},
		"HTTP in lower case":                  {"port: {number: 80, name: x, protocol: http}", true},
		"HTTP that redirects to HTTPS":        {"port: {number: 80, name: x, protocol: HTTP}, tls: {httpsRedirect: true}", true},
		"gRPC":                                {"port: {number: 80, name: x, protocol: GRPC}", true},
		"HTTPS with a certificate":            {"port: {number: 443, name: x, protocol: HTTPS}, tls: {mode: SIMPLE, credentialName: c}", true},
		"HTTPS with mutual TLS":               {"port: {number: 443, name: x, protocol: HTTPS}, tls: {mode: MUTUAL, credentialName: c}", true},
		"HTTPS that is passed through":        {"port: {number: 443, name: x, protocol: HTTPS}, tls: {mode: PASSTHROUGH}", false},
		"HTTPS without a mode, which is that": {"port: {number: 443, name: x, protocol: HTTPS}, tls: {credentialName: c}", false},
		"TLS":                                 {"port: {number: 443, name: x, protocol: TLS}, tls: {mode: SIMPLE, credentialName: c}", false},
		"TCP":                                 {"port: {number: 9000, name: x, protocol: TCP}", false},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := read(t, "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\n"+
				fmt.Sprintf("spec: {selector: {a: b}, servers: [{%s, hosts: ['*']}]}\n", c.server))
			if err != nil {
				t.Fatalf("Read: %v", err)
			}
			if got := w.Gateways[Name{kindIstioGateway, "default", "g"}].Servers; (len(got) > 0) != c.want {
				t.Errorf("servers for HTTP: got %+v, want one: %v", got, c.want)
			}
		})
	}
}

// TestWrongTypes wants the field named that has another type than Istio or Kubernetes give it.
func TestWrongTypes(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"Istio Gateway": {
			"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n  servers:\n  - hosts: shop.example.com\n",
			"in.yaml:6:5: spec.servers[0].hosts: expected a list",
		},
		"VirtualService": {
			"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  http:\n  - name: 7\n",
			"in.yaml:6:5: spec.http[0].name: expected string",
		},
		"Gateway": {
			"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n  listeners: {}\n",
			"in.yaml:5:3: spec.listeners: expected a list, got object",
		},
		"Service": {
			"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  selector: web\n",
			"in.yaml:5:3: spec.selector: expected an object, got string",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := read(t, c.text); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("Read: got %v, want %s", err, c.want)
			}
		})
	}
	t.Run("unknown fields are for other versions of Istio", func(t *testing.T) {
		if _, err := read(t, "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec: {fresh: 1}\n"); err != nil {
			t.Errorf("Read: got %v, want no error", err)
		}
	})
}
