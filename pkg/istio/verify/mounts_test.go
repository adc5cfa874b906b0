package verify

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMounts(t *testing.T) {
	dir := t.TempDir()
	secret := object(t, `{apiVersion: v1, kind: Secret, metadata: {name: tokens, namespace: shop},
		data: {a: aGVsbG8=}, stringData: {b: there}}`)
	m, err := newMounts(dir, []Mount{{"tokens", "/etc/moe/secrets/tokens"}, {"absent", "/keys"}, {"other", "/keys"}}, []Object{secret})
	if err != nil {
		t.Fatalf("newMounts: %v", err)
	}
	patch := map[string]any{
		"decoded": "/etc/moe/secrets/tokens/a", "plain": []any{"/etc/moe/secrets/tokens/b"},
		"folder": "/etc/moe/secrets/tokens", "missing": "/keys/deep/key.pem",
		"beside": "/etc/moe/secrets/tokens2/a", "outside": "/keys/../etc/passwd", "text": "see /keys/a",
	}
	made, err := m.redirect(patch)
	if err != nil {
		t.Fatalf("redirect: %v", err)
	}
	if diff := cmp.Diff([]string{"/keys/deep/key.pem"}, made); diff != "" {
		t.Errorf("placeholders (-want +got):\n%s", diff)
	}
	plain, _ := patch["plain"].([]any)
	for name, c := range map[string]struct {
		path any
		want string
	}{
		"a key of data":          {patch["decoded"], "hello"},
		"a key of stringData":    {plain[0], "there"},
		"a key without a Secret": {patch["missing"], placeholder},
		"a key below the folder": {filepath.Join(text(patch["folder"]), "a"), "hello"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := os.ReadFile(text(c.path))
			if err != nil || string(got) != c.want {
				t.Errorf("%v: got %q, %v; want %q", c.path, got, err, c.want)
			}
			if rel, err := filepath.Rel(dir, text(c.path)); err != nil || !filepath.IsLocal(rel) {
				t.Errorf("got path %v, want one below %s", c.path, dir)
			}
		})
	}
	for _, field := range []string{"beside", "outside", "text"} {
		t.Run(field, func(t *testing.T) {
			if got, want := patch[field], map[string]string{
				"beside": "/etc/moe/secrets/tokens2/a", "outside": "/keys/../etc/passwd", "text": "see /keys/a",
			}[field]; got != want {
				t.Errorf("%s: got %v, want %s unchanged", field, got, want)
			}
		})
	}
}

// TestRepeated checks that a repeated object is harmless, and that two contradictory ones are a conflict.
func TestRepeated(t *testing.T) {
	generated := `labels: {app.kubernetes.io/managed-by: moe}, `
	filter := func(labels, spec string) Object {
		return object(t, "{apiVersion: networking.istio.io/v1alpha3, kind: EnvoyFilter, metadata: {"+labels+"name: x, namespace: shop}, spec: "+spec+"}")
	}
	for name, c := range map[string]struct {
		objects  []Object
		repeated bool
		conflict string
	}{
		"alike":            {[]Object{filter("", "{priority: 1}"), filter("", "{priority: 1}")}, true, ""},
		"alike, generated": {[]Object{filter(generated, "{priority: 1}"), filter(generated, "{priority: 1}")}, true, ""},
		"different": {
			[]Object{filter("", "{priority: 1}"), filter("", "{priority: 2}")},
			false,
			"another object of the same kind, namespace and name has a different spec; keep one",
		},
		"different, generated": {
			[]Object{filter(generated, "{priority: 1}"), filter(generated, "{priority: 2}")},
			false,
			"differs from what the policies generate; generate it again, or remove it from the input",
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := &verification{Options: Options{Objects: c.objects}, report: &Report{}}
			if known := v.sort(); len(known) != 1 {
				t.Errorf("objects for discovery: got %d, want 1", len(known))
			}
			second := v.report.Resources[1]
			if second.Repeated != c.repeated || second.Conflict != c.conflict {
				t.Errorf("got repeated %v, conflict %q; want %v, %q", second.Repeated, second.Conflict, c.repeated, c.conflict)
			}
			if got := len(v.report.Problems()); (got > 0) != (c.conflict != "") {
				t.Errorf("problems: got %q, want any: %v", v.report.Problems(), c.conflict != "")
			}
		})
	}
}
