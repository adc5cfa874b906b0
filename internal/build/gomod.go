package build

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// pluginImports is what a new plugin and its test import of MoE.
var pluginImports = []string{"./framework/filter", "./framework/filtertest"}

// pluginGoMod returns the go.mod and go.sum of a plugin's module in dir, which need not exist: as `go mod tidy` would write
// them, with what the plugin's imports need and nothing that only libmoe.so does.
func pluginGoMod(root, dir, module string) (mod, sum []byte, err error) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, nil, err
	}
	goLine := ""
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "go ") {
			goLine = strings.TrimSpace(line)
		}
	}
	needed, err := modulesOf(root, pluginImports)
	if err != nil {
		return nil, nil, err
	}
	replace, err := pathTo(root, dir)
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "module %s\n\n%s\n\nrequire %s %s\n\nrequire (\n", module, goLine, Module, unpublished)
	for _, m := range needed {
		fmt.Fprintf(&b, "\t%s // indirect\n", m)
	}
	fmt.Fprintf(&b, ")\n\n// The sources of MoE.\nreplace %s => %s\n", Module, quote(replace))
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.Lines(string(sums)) {
		path, rest, _ := strings.Cut(line, " ")
		version, _, _ := strings.Cut(rest, " ")
		if slices.Contains(needed, path+" "+strings.TrimSuffix(version, "/go.mod")) {
			sum = append(sum, line...)
		}
	}
	return b.Bytes(), sum, nil
}

// modulesOf returns the modules, as "PATH VERSION" in order, that packages of the checkout root link in.
func modulesOf(root string, packages []string) ([]string, error) {
	const format = "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}"
	c := exec.Command("go", append([]string{"list", "-deps", "-f", format}, packages...)...)
	c.Dir = root
	c.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	out, err := c.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
		}
		return nil, fmt.Errorf("what MoE's packages need: go list: %w", err)
	}
	needed := slices.DeleteFunc(strings.Split(string(out), "\n"), func(m string) bool { return m == "" })
	slices.Sort(needed)
	return slices.Compact(needed), nil
}

// pathTo returns how go.mod in dir names the folder root: by a relative path, which is the same on each machine that has both
// side by side, unless the two have nothing but the root of the file system in common, or a symbolic link between them.
func pathTo(root, dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	there := abs
	for filepath.Dir(there) != there { // the nearest folder that exists
		if _, err := os.Stat(there); err == nil {
			break
		}
		there = filepath.Dir(there)
	}
	for _, path := range []string{root, there} {
		if real, err := filepath.EvalSymlinks(path); err != nil || real != path {
			return root, err
		}
	}
	rel, err := filepath.Rel(abs, root)
	if err != nil {
		return root, nil
	}
	up := 0
	for range strings.SplitSeq(strings.Trim(abs, string(filepath.Separator)), string(filepath.Separator)) {
		up++
	}
	if strings.Count(filepath.ToSlash(rel)+"/", "../") >= up {
		return root, nil
	}
	if rel = filepath.ToSlash(rel); !strings.HasPrefix(rel, "../") && rel != ".." {
		rel = "./" + rel
	}
	return rel, nil
}
