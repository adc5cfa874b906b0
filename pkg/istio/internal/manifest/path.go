package manifest

import (
	"strings"

	"mosn.io/moe/framework/config"
)

// LineOf returns the line of the field at path, such as `spec.plugins[1].config.rate`. If the field is missing, it is the
// line of the innermost parent that exists. 0 means that no line is known.
func (o *Object) LineOf(path string) int { return o.position(path).Line }

func (o *Object) position(path string) config.Position {
	if o.node == nil {
		return config.Position{Line: o.Line}
	}
	return config.Locate(o.node, path)
}

// At returns the data at a path of package config; nil if there is none.
func (o *Object) At(path string) any { return At(o.Data, path) }

// At returns what v has at a path of package config; nil if there is nothing.
func At(v any, path string) any {
	for path != "" && v != nil {
		var key string
		var index int
		key, index, path = config.CutPath(path)
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
