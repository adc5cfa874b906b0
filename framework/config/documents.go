package config

import (
	"bytes"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"
)

// Document is one of the documents of a text: its data, as [Parse] returns it, and the nodes that it was made of, which
// know their positions ([Locate]).
type Document struct {
	Data any
	Node *yaml.Node
}

// ParseDocuments reads all the YAML documents of a text, one of which may be JSON; those that are empty are left out. It
// is as strict as [Parse] and knows no limit for the size of the text.
func ParseDocuments(text []byte) (docs []Document, err error) {
	defer func() {
		if p := recover(); p != nil {
			docs, err = nil, parseError(Position{}, "this text makes the YAML parser panic; write it as JSON")
		}
	}()
	if err := checkUTF8(text); err != nil {
		return nil, err
	}
	d := yaml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	for {
		var n yaml.Node
		if err := d.Decode(&n); errors.Is(err, io.EOF) {
			return docs, nil
		} else if err != nil {
			return nil, yamlError(text, err)
		}
		doc, err := newDocument(&n)
		if err != nil {
			return nil, err
		}
		if doc.Data != nil {
			docs = append(docs, doc)
		}
	}
}
