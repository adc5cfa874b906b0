package render

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/plantest"
)

const (
	onGateway = "targetRefs: [{group: networking.istio.io, kind: Gateway, name: public}]"
	onShop    = "targetRefs: [{kind: VirtualService, name: shop}]"
)

func filters(t *testing.T, text string) ([]*clientv1alpha3.EnvoyFilter, error) {
	t.Helper()
	var p manifest.Problems
	all := EnvoyFilters(plantest.Must(t, text), plantest.Root, &p)
	return all, p.Err()
}

// patches lists what an EnvoyFilter does: to what, in which context, and how.
func patches(ef *clientv1alpha3.EnvoyFilter) (all []string) {
	for _, p := range ef.Spec.ConfigPatches {
		all = append(all, strings.Join([]string{p.ApplyTo.String(), p.Match.Context.String(), p.Patch.Operation.String()}, " "))
	}
	return all
}

func TestPatches(t *testing.T) {
	byDiscovery := []string{"EXTENSION_CONFIG GATEWAY ADD", "HTTP_FILTER GATEWAY INSERT_BEFORE"}
	for name, c := range map[string]struct {
		policy string
		want   map[string][]string // by what an EnvoyFilter's name begins with
	}{
		"a gateway": {
			policy: plantest.Policy("a", "{"+onGateway+", plugins: [{name: stamp}]}"),
			want:   map[string][]string{"moe-ingressgateway-": byDiscovery},
		},
		"a gateway, inline": {
			policy: plantest.Policy("a", "{"+onGateway+", delivery: inline, plugins: [{name: stamp}]}"),
			want:   map[string][]string{"moe-ingressgateway-": {"HTTP_FILTER GATEWAY INSERT_BEFORE"}},
		},
		"a virtual host": {
			policy: plantest.Policy("a", "{"+onShop+", plugins: [{name: stamp}]}"),
			want: map[string][]string{
				"moe-ingressgateway-": byDiscovery, "moe-virtualservice-shop-shop-": {"VIRTUAL_HOST GATEWAY MERGE"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := filters(t, plantest.Shop+c.policy)
			if err != nil {
				t.Fatalf("EnvoyFilters: %v", err)
			}
			got := map[string][]string{}
			for _, ef := range all {
				got[ef.Name[:strings.LastIndex(ef.Name, "-")+1]] = patches(ef)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the patches (-want +got):\n%s", diff)
			}
		})
	}
}

// Labels and annotations are what `kubectl apply --prune` and people find the objects by.
func TestMetadata(t *testing.T) {
	all, err := filters(t, plantest.Shop+plantest.Policy("b", "{"+onGateway+", plugins: [{name: stamp}]}")+
		plantest.Policy("a", "{"+onGateway+", plugins: [{name: stamp}]}"))
	if err != nil || len(all) != 1 {
		t.Fatalf("EnvoyFilters: got %d and error %v, want one", len(all), err)
	}
	if diff := cmp.Diff(map[string]string{ManagedByLabel: ManagedBy}, all[0].Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{PoliciesAnnotation: "shop/a, shop/b"}, all[0].Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

// The same objects in another order make the same texts.
func TestOrderOfTheInput(t *testing.T) {
	a := plantest.Policy("a", "{"+onGateway+", plugins: [{name: stamp}]}")
	b := plantest.Policy("b", "{"+onShop+", plugins: [{name: stamp, config: {value: x}}]}")
	one, err := filters(t, plantest.Shop+a+b)
	if err != nil {
		t.Fatalf("EnvoyFilters: %v", err)
	}
	other, err := filters(t, plantest.Shop+b+a)
	if err != nil {
		t.Fatalf("EnvoyFilters: %v", err)
	}
	text1, err := YAML(one)
	if err != nil {
		t.Fatalf("YAML: %v", err)
	}
	text2, err := YAML(other)
	if err != nil {
		t.Fatalf("YAML: %v", err)
	}
	if diff := cmp.Diff(string(text1), string(text2)); diff != "" {
		t.Errorf("the texts of the objects in two orders (-first +second):\n%s", diff)
	}
	if n := strings.Count(string(text1), "\n---\n"); n != len(one)-1 {
		t.Errorf("got %d separators between %d objects, want one fewer than objects", n, len(one))
	}
}

func TestJSON(t *testing.T) {
	all, err := filters(t, plantest.Shop+plantest.Policy("a", "{"+onGateway+", plugins: [{name: stamp}]}"))
	if err != nil {
		t.Fatalf("EnvoyFilters: %v", err)
	}
	text, err := JSON(all[0])
	if err != nil {
		t.Fatalf("JSON: %v", err)
	}
	var got struct {
		APIVersion, Kind string
		Metadata         map[string]any
		Status           any
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("json.Unmarshal: %v", err)
	}
	if got.Kind != "EnvoyFilter" || got.APIVersion == "" || got.Status != nil || got.Metadata["creationTimestamp"] != nil {
		t.Errorf("got %+v, want an EnvoyFilter without what Kubernetes fills", got)
	}
}

// An object that etcd would refuse is an error of the policy that it comes from.
func TestTooLarge(t *testing.T) {
	_, err := filters(t, plantest.Shop+plantest.Policy("a",
		"{"+onGateway+", plugins: [{name: stamp, config: {value: "+strings.Repeat("x", MaxResource)+"}}]}"))
	if err == nil || !strings.Contains(err.Error(), "in.yaml:") {
		t.Errorf("got error %.200v, want one with the policy's place", err)
	}
}
