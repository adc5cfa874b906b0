package moefile

import (
	_ "embed"
	"encoding/json"
	"reflect"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
)

//go:embed schema.json
var reflected []byte

// upstreams is what Parse takes for an upstream, as far as a pattern can tell: echo or a name, or an address.
const upstreams = "^([A-Za-z0-9_][A-Za-z0-9_.-]*|(http|https|h2c)://[^/?#]+/?|[^/?#]*:[0-9]+)$"

// Reflect returns the JSON Schema of a moe.yaml whatever the plugins, with descriptions from docs. It is what schema.json
// is written of.
func Reflect(docs config.Docs) ([]byte, error) {
	text, err := config.Reflect("moe.yaml", reflect.TypeFor[file](), docs)
	if err != nil {
		return nil, err
	}
	var s map[string]any
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	properties := s["properties"].(map[string]any)
	properties["upstream"].(map[string]any)["pattern"] = upstreams
	delete(properties, document.StagesField) // which envoyFilters make
	return config.Indent(s)
}

// Schema returns the JSON Schema (draft 2020-12) of a moe.yaml with the plugins of this program.
func Schema() ([]byte, error) { return document.Compose(reflected, filter.Registrations()) }
