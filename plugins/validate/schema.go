package validate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
	textmessage "golang.org/x/text/message"
)

// maxDocument bounds the length of documents and schemas.
const maxDocument = 8 << 20

// parse reads a document in JSON or YAML as data of JSON. YAML's aliases are refused: a few lines of them make gigabytes.
func parse(text []byte) (any, error) {
	if len(text) > maxDocument {
		return nil, errors.New("longer than 8 MiB")
	}
	if t := bytes.TrimSpace(text); len(t) > 0 && (t[0] == '{' || t[0] == '[') && json.Valid(t) {
		return jsonschema.UnmarshalJSON(bytes.NewReader(t))
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return nil, errors.New("neither JSON nor YAML")
	}
	if line := aliased(&node); line != 0 {
		return nil, fmt.Errorf("line %d: YAML aliases are refused; write the value out, or use $ref", line)
	}
	var v any
	if err := node.Decode(&v); err != nil {
		return nil, errors.New("neither JSON nor YAML")
	}
	return normal(v)
}

// aliased returns the line of an alias, or 0.
func aliased(n *yaml.Node) int {
	if n.Kind == yaml.AliasNode || n.Tag == "!!merge" {
		return n.Line
	}
	for _, c := range n.Content {
		if line := aliased(c); line != 0 {
			return line
		}
	}
	return 0
}

// normal turns what YAML makes of a document into what JSON would: keys are strings, numbers are json.Number.
func normal(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		return normalObject(v)
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[fmt.Sprint(k)] = e // the status codes of responses, for example
		}
		return normalObject(m)
	case []any:
		for i, e := range v {
			var err error
			if v[i], err = normal(e); err != nil {
				return nil, err
			}
		}
		return v, nil
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil, errors.New("a number that JSON does not have")
		}
	case nil, bool, string, json.Number:
		return v, nil
	}
	text, err := json.Marshal(v) // numbers and times
	if err != nil {
		return nil, errors.New("a value that JSON does not have")
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}

func normalObject(m map[string]any) (any, error) {
	for k, e := range m {
		var err error
		if m[k], err = normal(e); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// noLoader refuses to fetch what a schema refers to: neither files nor the network are read.
type noLoader struct{}

var errRemote = errors.New("references to other documents are refused; put the schema into this one")

// Load is that of jsonschema.URLLoader.
func (noLoader) Load(string) (any, error) { return nil, errRemote }

// here is the address of the document, so that references within it are found.
const here = "moe:///document"

func newCompiler(document any, formats bool) (*jsonschema.Compiler, error) {
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	if formats {
		c.AssertFormat()
	}
	return c, c.AddResource(here, document)
}

func compileSchema(schema any, formats bool) (*jsonschema.Schema, error) {
	schema, err := normal(schema)
	if err != nil {
		return nil, err
	}
	c, err := newCompiler(schema, formats)
	if err != nil {
		return nil, schemaError(err)
	}
	s, err := c.Compile(here)
	return s, schemaError(err)
}

// schemaError says where a schema is wrong, in one line.
func schemaError(err error) error {
	if err == nil || errors.Is(err, errRemote) {
		return err
	}
	text := strings.ReplaceAll(err.Error(), here, "")
	return errors.New(strings.Join(strings.Fields(text), " "))
}

// violation is one way in which a message is not valid.
type violation struct {
	// Pointer is a JSON Pointer, as a fragment, to the value in the body.
	Pointer string `json:"pointer,omitempty"`
	// Parameter names what is not in the body: a query parameter, a header.
	Parameter string `json:"parameter,omitempty"`
	Detail    string `json:"detail"`
}

var english = textmessage.NewPrinter(language.English)

// violations returns at most n of those that an error of the library stands for, in the order of their places.
func violations(err error, n int) []violation {
	var e *jsonschema.ValidationError
	if !errors.As(err, &e) {
		return nil
	}
	var list []violation
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 {
			list = append(list, violation{Pointer: pointer(e.InstanceLocation), Detail: e.ErrorKind.LocalizedString(english)})
		}
		for _, c := range e.Causes {
			if len(list) < 1000 { // of a body that is wrong everywhere
				walk(c)
			}
		}
	}
	walk(e)
	slices.SortStableFunc(list, func(a, b violation) int { return strings.Compare(a.Pointer, b.Pointer) })
	return slices.Compact(list)[:min(n, len(slices.Compact(list)))]
}

var escapes = strings.NewReplacer("~", "~0", "/", "~1")

// pointer is a JSON Pointer as a fragment; RFC 6901.
func pointer(keys []string) string {
	var b strings.Builder
	b.WriteByte('#')
	for _, k := range keys {
		b.WriteString("/" + escapes.Replace(k))
	}
	return b.String()
}
