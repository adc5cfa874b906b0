package istio

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"mosn.io/moe/pkg/istio/v1alpha1"
)

// The ConfigMap of a waypoint holds the patch of a gateway, under the key that Istio merges into the Deployment.
func TestWaypointImage(t *testing.T) {
	i := Image{LibraryImage: "moe:1", Secrets: []v1alpha1.SecretMount{{Name: "cart-token"}}}
	patch, err := i.Gateway()
	if err != nil {
		t.Fatalf("Gateway: %v", err)
	}
	text, err := i.Waypoint("books")
	if err != nil {
		t.Fatalf("Waypoint: %v", err)
	}
	var got map[string]any
	if err := yaml.UnmarshalStrict(text, &got); err != nil {
		t.Fatalf("the ConfigMap is not YAML: %v\n%s", err, text)
	}
	want := map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "moe-waypoint", "namespace": "books"},
		"data": map[string]any{"deployment": string(patch)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the ConfigMap (-want +got):\n%s", diff)
	}
}
