package ui

import (
	"bytes"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// Plugin is a plugin that is compiled in, with its documentation.
type Plugin struct {
	Name    string
	Stage   string
	Summary string
	Manual  string // in Markdown
	Schema  []byte // JSON Schema of its configuration
	InChain bool   // it stands in the list of plugins of a chain

	schema *schema
}

// markdown makes HTML of the plugins' documents. What is HTML in them is left out.
var markdown = goldmark.New(
	goldmark.WithExtensions(extension.Table),
	goldmark.WithParserOptions(parser.WithASTTransformers(util.Prioritized(links{}, 100))),
)

// links turns links to other plugins' documents into links to their pages, and takes away those to files.
type links struct{}

// Transform is that of a parser.ASTTransformer.
func (links) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	var all []*ast.Link
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // no visit fails
		if l, ok := n.(*ast.Link); ok && entering {
			all = append(all, l)
		}
		return ast.WalkContinue, nil
	})
	for _, l := range all {
		to := string(l.Destination)
		name, isPlugin := strings.CutPrefix(to, "../")
		name, _, isManual := strings.Cut(name, "/README.md")
		switch {
		case isPlugin && isManual && !strings.Contains(name, "/"):
			l.Destination = []byte("/plugins/" + name)
		case strings.HasPrefix(to, "https://"), strings.HasPrefix(to, "http://"):
		default:
			parent := l.Parent()
			for c := l.FirstChild(); c != nil; c = l.FirstChild() {
				parent.InsertBefore(parent, l, c)
			}
			parent.RemoveChild(parent, l)
		}
	}
}

// tables scroll on narrow screens, by keyboard too.
var tables = strings.NewReplacer("<table>", `<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>`,
	"</table>", "</table></div>", "<pre>", `<pre tabindex="0">`)

func render(manual string) template.HTML {
	var b bytes.Buffer
	if err := markdown.Convert([]byte(manual), &b); err != nil {
		return template.HTML(template.HTMLEscapeString(manual))
	}
	return template.HTML(tables.Replace(b.String()))
}

type stageView struct {
	Stage   string
	Plugins []*Plugin
}

func (s *Server) plugins(w http.ResponseWriter, _ *http.Request) {
	var all []stageView
	for i := range s.o.Plugins {
		p := &s.o.Plugins[i]
		at := slices.IndexFunc(all, func(v stageView) bool { return v.Stage == p.Stage })
		if at < 0 {
			at = len(all)
			all = append(all, stageView{Stage: p.Stage})
		}
		all[at].Plugins = append(all[at].Plugins, p)
	}
	slices.SortStableFunc(all, func(a, b stageView) int { return stageOrder(a.Stage) - stageOrder(b.Stage) })
	s.show(w, http.StatusOK, "plugins", page{Title: "Plugins", At: "plugins", Data: all})
}

type manualView struct {
	*Plugin
	Manual template.HTML
	Titled bool // the manual has a title of its own
}

func (s *Server) plugin(w http.ResponseWriter, r *http.Request) {
	for i := range s.o.Plugins {
		if p := &s.o.Plugins[i]; p.Name == r.PathValue("name") {
			s.show(w, http.StatusOK, "plugin", page{Title: p.Name, At: "plugins", Data: manualView{
				p, render(p.Manual), strings.HasPrefix(p.Manual, "# "),
			}})
			return
		}
	}
	s.refuse(w, http.StatusNotFound, "This moe has no such plugin.")
}
