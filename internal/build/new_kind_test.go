package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A new extension of each kind passes its own tests, and has nothing that is for plugins of HTTP.
func TestNewKinds(t *testing.T) {
	for _, kind := range Kinds[1:] {
		t.Run(kind, func(t *testing.T) { testNewKind(t, kind) })
	}
}

func testNewKind(t *testing.T, kind string) {
	root, err := Checkout("")
	if err != nil {
		t.Fatalf("Checkout: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "mine")
	if _, err := New(NewOptions{Kind: kind, Name: "mine", Dir: dir, Checkout: root}); err != nil {
		t.Fatalf("New: %v", err)
	}
	if out := run(t, dir, "test", "./..."); !strings.HasPrefix(out, "ok") {
		t.Errorf("go test says %q, want ok", out)
	}
	run(t, dir, "vet", "./...")
	makefile, err := os.ReadFile(filepath.Join(dir, "Makefile"))
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{"check", "\ncheck: build ## Check the source and moe.yaml\n\tgo vet ./...\n\tbuild/moe vet\n", true},
		{"schema", "schema", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.Contains(string(makefile), c.text) != c.want {
				t.Errorf("the Makefile has %q: want %v\n%s", c.text, c.want, makefile)
			}
		})
	}
}

func TestNewUnknownKind(t *testing.T) {
	if _, err := New(NewOptions{Kind: "tcp", Name: "lines"}); err == nil || !strings.Contains(err.Error(), "http, listener, network") {
		t.Errorf("New of an unknown kind: %v, want an error with those that there are", err)
	}
}
