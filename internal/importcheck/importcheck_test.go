package importcheck

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "mosn.io/moe"

// listed is what `go list -json` says of a package.
type listed struct {
	ImportPath string
	Imports    []string
	CgoFiles   []string
	Deps       []string
	Standard   bool
	Module     *struct{ Path string }
}

// load returns the packages of the module and everything they link in, by import path, as a build with cgo sees them.
func load(t *testing.T) map[string]*listed {
	t.Helper()
	readAll(t)
	c := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,CgoFiles,Deps,Standard,Module", module+"/...")
	c.Env, c.Stderr = append(os.Environ(), "CGO_ENABLED=1"), os.Stderr
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatalf("start go list: %v", err)
	}
	packages := map[string]*listed{}
	for d := json.NewDecoder(out); ; {
		p := &listed{}
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("read what go list prints: %v", err)
		}
		packages[p.ImportPath] = p
	}
	if err := c.Wait(); err != nil {
		t.Fatalf("go list: %v", err)
	}
	return packages
}

// readAll reads the module's Go files, so that go test does not take a result from its cache that go list would change.
func readAll(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "../..":
			return filepath.SkipDir
		case filepath.Ext(path) == ".go":
			_, err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatalf("read the module: %v", err)
	}
}

// within returns the path of a package in the module; ok is false for other modules' packages.
func within(importPath string) (path string, ok bool) {
	return strings.CutPrefix(importPath, module+"/")
}

// TestImports holds every import between two packages of the module against the map.
func TestImports(t *testing.T) {
	packages := load(t)
	seen := map[string]bool{}
	checked := 0
	for _, p := range packages {
		from, ok := within(p.ImportPath)
		if !ok {
			continue
		}
		a := areaOf(from)
		if a == nil {
			t.Errorf("%s is not on the map: add its folder to areas in map.go", from)
			continue
		}
		seen[a.folder] = true
		for _, imported := range p.Imports {
			to, ok := within(imported)
			if !ok {
				continue
			}
			checked++
			b := areaOf(to)
			if b != nil && !a.allowed(b) {
				t.Errorf("%s imports %s: packages of %s may import only [%s]", from, to, a.folder, a.uses)
			}
		}
	}
	if checked < 100 {
		t.Errorf("checked %d imports, want at least 100: is the whole module loaded?", checked)
	}
	for _, a := range areas {
		if !seen[a.folder] {
			t.Errorf("%s is on the map and has no package: delete it from map.go", a.folder)
		}
	}
}

// TestLight checks what the light areas link in, directly or not.
func TestLight(t *testing.T) {
	packages := load(t)
	checked := 0
	for _, p := range packages {
		from, ok := within(p.ImportPath)
		if !ok {
			continue
		}
		if a := areaOf(from); a == nil || !a.light {
			continue
		}
		checked++
		for _, path := range append([]string{p.ImportPath}, p.Deps...) {
			dep := packages[path]
			if dep == nil || dep.Standard { // "C" and "unsafe" are in no list
				continue
			}
			if len(dep.CgoFiles) > 0 {
				t.Errorf("%s links in %s, which needs cgo", from, path)
			}
			if dep.Module != nil && dep.Module.Path != module && !isLight(dep.Module.Path) {
				t.Errorf("%s links in %s: only the standard library and %v are light", from, path, lightModules)
			}
		}
	}
	if checked < 2 {
		t.Errorf("checked %d packages, want at least filter and nethttp", checked)
	}
}

func isLight(path string) bool {
	return slices.ContainsFunc(lightModules, func(m string) bool {
		return path == m || strings.HasPrefix(path, m+"/")
	})
}

// TestMap checks the map itself: it has no circles, and names nothing that it does not have.
func TestMap(t *testing.T) {
	before := map[string]bool{}
	for _, a := range areas {
		if before[a.folder] {
			t.Errorf("duplicate area %q", a.folder)
		}
		for _, u := range strings.Fields(a.uses) {
			if !before[u] {
				t.Errorf("%s uses %s, which is not listed before it", a.folder, u)
			}
		}
		before[a.folder] = true
	}
}

// TestAllowed shows that the map forbids what it is there to forbid.
func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{from: "plugins/keyauth", to: "framework/filter", want: true},
		{from: "plugins/keyauth", to: "plugins/internal/authn", want: true},
		{from: "plugins/keyauth", to: "framework/chain", want: false},
		{from: "plugins/keyauth", to: "framework/internal/core", want: false},
		{from: "plugins/keyauth", to: "framework/host/dynmod", want: false},
		{from: "plugins/internal/authn", to: "plugins", want: false},
		{from: "framework/filter", to: "framework/chain", want: false},
		{from: "framework/filter", to: "framework/assembly", want: false},
		{from: "framework/chain", to: "framework/assembly", want: false},
		{from: "framework/config", to: "framework/filter", want: false},
		{from: "framework/assembly", to: "pkg/consumer", want: false},
		{from: "framework/host", to: "framework/host/extproc", want: false},
		{from: "framework/host/extproc", to: "framework/host", want: true},
		{from: "pkg/istio/verify", to: "framework/host/extproc", want: false},
		{from: "internal/moefile", to: "plugins", want: false},
		{from: "cmd/libmoe", to: "plugins", want: true},
	} {
		t.Run(c.from+" imports "+c.to, func(t *testing.T) {
			if got := areaOf(c.from).allowed(areaOf(c.to)); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
