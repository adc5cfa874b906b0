package bootstrap

import (
	"bytes"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// JSON returns a message for Envoy to read.
func JSON[M proto.Message](m M) ([]byte, error) {
	return protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
}

// YAML returns a message as people write it: Envoy's field names, in the order of Envoy's own definitions.
func YAML[M proto.Message](m M) ([]byte, error) {
	text, err := JSON(m)
	if err != nil {
		return nil, err
	}
	// JSON is YAML: reading it as nodes keeps the order, and without their styles they print as blocks.
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("the configuration as YAML: %w", err)
	}
	plain(&doc)
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(&doc); err != nil {
		return nil, err
	}
	if err := e.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// plain takes the styles of JSON away, and has the name of a plugin come first: a Struct's fields are sorted.
func plain(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.MappingNode {
		for i := 2; i < len(n.Content); i += 2 {
			if n.Content[i].Value == "name" {
				n.Content = slices.Concat(n.Content[i:i+2], n.Content[:i], n.Content[i+2:])
			}
		}
	}
	for _, child := range n.Content {
		plain(child)
	}
}
