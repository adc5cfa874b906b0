package doccheck

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/internal/build"
	"mosn.io/moe/internal/moefile"
	_ "mosn.io/moe/plugins"
)

// block is a fenced block of code.
type block struct {
	file, language, text string
	line                 int
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

func root(t *testing.T) string {
	t.Helper()
	dir, err := build.Checkout("")
	if err != nil {
		t.Fatalf("build.Checkout: %v", err)
	}
	return dir
}

// documents returns the text of every Markdown file of the repository by its path in it.
func documents(t *testing.T) map[string]string {
	t.Helper()
	dir := root(t)
	docs := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != dir && (strings.HasPrefix(d.Name(), ".") || d.Name() == "build" || d.Name() == "testdata"):
			return filepath.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		docs[rel] = string(text)
		return err
	})
	if err != nil {
		t.Fatalf("filepath.WalkDir: %v", err)
	}
	return docs
}

var fence = regexp.MustCompile("(?ms)^( *)```([a-z]+)[^\n]*\n(.*?)^ *```")

func blocks(t *testing.T, languages ...string) []block {
	t.Helper()
	var found []block
	for file, text := range documents(t) {
		for _, m := range fence.FindAllStringSubmatchIndex(text, -1) {
			b := block{file: file, language: text[m[4]:m[5]], text: text[m[6]:m[7]], line: 1 + strings.Count(text[:m[0]], "\n")}
			if indent := text[m[2]:m[3]]; indent != "" {
				b.text = strings.ReplaceAll("\n"+b.text, "\n"+indent, "\n")[1:]
			}
			for _, l := range languages {
				if b.language == l {
					found = append(found, b)
				}
			}
		}
	}
	return found
}

// TestGo compiles the blocks that are whole files, each as a package of its own, and parses the others as declarations
// or statements.
func TestGo(t *testing.T) {
	dir := t.TempDir()
	whole := 0
	for i, b := range blocks(t, "go") {
		if !regexp.MustCompile(`(?m)^package \w+`).MatchString(b.text) {
			parses(t, b)
			continue
		}
		whole++
		name := "doc.go"
		if strings.Contains(b.text, "testing.T)") || strings.Contains(b.text, "testing.B)") {
			name = "doc_test.go"
		}
		folder := filepath.Join(dir, fmt.Sprintf("block%d", i))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatalf("os.MkdirAll: %v", err)
		}
		text := fmt.Sprintf("//line %s:%d\n%s", b.file, b.line+1, b.text)
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
	}
	if whole == 0 {
		return
	}
	if err := build.InitModule(root(t), dir, "example.com/docs"); err != nil {
		t.Fatalf("build.InitModule: %v", err)
	}
	c := exec.Command("go", "vet", "./...")
	c.Dir, c.Env = dir, append(os.Environ(), "GOWORK=off")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("Go code in the documents: %v\n%s", err, out)
	}
}

func parses(t *testing.T, b block) {
	set := token.NewFileSet()
	_, declarations := parser.ParseFile(set, b.file, "package p\n"+b.text, 0)
	_, statements := parser.ParseFile(set, b.file, "package p\nfunc _() {\n"+b.text+"\n}", 0)
	_, signatures := parser.ParseFile(set, b.file, "package p\ntype _ interface {\n"+b.text+"\n}", 0)
	if declarations != nil && statements != nil && signatures != nil {
		t.Errorf("%v: neither declarations (%v) nor statements (%v)", b, declarations, statements)
	}
}

// TestYAML checks moe.yaml files whose plugins are all MoE's own; others are somebody's to write.
func TestYAML(t *testing.T) {
	for _, b := range blocks(t, "yaml", "json") {
		raw, err := config.Parse([]byte(b.text))
		if err != nil {
			t.Errorf("%v: config.Parse: %v", b, err)
			continue
		}
		doc, ok := raw.(map[string]any)
		if !ok || doc["plugins"] == nil || !ours(doc) {
			continue
		}
		_, err = moefile.Parse([]byte(b.text), moefile.CheckPlugins, moefile.Dynmod)
		var all config.Errors
		if !errors.As(err, &all) && err != nil {
			t.Errorf("%v: moefile.Parse: %v", b, err)
		}
		for _, e := range all {
			if !strings.Contains(e.Msg, "environment variable") { // the reader's to set
				t.Errorf("%v: moefile.Parse: %v", b, e)
			}
		}
	}
}

// TestPluginsListed checks that the two lists of the plugins in the box are complete.
func TestPluginsListed(t *testing.T) {
	docs := documents(t)
	for list, prefix := range map[string]string{"README.md": "plugins/", "docs/README.md": "../plugins/"} {
		t.Run(list, func(t *testing.T) {
			for _, reg := range filter.Registrations() {
				if link := "](" + prefix + reg.Name + "/README.md)"; !strings.Contains(docs[list], link) {
					t.Errorf("%s does not list the plugin %s: want a link %s", list, reg.Name, link)
				}
			}
		})
	}
}

// ours reports whether every plugin that is named in v is compiled in.
func ours(v any) bool {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if !ours(e) {
				return false
			}
		}
	case map[string]any:
		if list, ok := v["plugins"].([]any); ok {
			for _, e := range list {
				entry, _ := e.(map[string]any)
				if name, ok := entry["name"].(string); ok && filter.Lookup(name) == nil {
					return false
				}
			}
		}
		for _, e := range v {
			if !ours(e) {
				return false
			}
		}
	}
	return true
}

var (
	anyFence = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	code     = regexp.MustCompile("`[^`\n]*`")
	link     = regexp.MustCompile(`\]\(([^)\s]+)(?: "[^"]*")?\)`)
	heading  = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	unlinked = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestLinks follows the links to files and headings of the repository.
func TestLinks(t *testing.T) {
	dir, docs := root(t), documents(t)
	for file, text := range docs {
		text = code.ReplaceAllString(anyFence.ReplaceAllString(text, ""), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: link %s: %v", file, m[1], err)
				continue
			}
			if u.Scheme != "" || u.Host != "" {
				continue
			}
			target := file
			if u.Path != "" {
				target = filepath.Join(filepath.Dir(file), u.Path)
			}
			if _, err := os.Stat(filepath.Join(dir, target)); err != nil {
				t.Errorf("%s: link to %s, which is not there", file, m[1])
			} else if other, ok := docs[target]; ok && u.Fragment != "" && !hasHeading(other, u.Fragment) {
				t.Errorf("%s: link to %s: no such heading", file, m[1])
			}
		}
	}
}

// hasHeading reports whether text has a heading whose anchor, as code hosting sites make them, is anchor.
func hasHeading(text, anchor string) bool {
	for _, m := range heading.FindAllStringSubmatch(anyFence.ReplaceAllString(text, ""), -1) {
		slug := strings.ReplaceAll(unlinked.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")
		if slug == anchor {
			return true
		}
	}
	return false
}
