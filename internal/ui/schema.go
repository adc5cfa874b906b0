package ui

import (
	"bytes"
	"encoding/json"
	"strings"
)

// schema is the part of a JSON Schema, as config.Reflect writes it, that is read here.
type schema struct {
	Description string            `json:"description"`
	Type        string            `json:"type"`
	Ref         string            `json:"$ref"`
	Properties  properties        `json:"properties"`
	Required    []string          `json:"required"`
	Default     any               `json:"default"`
	Examples    []any             `json:"examples"`
	Enum        []any             `json:"enum"`
	Minimum     json.Number       `json:"minimum"`
	Maximum     json.Number       `json:"maximum"`
	Items       *schema           `json:"items"`
	AnyOf       []*schema         `json:"anyOf"`
	WriteOnly   bool              `json:"writeOnly"`
	Additional  json.RawMessage   `json:"additionalProperties"`
	Defs        map[string]schema `json:"$defs"`
}

type property struct {
	name string
	*schema
}

// properties are in the order of the plugin's struct.
type properties []property

// UnmarshalJSON reads an object with its order.
func (p *properties) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		one := property{schema: &schema{}}
		one.name, _ = key.(string)
		if err := d.Decode(one.schema); err != nil {
			return err
		}
		*p = append(*p, one)
	}
	return nil
}

// parseSchema returns nil for what it does not understand.
func parseSchema(text []byte) *schema {
	s := &schema{}
	if json.Unmarshal(text, s) != nil {
		return nil
	}
	return s
}

// in returns s with its reference resolved in root. The description of a reference is that of the field.
func (s *schema) in(root *schema) *schema {
	for range 8 { // references of references
		if s == nil || s.Ref == "" {
			return s
		}
		if s.Ref == "#" {
			return root
		}
		def, ok := root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
		if !ok {
			return nil
		}
		if s.Description != "" {
			def.Description = s.Description
		}
		s = &def
	}
	return nil
}

// field returns the schema of a field of an object; nil if it is not known. declared tells whether the plugin names the field.
func (s *schema) field(name string, root *schema) (of *schema, declared bool) {
	if s == nil {
		return nil, false
	}
	for _, p := range s.Properties {
		if p.name == name {
			return p.schema.in(root), true
		}
	}
	var other *schema
	if len(s.Additional) > 0 && s.Additional[0] == '{' {
		other = parseSchema(s.Additional)
	}
	return other.in(root), false
}

// secretBelow tells whether a secret may be anywhere in a value of s.
func (s *schema) secretBelow(root *schema, depth int) bool {
	if s = s.in(root); s == nil || depth > 8 {
		return false
	}
	if s.WriteOnly || s.Items != nil && s.Items.secretBelow(root, depth+1) {
		return true
	}
	for _, p := range s.Properties {
		if p.secretBelow(root, depth+1) {
			return true
		}
	}
	other, _ := s.field("", root)
	return other != nil && other.secretBelow(root, depth+1)
}
