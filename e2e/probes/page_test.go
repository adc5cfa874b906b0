package probes

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
)

// TestPage checks that README.md describes the whole script language, and nothing that does not exist.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatalf("read the page: %v", err)
	}
	page := string(text)
	registered := []string{}
	for _, r := range filter.Registrations() {
		if strings.HasPrefix(r.Name, "probe") {
			registered = append(registered, r.Name)
		}
	}
	for _, c := range []struct {
		name, begin, end string
		want             []string
	}{
		{name: "phases", begin: "## Scripts", end: "## Commands", want: strings.Fields(phaseNames)},
		{name: "commands", begin: "## Commands", end: "## Values", want: slices.Concat(keysOf(ops), keysOf(pipes))},
		{name: "values", begin: "## Values", end: "## Probes", want: cases(t, "expand.go", "value", "plain")},
		{name: "probes", begin: "## Probes", want: registered},
	} {
		t.Run(c.name, func(t *testing.T) {
			part := between(t, page, c.begin, c.end)
			for _, want := range c.want {
				if !regexp.MustCompile("`" + regexp.QuoteMeta(want) + "[` .]").MatchString(part) {
					t.Errorf("%q is not in the section %q of README.md", want, c.begin)
				}
			}
			for _, got := range firstColumn(part) {
				if !slices.Contains(c.want, got) {
					t.Errorf("README.md describes %q, which the code does not have", got)
				}
			}
		})
	}
	for _, want := range slices.Concat(cases(t, "ops.go", "changeBody"), []string{"grpc", "details", "pause", "h:"}) {
		t.Run("argument "+want, func(t *testing.T) {
			if !strings.Contains(page, "`body "+want) && !strings.Contains(page, "`"+want) {
				t.Errorf("%q is not in README.md", want)
			}
		})
	}
}

// TestExamples parses the scripts that the page shows.
func TestExamples(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatalf("read the page: %v", err)
	}
	examples := regexp.MustCompile("(?s)```text\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(examples) < 4 {
		t.Errorf("got %d examples, want at least 4", len(examples))
	}
	for _, e := range examples {
		t.Run(e[1], func(t *testing.T) {
			if cmds, err := split(e[1]); err != nil || len(cmds) < 1 {
				t.Errorf("got %d commands and error %v", len(cmds), err)
			}
		})
	}
}

func keysOf[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

func between(t *testing.T, page, begin, end string) string {
	t.Helper()
	_, part, ok := strings.Cut(page, "\n"+begin+"\n")
	if !ok {
		t.Fatalf("README.md has no heading %q", begin)
	}
	if end != "" {
		part, _, _ = strings.Cut(part, "\n"+end+"\n")
	}
	return part
}

// firstColumn returns the first word of each piece of code in the first column of the tables in text.
func firstColumn(text string) (words []string) {
	for _, line := range strings.Split(text, "\n") {
		cells := strings.Split(line, " | ")
		if len(cells) < 2 {
			continue
		}
		for _, m := range regexp.MustCompile("`([a-z_]+)[^`]*`").FindAllStringSubmatch(cells[0], -1) {
			if m[0] != "`${…}`" && m[0] != "`on`" {
				words = append(words, m[1])
			}
		}
	}
	return words
}

// cases returns the texts of the case clauses in functions of a file.
func cases(t *testing.T, file string, functions ...string) (texts []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatalf("parse %s: %v", file, err)
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || !slices.Contains(functions, fn.Name.Name) {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			if c, ok := n.(*ast.CaseClause); ok {
				for _, e := range c.List {
					if lit, ok := e.(*ast.BasicLit); ok {
						text, _ := strconv.Unquote(lit.Value)
						texts = append(texts, text)
					}
				}
			}
			return true
		})
	}
	if len(texts) == 0 {
		t.Fatalf("%s: no cases in %v", file, functions)
	}
	return texts
}
