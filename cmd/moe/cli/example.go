package cli

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// schema is the part of a JSON Schema that is read here.
type schema struct {
	Description string          `json:"description"`
	Type        any             `json:"type"`
	Ref         string          `json:"$ref"`
	Properties  json.RawMessage `json:"properties"` // an object whose order matters
	Required    []string        `json:"required"`
	Default     json.RawMessage `json:"default"`
	Enum        []any           `json:"enum"`
	Minimum     json.Number     `json:"minimum"`
	Format      string          `json:"format"`
	Items       *schema         `json:"items"`
	AnyOf       []*schema       `json:"anyOf"`
	OneOf       []*schema       `json:"oneOf"`
}

type property struct {
	name string
	schema
}

// properties returns the fields in the order of the struct.
func (s *schema) properties() []property {
	var fields []property
	d := json.NewDecoder(strings.NewReader(string(s.Properties)))
	if _, err := d.Token(); err != nil {
		return nil
	}
	for d.More() {
		p := property{}
		key, err := d.Token()
		if err == nil {
			err = d.Decode(&p.schema)
		}
		if err != nil {
			return fields
		}
		p.name, _ = key.(string)
		fields = append(fields, p)
	}
	return fields
}

// kind names the type of a value for people.
func (s *schema) kind() string {
	switch t := s.Type.(type) {
	case string:
		if t == "array" && s.Items != nil {
			return "list of " + s.Items.kind()
		}
		return t
	case []any:
		var kinds []string
		for _, k := range t {
			kinds = append(kinds, fmt.Sprint(k))
		}
		return strings.Join(kinds, " or ")
	}
	var kinds []string
	for _, alternative := range slices.Concat(s.AnyOf, s.OneOf) {
		if k := alternative.kind(); !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	switch {
	case kinds != nil:
		return strings.Join(kinds, " or ")
	case s.Ref != "":
		return "object"
	}
	return "any"
}

// fieldTable returns the fields as a Markdown table that begins with an empty line.
func fieldTable(s *schema) string {
	fields := s.properties()
	if len(fields) == 0 {
		return "\nIt has no configuration.\n"
	}
	var b strings.Builder
	b.WriteString("\n| field | type | default | meaning |\n|---|---|---|---|\n")
	for _, f := range fields {
		def := string(f.Default)
		if slices.Contains(s.Required, f.name) {
			def = "required"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind(), def, strings.Join(strings.Fields(f.Description), " "))
	}
	return b.String()
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(plugins:\n.*?)```")

// exampleOf returns the manual's first example for this plugin, or one with the fields that the configuration requires.
func exampleOf(name, manual string, s *schema) string {
	for _, m := range yamlBlock.FindAllStringSubmatch(manual, -1) {
		if strings.Contains(m[1], "name: "+name) {
			return m[1]
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "plugins:\n- name: %s\n", name)
	head := "  config:\n"
	for _, f := range s.properties() {
		if !slices.Contains(s.Required, f.name) {
			continue
		}
		fmt.Fprintf(&b, "%s    %s: %s\n", head, f.name, f.sample(name))
		head = ""
	}
	return b.String()
}

// sample is a value of the right type, in YAML's flow style.
func (p *property) sample(plugin string) string {
	switch k := p.kind(); {
	case len(p.Default) > 0:
		return string(p.Default)
	case len(p.Enum) > 0:
		b, err := json.Marshal(p.Enum[0])
		if err != nil {
			return "null"
		}
		return string(b)
	case k == "string or object": // a secret
		return "{env: " + strings.ToUpper(plugin+"_"+p.name) + "}"
	case k == "boolean":
		return "true"
	case strings.Contains(k, "integer"), strings.Contains(k, "number"):
		if p.Minimum != "" {
			return p.Minimum.String()
		}
		return "1"
	case strings.HasPrefix(k, "list of"):
		return "[]"
	case k == "object":
		return "{}"
	}
	return "TEXT"
}
