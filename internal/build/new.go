package build

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

//go:embed scaffold/*.tmpl
var scaffold embed.FS

var templates = template.Must(template.ParseFS(scaffold, "scaffold/*.tmpl"))

// NewOptions describe the plugin to begin.
type NewOptions struct {
	Kind     string // of [Kinds]; "" means the first
	Name     string // of the plugin and its package
	Dir      string // folder to create; "" means Name
	Module   string // path of its Go module; "" means example.com/Name
	Checkout string // of MoE; "" means what Checkout("") finds
}

// HTTP is the kind of plugins that run in chains.
const HTTP = "http"

// Kinds are what New can begin: a plugin, or an extension of another kind, which is named as its package.
var Kinds = []string{HTTP, "listener", "network", "udp", "accesslog", "certvalidator", "bootstrap"}

// taken are names of packages that the files of a new plugin import.
var taken = slices.Concat(Kinds[1:], []string{
	"main", "filter", "bytes", "context", "embed", "errors", "fmt", "hex", "sha256", "slog", "strings",
	"time", "init", "test",
})

var pluginName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

// New writes a Go module with a plugin that works, its test and what builds it, and asks the go command what the plugin
// requires. It refuses a folder that is not
// empty, and returns the folder.
func New(o NewOptions) (dir string, err error) {
	switch {
	case o.Kind != "" && !slices.Contains(Kinds, o.Kind):
		return "", fmt.Errorf("--kind: expected %s, got %q", strings.Join(Kinds, ", "), o.Kind)
	case !pluginName.MatchString(o.Name):
		return "", fmt.Errorf("%q: a plugin's name is lower-case letters and digits, as a Go package's", o.Name)
	case token.IsKeyword(o.Name), slices.Contains(taken, o.Name):
		return "", fmt.Errorf("%q cannot be the name of a plugin's package; choose another", o.Name)
	}
	root, err := Checkout(o.Checkout)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(root, "plugins", o.Name)); err == nil {
		return "", fmt.Errorf("MoE has a plugin %s already; choose another name", o.Name)
	}
	if o.Dir == "" {
		o.Dir = o.Name
	}
	if o.Module == "" {
		o.Module = "example.com/" + o.Name
	}
	if strings.ContainsAny(o.Module, " \t\n\"'`@\\") || strings.HasPrefix(o.Module, "-") {
		return "", fmt.Errorf("--module %q is not the path of a Go module", o.Module)
	}
	mod, sum, err := pluginGoMod(root, o.Dir, o.Module)
	if err != nil {
		return "", err
	}
	files, err := expand(o)
	if err != nil {
		return "", err
	}
	files["go.mod"], files["go.sum"], files[".gitignore"] = mod, sum, []byte("/build/\n")
	return o.Dir, writeNew(o.Dir, files)
}

// expand returns the files of the templates.
func expand(o NewOptions) (map[string][]byte, error) {
	kind := o.Kind + "_" // begins the names of its templates
	code := o.Kind
	if o.Kind == "" || o.Kind == HTTP {
		kind, code = "", "plugin"
	}
	data := struct {
		Name, Type, Module string
		Schema             bool // it has a schema.json
	}{o.Name, strings.ToUpper(o.Name[:1]) + o.Name[1:], o.Module, kind == ""}
	files := map[string][]byte{}
	from := map[string]string{
		o.Name + ".go":      code + ".go.tmpl",
		o.Name + "_test.go": code + "_test.go.tmpl",
		"README.md":         kind + "README.md.tmpl",
		"Makefile":          "Makefile.tmpl",
		"moe.yaml":          kind + "moe.yaml.tmpl",
	}
	if data.Schema {
		from["schema.json"] = "schema.json.tmpl"
	}
	for name, from := range from {
		var b bytes.Buffer
		if err := templates.ExecuteTemplate(&b, from, data); err != nil {
			return nil, err
		}
		files[name] = b.Bytes()
		if filepath.Ext(name) != ".go" {
			continue
		}
		formatted, err := format.Source(b.Bytes())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = formatted
	}
	return files, nil
}

func writeNew(dir string, files map[string][]byte) error {
	if found, err := os.ReadDir(dir); err == nil && len(found) > 0 {
		return fmt.Errorf("%s is there already and not empty; choose another folder with --dir", dir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for name, b := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
