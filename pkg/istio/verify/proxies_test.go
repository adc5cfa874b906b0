package verify

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// object reads an object from YAML.
func object(t *testing.T, text string) Object {
	t.Helper()
	var o Object
	if err := yaml.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("yaml.Unmarshal: %v", err)
	}
	return o
}

const (
	istioGateway = `{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: gw, namespace: shop}, spec: {
	  selector: {istio: ingress}, servers: [{port: {number: 443}, tls: {credentialName: cert}}]}}`
	apiGateway = `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: front, namespace: web},
	  spec: {gatewayClassName: istio, listeners: [{port: 80}, {port: 443, tls: {certificateRefs: [{name: a}, {name: b,
	  namespace: certs}]}}, {port: 443}]}}`
	waypoint = `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: wp, namespace: shop},
	  spec: {gatewayClassName: istio-waypoint, listeners: [{port: 15008, protocol: HBONE}]}}`
	service = `{apiVersion: v1, kind: Service, metadata: {name: app, namespace: shop},
	  spec: {selector: {app: app}}}`
)

func envoyFilter(namespace, spec string) string {
	return `{apiVersion: networking.istio.io/v1alpha3, kind: EnvoyFilter, metadata: {name: x, namespace: ` + namespace +
		`}, spec: {` + spec + `}}`
}

func TestProxies(t *testing.T) {
	const (
		inbound = "configPatches: [{match: {context: SIDECAR_INBOUND}}]"
		gateway = "configPatches: [{match: {context: GATEWAY}}]"
		toFront = "targetRefs: [{kind: Gateway, name: front}], "
		toWP    = "targetRefs: [{kind: Gateway, name: wp}], "
		allWP   = "targetRefs: [{kind: GatewayClass, name: istio-waypoint}], "
	)
	selects := func(labels string) string { return "workloadSelector: {labels: {" + labels + "}}, " }
	for _, c := range []struct {
		name    string
		objects []string
		want    []string
	}{
		{"nothing", nil, nil},
		{"a gateway of each kind", []string{istioGateway, apiGateway, istioGateway}, []string{
			"gateway in shop (istio=ingress)", "gateway in web (gateway.networking.k8s.io/gateway-name=front)",
		}},
		{"a gateway in the namespace of an EnvoyFilter that selects it", []string{
			istioGateway, envoyFilter("istio-system", selects("istio: ingress")+gateway),
		}, []string{"gateway in istio-system (istio=ingress)"}},
		{"a sidecar of a Service", []string{service, envoyFilter("shop", inbound)}, []string{"sidecar in shop (app=app)"}},
		{"labels beyond those of the Service", []string{
			service, envoyFilter("shop", selects("version: v2")+inbound),
		}, []string{"sidecar in shop (app=app,version=v2)"}},
		{"a workload without a Service", []string{service, envoyFilter("shop", selects("app: b")+inbound)}, []string{
			"sidecar in shop (app=b)",
		}},
		{"another namespace", []string{service, envoyFilter("web", inbound)}, []string{"sidecar in web (no labels)"}},
		{"the whole mesh", []string{service, envoyFilter("istio-system", inbound)}, []string{"sidecar in shop (app=app)"}},
		{"a missing gateway", []string{envoyFilter("web", selects("a: b")+gateway)}, []string{
			"gateway in web (a=b)",
		}},
		{"a waypoint", []string{waypoint, envoyFilter("shop", toWP+inbound)}, []string{
			"waypoint in shop (gateway.istio.io/managed=istio.io-mesh-controller,gateway.networking.k8s.io/gateway-name=wp)",
		}},
		{"a waypoint, and sidecars by labels", []string{waypoint, service, envoyFilter("shop", inbound)}, []string{
			"waypoint in shop (gateway.istio.io/managed=istio.io-mesh-controller,gateway.networking.k8s.io/gateway-name=wp)",
			"sidecar in shop (app=app)",
		}},
		{"a missing waypoint", []string{envoyFilter("web", toWP+inbound)}, []string{
			"waypoint in web (gateway.istio.io/managed=istio.io-mesh-controller,gateway.networking.k8s.io/gateway-name=wp)",
		}},
		{"all waypoints where there are none", []string{envoyFilter("istio-system", allWP+inbound)}, []string{
			"waypoint in istio-system (gateway.istio.io/managed=istio.io-mesh-controller,gateway.networking.k8s.io/gateway-name=waypoint)",
		}},
		{"by reference", []string{apiGateway, envoyFilter("web", toFront+gateway)}, []string{
			"gateway in web (gateway.networking.k8s.io/gateway-name=front)",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var objects []Object
			for _, text := range c.objects {
				objects = append(objects, object(t, text))
			}
			var got, ids []string
			for _, p := range Proxies(objects, "istio-system") {
				got, ids = append(got, p.String()), append(ids, p.IP)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Proxies (-want +got):\n%s", diff)
			}
			slices.Sort(ids)
			if len(slices.Compact(ids)) != len(got) {
				t.Errorf("%s: got addresses %s, want them distinct", c.name, ids)
			}
		})
	}
}

func TestWhatIstioMakes(t *testing.T) {
	objects := []Object{object(t, istioGateway), object(t, apiGateway)}
	made := gatewayServices(objects)
	if len(made) != 1 || made[0].String() != "Service web/front-istio" || len(list(dig(made[0], "spec", "ports"))) != 2 {
		t.Errorf("gatewayServices: got %v, want Service web/front-istio with two ports", made)
	}
	if again := gatewayServices(append(objects, made...)); len(again) > 0 {
		t.Errorf("gatewayServices with the Service among the objects: got %v, want none", again)
	}
	proxies := Proxies(objects, "istio-system")
	if got := proxies[1].token(); got != "web:front-istio" {
		t.Errorf("the gateway's token: got %s, want web:front-istio", got)
	}
	want := []secretRef{{"shop", "cert"}, {"web", "a"}, {"certs", "b"}}
	if diff := cmp.Diff(want, secretRefs(objects, proxies), cmp.AllowUnexported(secretRef{})); diff != "" {
		t.Errorf("secretRefs (-want +got):\n%s", diff)
	}
	a, err := NewAgent()
	if err != nil {
		t.Fatalf("NewAgent: %v", err)
	}
	defer a.Close()
	objects = append(objects, a.Secret("web", "a"))
	if got := secretRefs(objects, proxies); slices.Contains(got, want[1]) {
		t.Errorf("secretRefs with %v among the objects: got %v, want it left out", want[1], got)
	}
}
