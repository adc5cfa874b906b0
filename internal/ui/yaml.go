package ui

import (
	"bytes"

	"go.yaml.in/yaml/v3"
)

// encodeYAML writes a node as this project's files are written.
func encodeYAML(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := e.Encode(n)
	if err == nil {
		err = e.Close()
	}
	return b.Bytes(), err
}
