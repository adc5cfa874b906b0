package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yamlReader turns YAML's nodes into generic data. Aliases are expanded and counted.
type yamlReader struct {
	depth   int
	inAlias int
	aliased int
}

func parseYAML(text []byte) (Document, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, next yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return Document{}, nil
	} else if err != nil {
		return Document{}, yamlError(text, err)
	}
	switch err := d.Decode(&next); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return Document{}, yamlError(text, err)
	default:
		return Document{}, parseError(place(&next), "a second YAML document begins; put one in a file")
	}
	return newDocument(&doc)
}

func place(n *yaml.Node) Position { return Position{n.Line, n.Column} }

var octal = regexp.MustCompile(`^[-+]?0[0-9_]+$`) // 010 is 8 in YAML 1.1 and 10 in YAML 1.2

func (r *yamlReader) value(n *yaml.Node) (any, error) {
	if r.inAlias > 0 {
		if r.aliased++; r.aliased > maxAliased {
			return nil, parseError(place(n), "aliases repeat more than %d values; write it without them", maxAliased)
		}
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return r.value(n.Content[0])
	case yaml.AliasNode:
		r.inAlias++
		defer func() { r.inAlias-- }()
		if r.depth++; r.depth > MaxDepth { // an alias inside its own anchor
			return nil, tooDeep(place(n))
		}
		defer func() { r.depth-- }()
		return r.value(n.Alias)
	case yaml.ScalarNode:
		return r.scalar(n)
	}
	if r.depth++; r.depth > MaxDepth {
		return nil, tooDeep(place(n))
	}
	defer func() { r.depth-- }()
	if n.Kind == yaml.MappingNode {
		return r.object(n)
	}
	if n.ShortTag() != "!!seq" {
		return nil, badTag(n)
	}
	l := make([]any, 0, len(n.Content))
	for _, c := range n.Content {
		v, err := r.value(c)
		if err != nil {
			return nil, err
		}
		l = append(l, v)
	}
	return l, nil
}

func (r *yamlReader) object(n *yaml.Node) (any, error) {
	if n.ShortTag() != "!!map" {
		return nil, badTag(n)
	}
	m := make(map[string]any, len(n.Content)/2)
	merged := map[string]any{}
	for i := 0; i < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode || k.ShortTag() == "!!null" {
			return nil, parseError(place(k), "expected a plain text as key")
		}
		val, err := r.value(v)
		if err != nil {
			return nil, err
		}
		if k.ShortTag() == "!!merge" {
			if err := mergeKey(merged, val, place(k)); err != nil {
				return nil, err
			}
			continue
		}
		if _, ok := m[k.Value]; ok {
			return nil, duplicate(place(k), k.Value)
		}
		m[k.Value] = val
	}
	for k, v := range merged {
		if _, ok := m[k]; !ok {
			m[k] = v
		}
	}
	return m, nil
}

// mergeKey adds what "<<" names, an object or a list of them; of a list, the first that has a key wins.
func mergeKey(into map[string]any, v any, at Position) error {
	objects, ok := v.([]any)
	if !ok {
		objects = []any{v}
	}
	for _, o := range objects {
		m, ok := o.(map[string]any)
		if !ok {
			return parseError(at, "expected an object to merge by <<, got %s", kind(o))
		}
		for k, e := range m {
			if _, ok := into[k]; !ok {
				into[k] = e
			}
		}
	}
	return nil
}

func (r *yamlReader) scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!str", "!!timestamp", "!!merge":
		return n.Value, nil
	case "!!null":
		return nil, nil
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			return nil, badTag(n)
		}
		return b, nil
	case "!!int":
		if octal.MatchString(n.Value) {
			return nil, parseError(place(n), "a number begins with 0; write 0o for octal, or put quotes around it")
		}
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, badTag(n)
		}
		switch v := v.(type) {
		case int:
			return int64(v), nil
		case int64, uint64, float64:
			return v, nil
		}
		return nil, badTag(n)
	case "!!float":
		f, err := number(strings.ReplaceAll(n.Value, "_", ""))
		if err != nil {
			return nil, parseError(place(n), "expected a finite number; put quotes around it if it is text")
		}
		return f, nil
	}
	return nil, badTag(n)
}

func badTag(n *yaml.Node) error {
	return parseError(place(n), "YAML tags are not supported, or this value does not fit its tag; remove the tag")
}
