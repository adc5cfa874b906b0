package transform

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"text/template"
	"text/template/parse"

	"mosn.io/moe/framework/filter"
)

// work is one message on its way through the steps.
type work struct {
	ctx    context.Context // ends with the budget
	most   int             // bytes of a result
	stream filter.Stream

	text   []byte // the body
	value  any    // of text, once it is decoded
	parsed bool
	status int
}

var (
	errBudget = errors.New("takes longer than the budget")
	errSize   = errors.New("the result is longer than maxBody")
)

// tick is called in each turn of a loop of a template.
func (w *work) tick() (string, error) {
	if w.ctx.Err() != nil {
		return "", errBudget
	}
	return "", nil
}

// json returns the body's value.
func (w *work) json() (any, error) {
	if !w.parsed {
		if len(w.text) == 0 {
			return nil, nil
		}
		v, err := decodeJSON(w.text)
		if err != nil {
			return nil, err
		}
		w.value, w.parsed = v, true
	}
	return w.value, nil
}

// set makes text the body.
func (w *work) set(text []byte) error {
	if len(text) > w.most {
		return errSize
	}
	w.text, w.value, w.parsed = text, nil, false
	return nil
}

// tmpl is a compiled template; nil is none.
type tmpl struct {
	t     *template.Template
	plain *string // of a template without actions
}

// names are those of the functions, for parsing.
var names = template.FuncMap{
	"header": none, "query": none, "cookie": none, "body": noBody, "text": noText, "method": noText, "path": noText,
	"host": noText, "status": func() int { return 0 }, "consumer": noText, "toJSON": toJSON, "moeTick": func() (string, error) { return "", nil },
}

func none(string) string   { return "" }
func noBody() (any, error) { return nil, nil }
func noText() string       { return "" }

func toJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

func newTemplate(source string) (*tmpl, error) {
	if source == "" {
		return nil, nil
	}
	if !strings.Contains(source, "{{") {
		return &tmpl{plain: &source}, nil
	}
	t, err := template.New("").Funcs(names).Option("missingkey=zero").Parse(source)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: :"))
	}
	for _, one := range t.Templates() {
		if one.Tree != nil {
			ticking(one.Root)
		}
	}
	return &tmpl{t: t}, nil
}

// ticking has every list of a template begin with a call of moeTick, so that loops and recursion end with the budget.
func ticking(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.RangeNode:
			ticking(n.List)
			ticking(n.ElseList)
		case *parse.IfNode:
			ticking(n.List)
			ticking(n.ElseList)
		case *parse.WithNode:
			ticking(n.List)
			ticking(n.ElseList)
		}
	}
	tick, err := parse.Parse("", "{{moeTick}}", "", "", names)
	if err != nil {
		panic("transform: the template of the tick does not parse: " + err.Error())
	}
	list.Nodes = append(tick[""].Root.Nodes, list.Nodes...)
}

// limited is where a template writes.
type limited struct {
	strings.Builder
	w *work
}

// Write fails when there is too much, or it takes too long.
func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > l.w.most {
		return 0, errSize
	}
	if _, err := l.w.tick(); err != nil {
		return 0, err
	}
	return l.Builder.Write(p)
}

// run executes the template. Errors quote nothing of the message.
func (t *tmpl) run(w *work) (string, error) {
	if t.plain != nil {
		return *t.plain, nil
	}
	one, err := t.t.Clone()
	if err != nil {
		return "", err
	}
	s := w.stream
	one.Funcs(template.FuncMap{
		"header": func(name string) string { return s.RequestHeaders().Get(name) },
		"query":  func(name string) string { return first(queryOf(s).get(name)) },
		"cookie": func(name string) string { v, _ := s.RequestHeaders().Cookie(name); return v },
		"body":   w.json, "text": func() string { return string(w.text) },
		"method": func() string { return s.RequestHeaders().Method() }, "host": func() string { return s.RequestHeaders().Host() },
		"path":   func() string { p, _, _ := strings.Cut(s.RequestHeaders().Path(), "?"); return p },
		"status": func() int { return w.status }, "moeTick": w.tick,
		"consumer": func() string {
			if c := s.Consumer(); c != nil {
				return c.Name
			}
			return ""
		},
	})
	out := &limited{w: w}
	err = one.Execute(out, nil)
	for _, known := range []error{errBudget, errSize, errNotJSON} {
		if errors.Is(err, known) {
			return "", known
		}
	}
	if err != nil {
		return "", errors.New("a value does not fit the template")
	}
	return out.String(), nil
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func queryOf(s filter.Stream) *pairs {
	_, query, _ := strings.Cut(s.RequestHeaders().Path(), "?")
	return parsePairs(query, "&", false)
}
