package config

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Position is a place in a text. Lines and columns count from 1, columns in characters; 0 is not known.
type Position struct{ Line, Column int }

// Locate returns where the field at path, such as `plugins[1].config.rate`, is written: its key, or the element of a list.
// For a field that is missing it is the innermost parent that exists.
func Locate(n *yaml.Node, path string) Position {
	if n == nil {
		return Position{}
	}
	n = follow(n)
	at := Position{n.Line, n.Column}
	for path != "" {
		var key string
		var index int
		key, index, path = CutPath(path)
		var next *yaml.Node
		switch {
		case n.Kind == yaml.SequenceNode && index >= 0 && index < len(n.Content):
			next = n.Content[index]
			at = Position{next.Line, next.Column}
		case n.Kind == yaml.MappingNode && index < 0:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if k := n.Content[i]; follow(k).Value == key {
					next, at = n.Content[i+1], Position{k.Line, k.Column}
				}
			}
		}
		if next == nil {
			break
		}
		n = follow(next)
	}
	return at
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

// CutPath splits the path of an [Error] after its first step, which is a key (with index -1) or an index.
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

// At returns es with the positions of their paths in n, the node of their document, where none is known yet.
func (es Errors) At(n *yaml.Node) Errors {
	placed := make(Errors, len(es))
	for i, e := range es {
		if e.Line == 0 {
			p := Locate(n, e.Path)
			e.Line, e.Column = p.Line, p.Column
		}
		placed[i] = e
	}
	return placed
}
