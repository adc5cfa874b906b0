package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const istioIn = "../../../pkg/istio/testdata/golden/gateway/in.yaml"

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	return string(text)
}

func TestIstioGenerate(t *testing.T) {
	want := read(t, filepath.Join(filepath.Dir(istioIn), "out.yaml"))
	status, stdout, stderr := moe(t, "istio", "generate", "-f", istioIn)
	if status != 0 || stderr != "" || stdout != want {
		t.Errorf("generate: got status %d, %q and the following; want 0 and out.yaml:\n%s", status, stderr, stdout)
	}
	file := filepath.Join(t.TempDir(), "out.yaml")
	if status, stdout, stderr := moe(t, "istio", "generate", "-f", istioIn, "-o", file); status != 0 || stdout != "" {
		t.Errorf("generate -o: got status %d, %s%s; want 0 and no output", status, stdout, stderr)
	}
	if read(t, file) != want {
		t.Error("the file that generate -o wrote differs from out.yaml")
	}
	// An invalid policy leaves the existing file unchanged.
	bad := write(t, strings.Replace(read(t, istioIn), "name: tokenauth", "name: tokenaut", 1))
	status, stdout, stderr = moe(t, "istio", "generate", "-f", bad, "-o", file)
	if status != 1 || stdout != "" || !strings.HasPrefix(stderr, "moe: "+bad+":70:5: spec.plugins[0].name: unknown plugin") {
		t.Errorf("generate -o of an invalid policy: got status %d, %s%s; want 1 and the plugin's place", status, stdout, stderr)
	}
	if read(t, file) != want {
		t.Error("generate changed the file despite an invalid policy")
	}
	if status, stdout, _ := moe(t, "istio", "generate", "-f", bad); status != 1 || stdout != "" {
		t.Errorf("generate of an invalid policy: got status %d and %q, want 1 and no output", status, stdout)
	}
}

func TestIstioValidate(t *testing.T) {
	if status, stdout, stderr := moe(t, "istio", "validate", "-f", istioIn); status != 0 ||
		stdout != "valid: policies: 4, EnvoyFilters generated: 3, others: 0\n" || stderr != "" {
		t.Errorf("validate: got status %d, %s%s; want 0 and the counts", status, stdout, stderr)
	}
	theirs := write(t, `apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: theirs, namespace: shop}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: GATEWAY}
    patch:
      operation: INSERT_BEFORE
      value:
        name: lua
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
          default_source_cod: {inline_string: x}
`)
	status, stdout, stderr := moe(t, "istio", "validate", "-f", theirs)
	if status != 1 || stdout != "" || !strings.Contains(stderr, theirs+":14:11: spec.configPatches[0].patch.value.typed_config."+
		`default_source_cod: unknown field; did you mean "default_source_code"?`) {
		t.Errorf("validate of an EnvoyFilter: got status %d, %s%s; want 1 and the field's place", status, stdout, stderr)
	}
	// Mistakes in policies and in EnvoyFilters are reported together.
	bad := write(t, strings.Replace(read(t, istioIn), "name: tokenauth", "name: tokenaut", 1))
	if status, _, stderr := moe(t, "istio", "validate", "-f", theirs, "-f", bad); status != 1 ||
		!strings.Contains(stderr, "unknown plugin") || !strings.Contains(stderr, "unknown field") {
		t.Errorf("validate of both: got status %d and %q, want 1, unknown plugin and unknown field", status, stderr)
	}
}

func TestIstioExplain(t *testing.T) {
	status, stdout, _ := moe(t, "istio", "explain", "-f", istioIn, "checkout")
	if status != 0 || !strings.Contains(stdout, "tokenauth  authn      shop/checkout ("+istioIn+":70)") ||
		strings.Contains(stdout, "partners") {
		t.Errorf("explain checkout: got status %d and %q, want 0 and tokenauth with its place, without partners", status, stdout)
	}
	if status, _, stderr := moe(t, "istio", "explain", "-f", istioIn, "chekout"); status != 1 || !strings.Contains(stderr, "no host") {
		t.Errorf("explain chekout: got status %d and %q, want 1 and no host", status, stderr)
	}
}

func TestIstioDiff(t *testing.T) {
	out := filepath.Join(filepath.Dir(istioIn), "out.yaml")
	if status, stdout, stderr := moe(t, "istio", "diff", "-f", istioIn, "--applied", out); status != 0 || stdout+stderr != "" {
		t.Errorf("diff of what is applied: got status %d, %s%s; want 0 and no output", status, stdout, stderr)
	}
	// One EnvoyFilter has changed, one is missing and one is new. Fields that Kubernetes adds and others' resources do not
	// count.
	docs := strings.Split(read(t, out), "---\n")
	docs[1] = strings.Replace(docs[1], "value: gateway", "value: changed", 1)
	docs[1] = strings.Replace(docs[1], "metadata:\n", "metadata:\n  uid: 1234\n  resourceVersion: '5'\n", 1)
	docs[2] = strings.Replace(docs[2], "name: moe-", "name: moe-old-", 1)
	others := "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: x, namespace: y}\nspec: {}\n"
	applied := write(t, strings.Join(append(docs, others), "---\n"))
	status, stdout, stderr := moe(t, "istio", "diff", "-f", istioIn, "--applied", applied)
	for _, want := range []string{
		" is changed\n", " is added\n", " is removed\n",
		"-                  value: changed\n+                  value: gateway\n",
	} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(stdout, want) {
				t.Errorf("the differences lack %q:\n%s", want, stdout)
			}
		})
	}
	if status != 1 || stderr != "moe: EnvoyFilters that differ: 3\n" || strings.Contains(stdout, "uid") {
		t.Errorf("diff: got status %d, %q and the following; want 1, three that differ, and no uid:\n%s", status, stderr, stdout)
	}
	if status, _, stderr := moe(t, "istio", "diff", "-f", "-", "--applied", "-"); status != 1 || !strings.Contains(stderr, "not both") {
		t.Errorf("diff of - and -: got status %d and %q, want 1 and not both", status, stderr)
	}
}

func TestIstioImage(t *testing.T) {
	workload := "../../../pkg/istio/testdata/golden/workload/in.yaml"
	for _, c := range []struct{ args, want string }{
		{"proxy --proxy istio/proxyv2:1.30.1", "FROM istio/proxyv2:1.30.1\nCOPY --chmod=0555 libmoe.so /var/lib/moe/libmoe.so\n"},
		{"library", "COPY --chmod=0555 libmoe.so /libmoe.so\n"},
		{"sidecar -f " + workload, `"moe-secret-cart-token":{"secret":{"secretName":"cart-token"}}`},
		{"sidecar", "sidecar.istio.io/nativeSidecar: \"false\"\n"},
		{"gateway --dir /opt/moe -f " + workload, "mountPath: /etc/moe/secrets/cart-token\n"},
		{"gateway --library example.com/moe:1", "image: example.com/moe:1\n"},
		{"waypoint --namespace books", "kind: ConfigMap\nmetadata:\n  name: moe-waypoint\n  namespace: books\n"},
		{"waypoint -f " + workload, "secretName: cart-token\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			status, stdout, stderr := moe(t, append([]string{"istio", "image"}, strings.Fields(c.args)...)...)
			if status != 0 || !strings.Contains(stdout, c.want) {
				t.Errorf("image %s: got status %d, %s%s; want 0 and %q", c.args, status, stdout, stderr, c.want)
			}
		})
	}
	if status, _, _ := moe(t, "istio", "image", "nothing"); status != 2 {
		t.Errorf("image of an unknown kind: got status %d, want 2", status)
	}
	if status, _, stderr := moe(t, "istio", "image", "gateway", "--namespace", "a"); status != 1 || !strings.Contains(stderr, "--namespace") {
		t.Errorf("image gateway with a namespace: got status %d and %q, want 1 and an error about --namespace", status, stderr)
	}
	status, stdout, _ := moe(t, "istio", "crd")
	if status != 0 || stdout != read(t, "../../../pkg/istio/v1alpha1/crd.yaml") {
		t.Errorf("crd: got status %d and the following, want 0 and crd.yaml:\n%s", status, stdout)
	}
}
