package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// run runs the go command in dir without the network and without changes of go.mod, and returns its output.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	c := exec.Command("go", args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly", "GOPROXY=off")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// A new plugin's module requires what its imports link in: no host, no cgo of Envoy's, no policy engine, no Kubernetes.
func TestNewModule(t *testing.T) {
	root, err := Checkout("")
	if err != nil {
		t.Fatalf("Checkout: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "greet")
	if _, err := New(NewOptions{Name: "greet", Dir: dir, Checkout: root}); err != nil {
		t.Fatalf("New: %v", err)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	if n := strings.Count(string(mod), "\n"); n > 30 {
		t.Errorf("go.mod has %d lines, want at most 30:\n%s", n, mod)
	}
	deps := strings.Fields(run(t, dir, "list", "-deps", "-test", "./..."))
	for _, d := range deps {
		if d == "C" || strings.Contains(d, "envoyproxy") || strings.Contains(d, "grpc") || strings.Contains(d, "k8s.io") ||
			strings.HasPrefix(d, Module+"/framework/host/dynmod") || strings.HasPrefix(d, Module+"/framework/host/golang") {
			t.Errorf("the plugin's tests compile %s, want no host and nothing of Envoy's", d)
		}
	}
	if len(deps) > 320 {
		t.Errorf("the plugin's tests compile %d packages, want at most 320", len(deps))
	}
	if cgo := strings.TrimSpace(run(t, dir, "list", "-deps", "-test", "-f", "{{if and .CgoFiles (not .Standard)}}{{.ImportPath}}{{end}}",
		"./...")); cgo != "" {
		t.Errorf("the plugin's tests compile C of %s, want none", cgo)
	}
}

// A module that exists needs as little: `go mod tidy` writes the same requirements.
func TestExistingModule(t *testing.T) {
	root, err := Checkout("")
	if err != nil {
		t.Fatalf("Checkout: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "greet")
	if _, err := New(NewOptions{Name: "greet", Dir: dir, Checkout: root}); err != nil {
		t.Fatalf("New: %v", err)
	}
	made := run(t, dir, "mod", "edit", "-print")
	c := exec.Command("go", "mod", "tidy")
	c.Dir = dir
	c.Env = append(os.Environ(), "GOWORK=off")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go mod tidy: %v\n%s", err, out)
	}
	if diff := cmp.Diff(made, run(t, dir, "mod", "edit", "-print")); diff != "" {
		t.Errorf("go mod tidy changes the go.mod of a new module (-made +tidy):\n%s", diff)
	}
}

func TestPathTo(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatalf("filepath.EvalSymlinks: %v", err)
	}
	root := filepath.Join(dir, "src", "moe")
	write(t, filepath.Join(root, "go.mod"), "module mosn.io/moe\n")
	if err := os.Symlink(filepath.Join(dir, "src"), filepath.Join(dir, "link")); err != nil {
		t.Fatalf("os.Symlink: %v", err)
	}
	for _, c := range []struct{ name, dir, want string }{
		{name: "beside it", dir: filepath.Join(dir, "src", "greet"), want: "../moe"},
		{name: "further away", dir: filepath.Join(dir, "a", "b", "greet"), want: "../../../src/moe"},
		{name: "in it", dir: filepath.Join(root, "greet"), want: ".."},
		{name: "around it", dir: filepath.Join(dir, "src"), want: "./moe"},
		{name: "nothing in common", dir: "/elsewhere/greet", want: root},
		{name: "behind a link", dir: filepath.Join(dir, "link", "greet"), want: root},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := pathTo(root, c.dir); err != nil || got != c.want {
				t.Errorf("pathTo(%q, %q) = %q and error %v, want %q", root, c.dir, got, err, c.want)
			}
		})
	}
}
