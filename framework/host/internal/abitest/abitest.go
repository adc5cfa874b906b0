// Package abitest holds the C headers of hosts against Envoy's own, in tests.
package abitest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Dir returns the folder of a Go package, which the module cache has.
func Dir(t *testing.T, pkg string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", pkg).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", pkg, err)
	}
	return strings.TrimSpace(string(out))
}

// Read returns a file's text.
func Read(t *testing.T, path string) string {
	t.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("reading a header: %v", err)
	}
	return string(p)
}

// Compile has the C compiler check a source, which may include headers of the present folder. It returns what the compiler
// says, and an error where it refuses the source.
func Compile(t *testing.T, source string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "check.c")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatalf("writing the source: %v", err)
	}
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatalf("finding the present folder: %v", err)
	}
	out, err := exec.Command(cc, "-std=gnu11", "-fsyntax-only", "-Wall", "-Werror", "-I", here, file).CombinedOutput()
	return string(out), err
}
