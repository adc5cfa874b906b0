package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/proxyset"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// text is a FilterPolicy; metadata and spec are in YAML's flow style.
func text(metadata, spec string) string {
	return fmt.Sprintf("apiVersion: moe.mosn.io/v1alpha1\nkind: FilterPolicy\nmetadata: %s\nspec: %s\n", metadata, spec)
}

// parse reads the policies of texts.
func parse(t *testing.T, texts ...string) ([]*Policy, error) {
	t.Helper()
	in := input(t, texts...)
	var p manifest.Problems
	return ReadAll(in, "default", &p), p.Err()
}

func input(t *testing.T, texts ...string) *manifest.Input {
	t.Helper()
	in, err := manifest.Parse("in.yaml", []byte(strings.Join(texts, "---\n")))
	if err != nil {
		t.Fatalf("manifest.Parse: %v", err)
	}
	return in
}

func TestRead(t *testing.T) {
	all, err := parse(t, text("{name: a}", `{traffic: [inbound, outbound], genericSecrets: [{name: key}],
  secretMounts: [{name: tokens}, {name: other, mountPath: /run/other}],
  plugins: [{name: p, config: {list: [{secretKeyRef: {name: tokens, key: k}}], map: {x: {secretKeyRef: {name: other, key: k}}}}}],
  routes: [{name: r, plugins: [{id: p, disabled: true}]}]}`))
	if err != nil || len(all) != 1 {
		t.Fatalf("got %d policies and error %v, want one", len(all), err)
	}
	pol := all[0]
	if got := pol.String(); got != "default/a" {
		t.Errorf("the name: got %s, want that of the namespace that is given for those without", got)
	}
	if diff := cmp.Diff([]proxyset.Traffic{proxyset.Inbound, proxyset.Outbound}, pol.Traffic); diff != "" {
		t.Errorf("traffic (-want +got):\n%s", diff)
	}
	want := map[string]any{
		document.GenericSecretsField: []any{map[string]any{"name": "key"}},
		"plugins": []any{map[string]any{"name": "p", "config": map[string]any{
			"list": []any{map[string]any{"file": "/etc/moe/secrets/tokens/k"}},
			"map":  map[string]any{"x": map[string]any{"file": "/run/other/k"}},
		}}},
	}
	if diff := cmp.Diff(want, pol.Doc.Data()); diff != "" {
		t.Errorf("the document (-want +got):\n%s", diff)
	}
	var p manifest.Problems
	off := pol.Document("spec.routes[0]", &p)
	if diff := cmp.Diff(map[string]any{"plugins": []any{map[string]any{"id": "p", "disabled": true}}}, off.Data()); diff != "" {
		t.Errorf("the route's document (-want +got):\n%s", diff)
	}
	if got := pol.Document("spec.routes[1]", &p); got != nil || p.Len() > 0 {
		t.Errorf("a document where nothing is said: got %v and %v, want nil", got, p.Err())
	}
}

// TestReadErrors wants the field named for what needs no other object to be wrong.
func TestReadErrors(t *testing.T) {
	for name, c := range map[string]struct{ spec, want string }{
		"an unknown field":        {"{plugin: []}", `spec.plugin: unknown field; did you mean "plugins"?`},
		"selector and target":     {"{selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: s}]}", "spec.targetRefs: a policy has a selector or targetRefs"},
		"no targets":              {"{targetRefs: []}", "spec.targetRefs: the list is empty"},
		"duplicate target":        {"{targetRefs: [{kind: Service, name: s}, {kind: Service, name: s}]}", "spec.targetRefs[1]: duplicate target"},
		"a Gateway's group":       {"{targetRefs: [{kind: Gateway, name: g}]}", "spec.targetRefs[0].group: expected gateway.networking.k8s.io or networking.istio.io"},
		"a Service's group":       {"{targetRefs: [{kind: Service, name: g, group: networking.istio.io}]}", "spec.targetRefs[0].group: expected"},
		"two hosts in one":        {"{hosts: [{golang: {}, dynamicModules: {}}]}", "spec.hosts[0]: give exactly one"},
		"hosts without versions":  {"{hosts: [{golang: {}}, {dynamicModules: {}}]}", "spec.hosts[0].proxyVersion: is required"},
		"a malformed version":     {"{hosts: [{golang: {}, proxyVersion: '('}]}", "spec.hosts[0].proxyVersion: error parsing regexp"},
		"a relative library":      {"{hosts: [{dynamicModules: {libraryPath: x.so}}]}", "spec.hosts[0].dynamicModules.libraryPath: expected an absolute path"},
		"a key without a cert":    {"{hosts: [{extProc: {address: 'a:1', tls: {caFile: /a, keyFile: /k}}}]}", "spec.hosts[0].extProc.tls: certFile and keyFile belong together"},
		"two places":              {"{insert: {position: first, after: x}}", "spec.insert: give one of position"},
		"behind the router":       {"{insert: {after: envoy.filters.http.router}}", "spec.insert.after: nothing runs behind the router"},
		"before itself":           {"{insert: {before: moe.inbound}}", "spec.insert.before: moe.inbound is the chain itself"},
		"a relative mount":        {"{secretMounts: [{name: s, mountPath: a}]}", "spec.secretMounts[0].mountPath: expected an absolute path"},
		"a Secret not mounted":    {"{plugins: [{name: p, config: {a: {secretKeyRef: {name: s, key: k}}}}]}", "spec.plugins[0].config.a.secretKeyRef.name: spec.secretMounts has no Secret"},
		"a key that is a path":    {"{plugins: [{name: p, config: {a: {secretKeyRef: {name: s, key: a/b}}}}]}", "spec.plugins[0].config.a.secretKeyRef.key: expected a key of a Secret"},
		"a reference without key": {"{plugins: [{name: p, config: {a: {secretKeyRef: {name: s}}}}]}", "spec.plugins[0].config.a.secretKeyRef.key: is required"},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := parse(t, text("{name: a}", c.spec))
			if len(all) > 0 || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %d policies and error %v, want none and %q", len(all), err, c.want)
			}
		})
	}
	t.Run("another version", func(t *testing.T) {
		_, err := parse(t, strings.Replace(text("{name: a}", "{}"), "v1alpha1", "v1", 1))
		if want := "apiVersion: expected moe.mosn.io/v1alpha1 for a FilterPolicy"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	})
	t.Run("an invalid name", func(t *testing.T) {
		_, err := parse(t, text("{name: A}", "{}"))
		if want := "metadata.name: expected"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	})
	t.Run("what Kubernetes adds", func(t *testing.T) {
		all, err := parse(t, text("{name: a, uid: x, managedFields: []}", "{}")+"status: {seen: true}\n")
		if len(all) != 1 || err != nil {
			t.Errorf("got %d policies and error %v, want one", len(all), err)
		}
	})
}

func TestCompare(t *testing.T) {
	all, err := parse(t,
		text("{name: timeless, namespace: a}", "{}"),
		text("{name: young, namespace: a, creationTimestamp: 2026-02-01T00:00:00Z}", "{}"),
		text("{name: old, namespace: b, creationTimestamp: 2026-01-01T00:00:00Z}", "{}"),
		text("{name: z, namespace: a, creationTimestamp: 2026-01-01T00:00:00Z}", "{}"),
		text("{name: x, namespace: a, creationTimestamp: 2026-01-01T00:00:00Z}", "{}"),
	)
	if err != nil {
		t.Fatalf("ReadAll: %v", err)
	}
	var got []string
	for _, pol := range all {
		got = append(got, pol.String())
	}
	if diff := cmp.Diff([]string{"a/x", "a/z", "b/old", "a/young", "a/timeless"}, got); diff != "" {
		t.Errorf("the order (-want +got):\n%s", diff)
	}
}

func TestMounts(t *testing.T) {
	same := text("{name: a}", "{secretMounts: [{name: s}, {name: t, mountPath: /t}]}")
	want := []v1alpha1.SecretMount{{Name: "s", MountPath: "/etc/moe/secrets/s"}, {Name: "t", MountPath: "/t"}}
	for name, c := range map[string]struct {
		other, err string
		want       []v1alpha1.SecretMount // of Mounts
	}{
		"the same Secret":            {other: "{secretMounts: [{name: s, mountPath: /etc/moe/secrets/s}]}", want: want},
		"one Secret at two paths":    {other: "{secretMounts: [{name: s, mountPath: /s}]}", err: "mounts s at /etc/moe/secrets/s", want: append(slices.Clip(want), v1alpha1.SecretMount{Name: "s", MountPath: "/s"})},
		"two Secrets at one path":    {other: "{secretMounts: [{name: u, mountPath: /t}]}", err: "mounts t at /t", want: want},
		"a policy with other faults": {other: "{plugin: []}", err: "spec.plugin", want: want},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t, same, text("{name: b}", c.other))
			if diff := cmp.Diff(c.want, Mounts(in)); diff != "" {
				t.Errorf("Mounts (-want +got):\n%s", diff)
			}
			got, err := SecretMounts(in)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("SecretMounts: got error %v, want one with %q", err, c.err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("SecretMounts: error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestCapabilities(t *testing.T) {
	golang, extProc := v1alpha1.Host{Golang: &v1alpha1.Golang{}}, v1alpha1.Host{ExtProc: &v1alpha1.ExtProc{}}
	modules := v1alpha1.Host{DynamicModules: &v1alpha1.DynamicModules{}}
	for name, c := range map[string]struct {
		hosts []v1alpha1.Host
		want  filter.Capability
	}{
		"dynamic modules": {[]v1alpha1.Host{modules}, host.Dynmod},
		"golang":          {[]v1alpha1.Host{golang}, host.Golang},
		"extProc":         {[]v1alpha1.Host{extProc}, host.ExtProc},
		"all of several":  {[]v1alpha1.Host{modules, golang, extProc}, host.Dynmod & host.Golang & host.ExtProc},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Capabilities(c.hosts); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestFieldOf(t *testing.T) {
	for path, want := range map[string]string{
		"plugins[0].config.rate": "plugins[0].config.rate", "generic_secrets[1].name": "genericSecrets[1].name",
	} {
		t.Run(path, func(t *testing.T) {
			if got := FieldOf(path); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}
