// Package prosecheck finds turns of phrase that this project's comments, errors and documents once had too many of and
// that make a native reader stop. Its test refuses them.
package prosecheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// habit is a turn of phrase and what to write instead. The pattern is for a line of prose.
type habit struct {
	pattern *regexp.Regexp
	// but leaves out matches that are good English.
	but     *regexp.Regexp
	instead string
}

var habits = []habit{
	{
		pattern: regexp.MustCompile(`(?i)\b\w+ (is|are|was|were) no [a-z]+`),
		but:     regexp.MustCompile(`(?i)\bthere \w+ no |\bno (longer|more|less|different|other|better|worse|doubt)\b`),
		instead: `"is not a …", or say what it is`,
	},
	{
		pattern: regexp.MustCompile(`(?i)\b(is|are) there twice\b`),
		instead: `"duplicate …"`,
	},
	{
		pattern: regexp.MustCompile(`(?i)\b(is|are|was|were|be|been) told\b`),
		instead: `say who says it, or "is reported", "is given", "learns"`,
	},
	{
		pattern: regexp.MustCompile(`(?i)\bbelongs? into\b`),
		instead: `"belongs in"`,
	},
	{
		pattern: regexp.MustCompile(`(?i)\b(he|his|him|himself)\b`),
		but:     regexp.MustCompile(`\bHE\b`),
		instead: `"they", "the consumer", "its"`,
	},
	{
		pattern: regexp.MustCompile(`(?:^|[.:;] )Who [a-z]+ `),
		but:     regexp.MustCompile(`\?`),
		instead: `a clause with a noun: "a caller that …"`,
	},
	{
		pattern: regexp.MustCompile(`(?i)\bnone that\b|\bnone of it\b`),
		instead: `"not a valid …"`,
	},
	{
		pattern: regexp.MustCompile(`(?i), be (its|they|their)\b`),
		instead: `"even if …"`,
	},
	{
		pattern: regexp.MustCompile(`, as [A-Z]+\d+\b`),
		instead: `"such as …"`,
	},
}

// Finding is a habit in a line.
type Finding struct {
	Folder  string // with slashes, relative to the root
	File    string // likewise
	Line    int
	Found   string
	Instead string
}

// check returns the habits of one line of prose.
func check(line string) (found []Finding) {
	for _, h := range habits {
		for _, at := range h.pattern.FindAllStringIndex(line, -1) {
			around := line[max(0, at[0]-8):min(len(line), at[1]+8)]
			if h.but == nil || !h.but.MatchString(around) {
				found = append(found, Finding{Found: line[at[0]:at[1]], Instead: h.instead})
			}
		}
	}
	return found
}

// Find returns the habits in the Go, C, C++ and Markdown files below root. It skips testdata, generated Markdown apart,
// and folders that begin with a dot.
func Find(root string) (found []Finding, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || path == filepath.Join(root, "build")) {
				return filepath.SkipDir
			}
			return nil
		}
		var lines map[int]string
		switch filepath.Ext(path) {
		case ".go":
			lines, err = goProse(path, nil)
		case ".md":
			lines, err = markdownProse(path)
		case ".c", ".cc", ".h":
			lines, err = cProse(path)
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		for n, line := range lines {
			for _, f := range check(line) {
				f.File, f.Line = filepath.ToSlash(rel), n
				f.Folder = filepath.ToSlash(filepath.Dir(rel))
				found = append(found, f)
			}
		}
		return err
	})
	return found, err
}

// goProse returns the comments and string literals of a Go file, by line. src is as in [parser.ParseFile].
func goProse(path string, src any) (map[int]string, error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, path, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	lines := map[int]string{}
	add := func(pos token.Pos, text string) {
		n := set.Position(pos).Line
		for i, line := range strings.Split(text, "\n") {
			lines[n+i] += " " + strings.TrimSpace(strings.TrimLeft(line, "/* \t"))
		}
	}
	for _, group := range f.Comments {
		for _, c := range group.List {
			add(c.Pos(), c.Text)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				if !strings.HasPrefix(lit.Value, "`") {
					text = strings.ReplaceAll(text, "\n", " ")
				}
				add(lit.Pos(), text)
			}
		}
		return true
	})
	return lines, nil
}

// markdownProse returns the lines of a document; code counts, because what it shows is read, too.
func markdownProse(path string) (map[int]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := map[int]string{}
	for i, line := range strings.Split(string(text), "\n") {
		lines[i+1] = strings.TrimLeft(line, "#-* >|")
	}
	return lines, nil
}

// cProse returns the lines of a C or C++ file that have a comment or a string.
func cProse(path string) (map[int]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := map[int]string{}
	for i, line := range strings.Split(string(text), "\n") {
		if strings.ContainsAny(line, `"*`) || strings.Contains(line, "//") {
			lines[i+1] = strings.TrimLeft(line, "/* \t")
		}
	}
	return lines, nil
}
