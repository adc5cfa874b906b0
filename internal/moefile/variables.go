package moefile

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"mosn.io/moe/framework/config"
)

// variables puts the values of ${NAME} and ${NAME:-default} into the scalars of a document: into values, not into keys.
// A value cannot change the document's structure. "$${" stands for "${"; every other "$" is left alone, as regular
// expressions and hashes of passwords have them.
type variables struct {
	lookup func(name string) (string, bool)

	found  bool            // there was one, or an escaped one
	values []string        // of the environment's
	errs   config.Errors   // of variables that have no value
	failed map[string]bool // their paths
}

var variable = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)(?:(:-)(.*))?$`)

func (v *variables) expand(n *yaml.Node, path string) {
	switch n.Kind {
	case yaml.DocumentNode:
		for _, c := range n.Content {
			v.expand(c, path)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			v.expand(n.Content[i+1], config.Key(path, n.Content[i].Value))
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			v.expand(c, config.Index(path, i))
		}
	case yaml.ScalarNode:
		v.scalar(n, path)
	}
}

// leadingZero matches numbers that stay text, such as 010, because they mean one thing to some and another to others.
var leadingZero = regexp.MustCompile(`^[-+]?0[0-9_]`)

const quotedStyle = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// scalar expands a value. One without quotes may become a number or a boolean, as if it were written in the file.
func (v *variables) scalar(n *yaml.Node, path string) {
	if !strings.Contains(n.Value, "${") {
		return
	}
	v.found = true
	n.Value = v.text(n, path)
	if n.Style&quotedStyle != 0 || n.ShortTag() != "!!str" {
		return
	}
	switch tag := (&yaml.Node{Kind: yaml.ScalarNode, Value: n.Value}).ShortTag(); tag {
	case "!!int", "!!float", "!!bool":
		if !leadingZero.MatchString(n.Value) {
			n.Tag = tag
		}
	}
}

func (v *variables) text(n *yaml.Node, path string) string {
	var out strings.Builder
	rest := n.Value
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			out.WriteString(rest)
			return out.String()
		}
		if i > 0 && rest[i-1] == '$' {
			out.WriteString(rest[:i-1] + "${")
			rest = rest[i+2:]
			continue
		}
		out.WriteString(rest[:i])
		inside, after, closed := strings.Cut(rest[i+2:], "}")
		m := variable.FindStringSubmatch(inside)
		if !closed || m == nil {
			v.fail(n, path, "expected ${NAME} or ${NAME:-default}; write $${ for the text ${")
			return ""
		}
		out.WriteString(v.value(n, path, m[1], m[2] != "", m[3]))
		rest = after
	}
}

// value returns a variable's value. As in a shell, a default takes the place of an empty value, too.
func (v *variables) value(n *yaml.Node, path, name string, hasDefault bool, byDefault string) string {
	value, ok := v.lookup(name)
	switch {
	case hasDefault && value == "":
		return byDefault
	case !ok:
		v.fail(n, path, "variable "+name+" is not set; set it, or give a default: ${"+name+":-default}")
	default:
		v.values = append(v.values, value)
	}
	return value
}

func (v *variables) fail(n *yaml.Node, path, msg string) {
	if v.failed == nil {
		v.failed = map[string]bool{}
	}
	v.failed[path] = true
	v.errs = append(v.errs, config.Error{Line: n.Line, Column: n.Column, Path: path, Msg: msg})
}
