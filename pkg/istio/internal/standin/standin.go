// Package standin validates documents whose secrets only the proxy can read.
package standin

import (
	"strings"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/pkg/istio/internal/manifest"
)

// secret is long enough for a key, and valid as text, hexadecimal and Base64.
const secret = "00000000000000000000000000000000"

// Validate validates a document as if the files and variables that its secrets name existed here. It returns what
// validate said, without errors about them, and the document with stand-ins in place of the secrets that are missing.
func Validate(doc map[string]any, validate func(doc map[string]any) error) (map[string]any, config.Errors) {
	es, _ := validate(doc).(config.Errors)
	complete, missing := replace(doc, es)
	if len(missing) == 0 {
		return doc, es
	}
	es, _ = validate(complete).(config.Errors)
	var rest config.Errors
	for _, e := range es {
		if !missing[e.Path] {
			rest = append(rest, e)
		}
	}
	return complete, rest
}

// replace puts stand-ins in place of the secrets, {file: …} and {env: …}, that errors are about.
func replace(doc map[string]any, es config.Errors) (complete map[string]any, missing map[string]bool) {
	complete, missing = doc, map[string]bool{}
	for _, e := range es {
		from, _ := manifest.At(doc, e.Path).(map[string]any)
		named := manifest.String(from["file"]) != "" || manifest.String(from["env"]) != ""
		if len(from) != 1 || !named || strings.HasPrefix(e.Msg, "expected") {
			continue // another mistake
		}
		if len(missing) == 0 {
			complete, _ = config.Clone(doc).(map[string]any)
		}
		missing[e.Path] = true
		parent := manifest.Parent(e.Path)
		key, index, _ := config.CutPath(e.Path[len(parent):])
		switch c := manifest.At(complete, parent).(type) {
		case map[string]any:
			c[key] = secret
		case []any:
			c[index] = secret
		}
	}
	return complete, missing
}
