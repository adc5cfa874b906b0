package moefile

import (
	"bytes"
	"encoding/json"
	"maps"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
)

type object = map[string]any

// Schema returns the JSON Schema (draft 2020-12) of a moe.yaml with the plugins of this program: that of a filter's
// document, and what the file has besides.
func Schema() ([]byte, error) {
	text, err := config.DocumentSchema(filter.Registrations())
	if err != nil {
		return nil, err
	}
	var s object
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	properties, ok := s["properties"].(object)
	if !ok {
		properties = object{}
	}
	route := object{}
	maps.Copy(route, properties)
	delete(route, "generic_secrets") // which are the filter's
	route["plugins"] = object{
		"type": "array", "description": "Merged over the plugins above, by id.",
		"items": object{"$ref": "#/$defs/consumerEntry"},
	}
	route["match"] = matchSchema()
	route["name"] = object{
		"type": "string", "description": "In Envoy's configuration; route-0, route-1 and so on by default.",
	}
	properties["listen"] = object{
		"type": "string", "default": "127.0.0.1:10000",
		"description": "IP address and port to listen on; :PORT is all addresses, port 0 any free one.",
	}
	properties["upstream"] = object{
		"type": "string", "default": Echo, "pattern": "^(echo|(http|https|h2c)://[^/?#]+/?)$",
		"description": "Where requests go: http://HOST[:PORT], h2c://… for HTTP/2 without TLS, https://…, or echo.",
	}
	properties["routes"] = object{
		"type": "array", "description": "Tried in order; what matches none gets the plugins above.",
		"items": object{"type": "object", "additionalProperties": false, "properties": route},
	}
	s["title"], s["properties"] = "moe.yaml", properties
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err = e.Encode(s)
	return b.Bytes(), err
}

func matchSchema() object {
	texts := object{}
	for name, description := range map[string]string{
		"path":   "The whole path, without the query.",
		"prefix": "What the path begins with.",
		"regex":  "RE2, for the whole path.",
		"host":   "Without the port; *.example.com is all below.",
	} {
		texts[name] = object{"type": "string", "description": description}
	}
	texts["methods"] = object{"type": "array", "items": object{"type": "string"}, "description": "Any of them."}
	texts["headers"] = object{
		"type": "object", "additionalProperties": object{"type": "string"},
		"description": "Exact values by name; an empty one asks only that the header is there.",
	}
	return object{
		"type": "object", "additionalProperties": false, "properties": texts,
		"description": "Which requests; all that is given must hold. At most one of path, prefix and regex.",
	}
}
