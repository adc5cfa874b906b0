package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"mosn.io/moe/internal/doccomments"
)

// workspace is a Go module in a folder that uses MoE's sources and requires what they require.
type workspace struct {
	ctx  context.Context
	root string // of MoE
	dir  string
	log  io.Writer
}

// unpublished is the version of a module that is found in a folder.
const unpublished = "v0.0.0-00010101000000-000000000000"

// init writes go.mod and go.sum. What MoE requires is copied, with its sums, so that nothing is looked up for it.
func (w *workspace) init(module string) error {
	mod, sum, err := goMod(w.root, module)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(w.dir, "go.mod"), mod, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.dir, "go.sum"), sum, 0o644)
}

// goMod returns the go.mod and go.sum of a new module that uses the checkout root of MoE.
func goMod(root, module string) (mod, sum []byte, err error) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, nil, err
	}
	sum, err = os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "module %s\n", module)
	inBlock := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		switch word, _, _ := strings.Cut(line, " "); {
		case line == ")" && inBlock:
			inBlock = false
		case inBlock, word == "require" && !strings.HasSuffix(line, "("):
			// Indirect for this module; the go command removes the comment from modules that are used directly.
			if !strings.HasSuffix(line, "// indirect") && strings.TrimSpace(line) != "" {
				line += " // indirect"
			}
		case line == "require (":
			inBlock = true
		case word == "go":
			line = "\n" + line + "\n\nrequire " + Module + " " + unpublished + "\n"
		default: // the module's name, and what concerns only MoE itself
			continue
		}
		b.WriteString(line + "\n")
	}
	fmt.Fprintf(&b, "\n// The sources of MoE on this machine.\nreplace %s => %s\n", Module, quote(root))
	return b.Bytes(), sum, nil
}

// quote writes a path for go.mod.
func quote(path string) string {
	if strings.ContainsAny(path, " \t\"'`(){}[],;\\") {
		return fmt.Sprintf("%q", path)
	}
	return path
}

// add makes a module or a folder available and returns the package to import.
func (w *workspace) add(with string) (string, error) {
	if !isFolder(with) {
		pkg, version, _ := strings.Cut(with, "@")
		if pkg == "" || strings.HasPrefix(pkg, "-") {
			return "", errors.New("expected MODULE, MODULE@VERSION or a folder that begins with ./, ../ or /")
		}
		if version == "" {
			version = "latest"
		}
		return pkg, w.goCommand("get", pkg+"@"+version)
	}
	dir, err := filepath.Abs(with)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err != nil {
		return "", err
	}
	root := above(dir, func(d string) bool { return modulePath(d) != "" })
	if root == "" {
		return "", errors.New("neither the folder nor one above has a go.mod")
	}
	module := modulePath(root)
	rel, err := filepath.Rel(root, dir)
	if err != nil {
		return "", err
	}
	pkg := path.Join(module, filepath.ToSlash(rel))
	if module == Module {
		return pkg, nil
	}
	if err := w.requireFolder(module, root); err != nil {
		return "", err
	}
	return pkg, w.addSums(root)
}

// isFolder reports whether with names a folder, not a module: by how it is written, as for the go command, or because
// it has a go.mod.
func isFolder(with string) bool {
	if filepath.IsAbs(with) || with == "." || with == ".." || strings.HasPrefix(with, "./") ||
		strings.HasPrefix(with, "../") {
		return true
	}
	return modulePath(with) != ""
}

// requireFolder adds a module in a folder, and what that module itself replaces: the go command would not.
func (w *workspace) requireFolder(module, root string) error {
	out, err := w.output(root, "mod", "edit", "-json")
	if err != nil {
		return err
	}
	var file struct {
		Replace []struct {
			Old, New struct{ Path, Version string }
		}
	}
	if err := json.Unmarshal(out, &file); err != nil {
		return err
	}
	edits := []string{"mod", "edit", "-require=" + module + "@" + unpublished, "-replace=" + module + "=" + root}
	for _, r := range file.Replace {
		if r.Old.Path == Module {
			continue
		}
		by := r.New.Path
		if r.New.Version != "" {
			by += "@" + r.New.Version
		} else if !filepath.IsAbs(by) {
			by = filepath.Join(root, by)
		}
		old := r.Old.Path
		if r.Old.Version != "" {
			old += "@" + r.Old.Version
		}
		edits = append(edits, "-replace="+old+"="+by)
	}
	return w.goCommand(edits...)
}

// addSums appends the go.sum of root, if it has one.
func (w *workspace) addSums(root string) error {
	b, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	file := filepath.Join(w.dir, "go.sum")
	sum, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(sum, b...), 0o644)
}

// comments returns the doc comments of packages, as cli.Comments takes them; nil if there are no packages.
func (w *workspace) comments(packages []string) ([]byte, error) {
	if len(packages) == 0 {
		return nil, nil
	}
	out, err := w.output(w.dir, append([]string{"list", "-f", "{{.ImportPath}}\t{{.Dir}}"}, packages...)...)
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	all := map[string]doccomments.Package{}
	for line := range strings.Lines(string(out)) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if all[path], err = doccomments.Read(dir, path); err != nil {
			return nil, err
		}
	}
	return json.Marshal(all)
}

// compile builds package name from its main file, tries the result and puts it into place.
func (w *workspace) compile(target, name string, main []byte, try func(file string) error, flags ...string) error {
	target, err := filepath.Abs(target)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(w.dir, name), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(w.dir, name, "main.go"), main, 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	// Beside the target, for the last step to be a rename: a running Envoy keeps the file that it has.
	tmp, err := os.MkdirTemp(filepath.Dir(target), ".moe-build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, name)
	fmt.Fprintf(w.log, "building %s\n", target)
	args := append([]string{"build", "-ldflags=-X " + Module + "/internal/build.Version=" + Version}, flags...)
	if err := w.goCommand(append(args, "-o", out, "./"+name)...); err != nil {
		return err
	}
	if err := try(out); err != nil {
		return fmt.Errorf("%s is not written: %w", target, err)
	}
	return os.Rename(out, target)
}

func (w *workspace) goCommand(args ...string) error {
	c := w.command(w.dir, args...)
	var said bytes.Buffer
	both := io.MultiWriter(w.log, &said)
	c.Stdout, c.Stderr = both, both // one writer, so that it is written to by one goroutine
	if err := c.Run(); err != nil {
		if w.log == io.Discard {
			return fmt.Errorf("go %s: %w\n%s", args[0], err, bytes.TrimSpace(said.Bytes()))
		}
		return fmt.Errorf("go %s: %w", args[0], err)
	}
	return nil
}

func (w *workspace) output(dir string, args ...string) ([]byte, error) {
	c := w.command(dir, args...)
	c.Stderr = w.log
	return c.Output()
}

// command runs the user's go command without what would bring in its surroundings: a go.work file, and read-only or
// vendored modules.
func (w *workspace) command(dir string, args ...string) *exec.Cmd {
	c := exec.CommandContext(w.ctx, "go", args...)
	c.Dir = dir
	flags := []string{}
	for f := range strings.FieldsSeq(os.Getenv("GOFLAGS")) {
		if !strings.HasPrefix(f, "-mod=") && !strings.HasPrefix(f, "--mod=") {
			flags = append(flags, f)
		}
	}
	c.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=1", "GOFLAGS="+strings.Join(append(flags, "-mod=mod"), " "))
	return c
}

// InitModule writes a go.mod and go.sum into dir, for a module that uses the checkout root of MoE.
func InitModule(root, dir, path string) error {
	return (&workspace{root: root, dir: dir}).init(path)
}
