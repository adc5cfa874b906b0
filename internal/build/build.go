package build

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mosn.io/moe/internal/tempdir"
)

// Options say what to build. At least one of Module and CLI must be given.
type Options struct {
	Checkout string    // of MoE; "" means what Checkout("") finds
	With     []string  // plugins of others: MODULE[@VERSION] (or a package in it), or a folder
	Only     []string  // the names of MoE's own plugins to compile in; nil means all, empty none
	Without  []string  // the names of those to leave out
	Module   string    // file to write the shared library to
	CLI      string    // file to write a moe command with the same plugins to
	Log      io.Writer // what is done, and what the go command says; nil drops it
}

// Build compiles a libmoe.so, a moe command or both, and tries them: what cannot come up, because some package panics
// while it is initialised, is an error. Either file is complete or as it was before.
func Build(ctx context.Context, o Options) error {
	root, err := Checkout(o.Checkout)
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("the go command is needed to build: %w", err)
	}
	packages, err := ownPlugins(root, o.Only, o.Without)
	if err != nil {
		return err
	}
	temp, err := tempdir.New("moe-build-")
	if err != nil {
		return err
	}
	defer temp.Remove()
	w := &workspace{ctx: ctx, root: root, dir: temp.Path, log: cmp.Or[io.Writer](o.Log, io.Discard)}
	if err := w.init("moe.build/libmoe"); err != nil {
		return err
	}
	var theirs []string
	for _, with := range o.With {
		p, err := w.add(with)
		if err != nil {
			return fmt.Errorf("--with %s: %w", with, err)
		}
		packages, theirs = append(packages, p), append(theirs, p)
	}
	if len(packages) == 0 {
		return errors.New("nothing to compile in: no plugin of MoE's own, and none with --with")
	}
	if o.Module != "" {
		hosts, err := hostImports(root)
		if err != nil {
			return err
		}
		main := mainFile(slices.Concat(hosts, packages), "", nil)
		if err := w.compile(o.Module, "libmoe", main, w.tryLibrary, "-buildmode=c-shared", "-trimpath"); err != nil {
			return err
		}
	}
	if o.CLI != "" {
		comments, err := w.comments(theirs)
		if err != nil {
			return err
		}
		return w.compile(o.CLI, "moe", mainFile(packages, Module+"/cmd/moe/cli", comments), w.tryCommand)
	}
	return nil
}

// ownPlugins returns the packages of MoE's plugins: those in only, or all if it is nil, except those in without.
func ownPlugins(root string, only, without []string) ([]string, error) {
	if only == nil && len(without) == 0 {
		return []string{Module + "/plugins"}, nil
	}
	all, err := imports(filepath.Join(root, "plugins", "plugins.go"))
	if err != nil {
		return nil, err
	}
	packages := []string{}
	if only == nil {
		packages = append(packages, all...)
	}
	for _, name := range only {
		p, err := ownPlugin(all, "--only", name)
		if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	for _, name := range without {
		p, err := ownPlugin(all, "--without", name)
		if err != nil {
			return nil, err
		}
		packages = slices.DeleteFunc(packages, func(q string) bool { return q == p })
	}
	return packages, nil
}

// ownPlugin returns the package of the plugin that flag names.
func ownPlugin(all []string, flag, name string) (string, error) {
	i := slices.IndexFunc(all, func(p string) bool { return path.Base(p) == name })
	if i >= 0 {
		return all[i], nil
	}
	var names []string
	for _, p := range all {
		names = append(names, path.Base(p))
	}
	return "", fmt.Errorf("%s %s: MoE has no such plugin, but %s", flag, name, strings.Join(names, ", "))
}

// hostImports returns what MoE's own libmoe imports besides its plugins: the hosts, and what reads consumers from files.
func hostImports(root string) ([]string, error) {
	all, err := imports(filepath.Join(root, "cmd", "libmoe", "main.go"))
	return slices.DeleteFunc(all, func(p string) bool { return p == Module+"/plugins" || p == "C" }), err
}

func imports(file string) ([]string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return nil, err
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// mainFile is a main package that imports packages, and runs the command of package cli unless that is "". The command
// gets comments, which are JSON.
func mainFile(packages []string, cli string, comments []byte) []byte {
	var b bytes.Buffer
	b.WriteString("package main\n\nimport (\n")
	if cli != "" {
		fmt.Fprintf(&b, "\t\"os\"\n\n\tcli %q\n", cli)
	}
	for _, p := range packages {
		fmt.Fprintf(&b, "\t_ %q\n", p)
	}
	b.WriteString(")\n\nfunc main() {")
	if cli != "" {
		if comments != nil {
			fmt.Fprintf(&b, "\n\tcli.Comments(%q)\n\t", comments)
		}
		b.WriteString(" os.Exit(cli.Main(os.Args[1:]...)) ")
	}
	b.WriteString("}\n")
	return b.Bytes()
}
