package validate

import (
	"errors"
	"fmt"
	"mime"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// message is a Message whose schema is compiled.
type message struct {
	*Message
	schema *jsonschema.Schema
}

func (m *Message) check() error {
	if m == nil {
		return nil
	}
	var errs []error
	if m.Schema != nil && m.SchemaFile != "" {
		errs = append(errs, errors.New("schemaFile: schema and schemaFile are mutually exclusive"))
	}
	for i, t := range m.ContentTypes {
		if !strings.Contains(t, "/") {
			errs = append(errs, fmt.Errorf("contentTypes[%d]: expected a media type such as application/json", i))
		}
	}
	if m.MaxSize < 0 {
		errs = append(errs, errors.New("maxSize: must not be negative"))
	}
	if m.Schema == nil && m.SchemaFile == "" && len(m.ContentTypes) == 0 && m.MaxSize == 0 && !m.Required {
		errs = append(errs, errors.New("schema: says nothing; give schema, schemaFile, contentTypes, maxSize or required"))
	}
	return errors.Join(errs...)
}

// mediaType is that of a content-type, in lower case; "" where it is none. Parameters are not looked at, whatever they are:
// the type of the document is looked up without them, too.
func mediaType(contentType string) string {
	base, _, _ := strings.Cut(contentType, ";")
	t, _, err := mime.ParseMediaType(base)
	if err != nil || !strings.Contains(t, "/") {
		return ""
	}
	return t
}

// isJSON reports whether a media type is one of JSON.
func isJSON(t string) bool {
	return t == "application/json" || t == "text/json" || strings.HasSuffix(t, "+json")
}

// accepts reports whether the list has a media type. "*" stands for anything up to the end of a part.
func accepts(list []string, t string) bool {
	if len(list) == 0 {
		return true
	}
	kind, sub, _ := strings.Cut(t, "/")
	for _, want := range list {
		k, s, _ := strings.Cut(strings.ToLower(want), "/")
		if (k == "*" || k == kind) && (s == sub || strings.HasPrefix(s, "*") && strings.HasSuffix(sub, s[1:])) {
			return t != ""
		}
	}
	return false
}
