package ui

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mosn.io/moe/framework/config"
)

// Kinds of fields of a form.
const (
	textField   = "text"
	numberField = "number"
	boolField   = "bool"
	enumField   = "enum"
	listField   = "list"   // a value in each line
	yamlField   = "yaml"   // whatever has no form of its own
	secretField = "secret" // where the secret is, never the secret itself
	groupField  = "group"  // an object
	lockedField = "locked" // has what a form may not show, or cannot
)

// maxGroups is how deep objects have fields of their own; below they are YAML.
const maxGroups = 3

// fieldView is a field of a form, with what the file says.
type fieldView struct {
	Name     string // in the form
	Label    string
	Help     string
	Kind     string
	Value    string
	Default  string
	Options  []string
	Required bool
	Error    string
	Where    string // of a secret: "", env, file or kept
	Fields   []*fieldView

	path   string // in the file, as errors have it
	key    string
	number bool       // the values of a list are numbers
	node   *yaml.Node // what is written; nil for nothing
}

// form are the fields of an object of the schema s, which is written as node or not at all. Their names in the form begin with
// prefix, and their paths in the file with path.
func form(s, root *schema, node *yaml.Node, prefix, path string, depth int) (all []*fieldView) {
	for _, p := range s.Properties {
		of := p.schema.in(root)
		f := &fieldView{
			Name: prefix + "." + p.name, Label: p.name, key: p.name, node: child(node, p.name), path: config.Key(path, p.name),
			Required: slices.Contains(s.Required, p.name),
		}
		if of != nil {
			f.Help = of.Description
			if of.Default != nil {
				f.Default = written(of.Default)
			}
		}
		f.fill(of, root, depth)
		all = append(all, f)
	}
	return all
}

// fill sets the kind and the value of a field.
func (f *fieldView) fill(s, root *schema, depth int) {
	f.Kind = kindOf(s, root, depth)
	scalar := f.node == nil || f.node.Kind == yaml.ScalarNode
	switch {
	case f.Kind == secretField:
		f.Where, f.Value = secretOf(f.node)
		return
	case f.Kind == groupField:
		if f.node == nil || f.node.Kind == yaml.MappingNode {
			f.Fields = form(s, root, f.node, f.Name, f.path, depth+1)
			return
		}
		f.Kind = lockedField
	case f.Kind == yamlField:
		f.Kind = f.yaml(s, root)
		return
	case f.Kind == listField:
		f.Value, f.number = "", s.Items.in(root).Type != "string"
		if !f.lines() {
			f.Kind = f.yaml(s, root)
			return
		}
	case !scalar:
		f.Kind = lockedField
	case f.node != nil:
		f.Value = f.node.Value
		if f.Kind == textField && strings.ContainsAny(f.Value, "\r\n") {
			f.Kind = f.yaml(s, root)
			return
		}
	}
	if f.Kind == enumField {
		for _, v := range s.Enum {
			f.Options = append(f.Options, fmt.Sprint(v))
		}
		if f.Value != "" && !slices.Contains(f.Options, f.Value) { // a variable
			f.Options = append(f.Options, f.Value)
		}
	}
	if redact(f.Value, "", nil, nil, true) != any(f.Value) {
		f.Kind, f.Value = lockedField, ""
	}
}

func kindOf(s, root *schema, depth int) string {
	switch {
	case s == nil:
		return yamlField
	case s.WriteOnly:
		return secretField
	case s.Type == "string" && s.Enum != nil:
		return enumField
	case s.Type == "string", s.AnyOf != nil:
		return textField
	case s.Type == "boolean":
		return boolField
	case s.Type == "integer", s.Type == "number":
		return numberField
	case s.Type == "object" && len(s.Properties) > 0 && depth < maxGroups:
		return groupField
	case s.Type == "array":
		if of := s.Items.in(root); of != nil && of.Enum == nil && (of.Type == "string" || of.Type == "integer" || of.Type == "number") {
			return listField
		}
	}
	return yamlField
}

// lines sets the value of a list, and reports whether it can be written in lines.
func (f *fieldView) lines() bool {
	if f.node == nil {
		return true
	}
	if f.node.Kind != yaml.SequenceNode {
		return false
	}
	var lines []string
	for _, c := range f.node.Content {
		if c.Kind != yaml.ScalarNode || c.Value == "" || c.Value != strings.TrimSpace(c.Value) || strings.ContainsAny(c.Value, "\r\n") {
			return false
		}
		lines = append(lines, c.Value)
	}
	f.Value = strings.Join(lines, "\n")
	return true
}

// yaml sets the value of a field to what is written, unless that has what may not be shown.
func (f *fieldView) yaml(s, root *schema) (kind string) {
	f.Value = ""
	if f.node == nil {
		return yamlField
	}
	data, err := config.Data(f.node)
	if err != nil || hasAlias(f.node) {
		return lockedField
	}
	if shown := redact(data, f.key, s, root, true); !same(shown, data) || s.secretBelow(root, 0) && !same(withoutReferences(data), data) {
		return lockedField
	}
	copied := *f.node
	copied.HeadComment, copied.LineComment, copied.FootComment = "", "", ""
	text, err := encodeYAML(&copied)
	if err != nil {
		return lockedField
	}
	f.Value = strings.TrimSuffix(string(text), "\n")
	return yamlField
}

// withoutReferences returns data in which each object of one field env or file is hidden as redact hides it.
func withoutReferences(v any) any {
	switch v := v.(type) {
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = withoutReferences(e)
		}
		return l
	case map[string]any:
		if len(v) == 1 && (v["env"] != nil || v["file"] != nil) {
			return reference(v)
		}
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = withoutReferences(e)
		}
		return m
	}
	return v
}

func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || n.Anchor != "" || slices.ContainsFunc(n.Content, hasAlias)
}

// secretOf says where a secret is.
func secretOf(n *yaml.Node) (where, name string) {
	if n == nil {
		return "", ""
	}
	data, err := config.Data(n)
	if err != nil {
		return "kept", ""
	}
	shown, ok := reference(data).(map[string]any)
	for _, k := range []string{"env", "file"} {
		if name, has := shown[k].(string); ok && has {
			return k, name
		}
	}
	return "kept", ""
}

// child returns the value of a key of an object, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// setChild sets the value of a key of an object; nil removes it. A comment in its line stays.
func setChild(n *yaml.Node, key string, v *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != key {
			continue
		}
		if v == nil {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
		if v.LineComment == "" && v != n.Content[i+1] {
			v.LineComment = n.Content[i+1].LineComment
		}
		n.Content[i+1] = v
		return
	}
	if v != nil {
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, v)
	}
}

// apply changes object, the node of the fields, by what was sent. It sets the errors of fields whose values cannot be read.
func apply(fields []*fieldView, object *yaml.Node, sent url.Values) {
	for _, f := range fields {
		value := strings.ReplaceAll(sent.Get(f.Name), "\r\n", "\n")
		switch f.Kind {
		case lockedField:
			continue
		case groupField:
			inner := f.node
			if inner == nil {
				inner = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			}
			apply(f.Fields, inner, sent)
			if f.node == nil && len(inner.Content) > 0 {
				setChild(object, f.key, inner)
			}
			continue
		case secretField:
			f.applySecret(object, sent.Get(f.Name+".where"), strings.TrimSpace(value))
			continue
		}
		if !sent.Has(f.Name) || value == f.Value {
			continue
		}
		f.Value = value
		v, err := f.parse(value)
		if err != nil {
			f.Error = strings.ReplaceAll(err.Error(), "\n", " ")
			continue
		}
		setChild(object, f.key, v)
	}
}

// applySecret has the secret be read from somewhere else.
func (f *fieldView) applySecret(object *yaml.Node, where, name string) {
	switch {
	case where == f.Where && (where == "kept" || where == "" || name == f.Value):
		return
	case where == "":
		setChild(object, f.key, nil)
	case where == "env", where == "file":
		setChild(object, f.key, &yaml.Node{
			Kind: yaml.MappingNode, Tag: "!!map", Style: yaml.FlowStyle, Content: []*yaml.Node{plain(where), plain(name)},
		})
	default:
		return
	}
	f.Where, f.Value = where, name
}

// plain is text as it is written where it means itself.
func plain(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}

// parse returns what is to be written for a value; nil is nothing.
func (f *fieldView) parse(value string) (*yaml.Node, error) {
	trimmed := strings.TrimSpace(value)
	if trimmed == "" {
		return nil, nil
	}
	switch f.Kind {
	case numberField:
		return numeral(trimmed), nil
	case boolField:
		if trimmed == "true" || trimmed == "false" {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: trimmed}, nil
		}
		return plain(value), nil
	case listField:
		l := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		if f.node != nil && f.node.Kind == yaml.SequenceNode {
			l.Style = f.node.Style
		}
		for line := range strings.SplitSeq(value, "\n") {
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			one := plain(line)
			if f.number {
				one = numeral(line)
			}
			l.Content = append(l.Content, one)
		}
		return l, nil
	case yamlField:
		d, err := config.ParseDocument([]byte(value))
		if err != nil {
			return nil, err
		}
		n := d.Node
		if n != nil && n.Kind == yaml.DocumentNode {
			n = n.Content[0]
		}
		if n != nil && hasAlias(n) {
			return nil, fmt.Errorf("anchors and aliases are for the file; write the value out")
		}
		return n, nil
	}
	return plain(value), nil
}

// numeral is a number if it is one to YAML, and otherwise text, about which the check of the configuration has more to say.
func numeral(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: text}
	switch tag := n.ShortTag(); tag {
	case "!!int", "!!float":
		n.Tag = tag
		return n
	}
	return plain(text)
}
