package istio

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// LineOf returns the line of the field at path, as in `spec.plugins[1].config.rate`; that of the last part of path that
// there is, where the field itself is missing; 0 where no line is known.
func (o *Object) LineOf(path string) int {
	n := o.node
	if n == nil {
		return o.Line
	}
	line := o.Line
	for path != "" && n != nil {
		var key string
		var index int
		key, index, path = cutPath(path)
		n = follow(n)
		var next *yaml.Node
		switch {
		case n.Kind == yaml.SequenceNode && index >= 0 && index < len(n.Content):
			next = n.Content[index]
			line = next.Line
		case n.Kind == yaml.MappingNode && index < 0:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if k := follow(n.Content[i]); k.Value == key {
					next, line = n.Content[i+1], n.Content[i].Line
				}
			}
		}
		n = next
	}
	return line
}

// follow leaves the document and aliases behind. An alias inside its own anchor cannot be here: it was refused.
func follow(n *yaml.Node) *yaml.Node {
	for {
		switch {
		case n.Kind == yaml.DocumentNode && len(n.Content) > 0:
			n = n.Content[0]
		case n.Kind == yaml.AliasNode && n.Alias != nil:
			n = n.Alias
		default:
			return n
		}
	}
}

// cutPath takes the first step off a path of package config: a key (index -1) or an index.
func cutPath(path string) (key string, index int, rest string) {
	path = strings.TrimPrefix(path, ".")
	if strings.HasPrefix(path, `["`) {
		if q, err := strconv.QuotedPrefix(path[1:]); err == nil {
			key, _ = strconv.Unquote(q)
			return key, -1, strings.TrimPrefix(path[1+len(q):], "]")
		}
	}
	if strings.HasPrefix(path, "[") {
		number, rest, _ := strings.Cut(path[1:], "]")
		if i, err := strconv.Atoi(number); err == nil {
			return "", i, rest
		}
		return number, -1, rest
	}
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		end = len(path)
	}
	return path[:end], -1, path[end:]
}
