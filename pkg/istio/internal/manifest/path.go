package manifest

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// LineOf returns the line of the field at path, such as `spec.plugins[1].config.rate`. If the field is missing, it is the
// line of the innermost parent that exists. 0 means that no line is known.
func (o *Object) LineOf(path string) int {
	n := o.node
	if n == nil {
		return o.Line
	}
	line := o.Line
	for path != "" && n != nil {
		var key string
		var index int
		key, index, path = CutPath(path)
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

// follow resolves documents and aliases to the node they stand for. Parsing has refused aliases that contain themselves.
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

// CutPath splits a path of package config after its first step, which is a key (with index -1) or an index.
func CutPath(path string) (key string, index int, rest string) {
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

// At returns the data at a path of package config; nil if there is none.
func (o *Object) At(path string) any { return At(o.Data, path) }

// At returns what v has at a path of package config; nil if there is nothing.
func At(v any, path string) any {
	for path != "" && v != nil {
		var key string
		var index int
		key, index, path = CutPath(path)
		switch c := v.(type) {
		case map[string]any:
			v = c[key]
		case []any:
			if index < 0 || index >= len(c) {
				return nil
			}
			v = c[index]
		default:
			return nil
		}
	}
	return v
}

// Parent returns a path without its last step.
func Parent(path string) string {
	if strings.HasSuffix(path, `"]`) {
		if i := strings.LastIndex(path, `["`); i >= 0 {
			return path[:i]
		}
	}
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}
