package config

import (
	"encoding/json"
	"io/fs"
	"strings"

	"mosn.io/moe/framework/filter"
)

// Schema returns the JSON Schema (draft 2020-12) of reg's configuration: the schema.json of its filter.Docs, which was
// generated with the doc comments of the plugin's source, or one from the struct alone.
func Schema(reg *filter.Registration) ([]byte, error) {
	if reg.Docs != nil {
		if b, err := fs.ReadFile(reg.Docs, "schema.json"); err == nil {
			return b, nil
		}
	}
	return Reflect(reg, nil)
}

type obj = map[string]any

// DocumentSchema returns the JSON Schema of the document of a chain, for editors: each entry's config is checked by
// the schema of its plugin, of regs. It cannot tell what a route's document needs, as that is merged with another.
func DocumentSchema(regs []*filter.Registration) ([]byte, error) {
	defs := obj{}
	var names, complete, partial []any
	for _, reg := range regs {
		s, err := hoist(reg, defs)
		if err != nil {
			return nil, err
		}
		name := obj{"const": reg.Name}
		if d, ok := s["description"]; ok {
			name["description"] = d
		}
		names = append(names, name)
		config := obj{"$ref": "#/$defs/" + escape(reg.Name)}
		when := obj{"properties": obj{"name": obj{"const": reg.Name}}, "required": []any{"name"}}
		if !HasMerge(reg) { // else a partial one may look otherwise
			partial = append(partial, obj{"if": when, "then": obj{"properties": obj{"config": config}}})
		}
		then := obj{"properties": obj{"config": config}}
		if required, ok := s["required"]; ok {
			delete(s, "required")
			then = obj{
				"required":   []any{"config"},
				"properties": obj{"config": obj{"allOf": []any{config, obj{"required": required}}}},
			}
		}
		on := obj{
			"properties": obj{"name": obj{"const": reg.Name}, "disabled": obj{"not": obj{"const": true}}},
			"required":   []any{"name"},
		}
		complete = append(complete, obj{"if": on, "then": then})
	}
	entry := func(required, cases []any) obj {
		e := obj{"type": "object", "additionalProperties": false, "properties": obj{
			"name":     obj{"description": "The plugin.", "anyOf": names},
			"id":       obj{"type": "string", "description": "Tells entries apart that use one plugin; its name by default."},
			"config":   obj{"type": "object", "description": "The plugin's configuration."},
			"disabled": obj{"type": "boolean", "description": "Leave the plugin out."},
		}}
		if required != nil {
			e["anyOf"] = required
		}
		if cases != nil {
			e["allOf"] = cases
		}
		return e
	}
	byName, byID := obj{"required": []any{"name"}}, obj{"required": []any{"id"}}
	if names == nil {
		names = []any{obj{"type": "string"}}
	}
	defs["pluginEntry"] = entry([]any{byName}, complete)
	defs["consumerEntry"] = entry([]any{byName, byID}, partial)
	return indent(obj{
		"$schema": draft, "title": "MoE chain", "type": "object", "additionalProperties": false,
		"required": []any{"plugins"}, "$defs": defs,
		"properties": obj{
			"plugins": obj{
				"type": "array", "minItems": 1, "items": obj{"$ref": "#/$defs/pluginEntry"},
				"description": "The plugins of the chain.",
			},
			"order": obj{
				"enum": []any{"stage", "listed"}, "default": "stage",
				"description": "Run plugins in the order of their stages (access, authn, authz, traffic, transform, " +
					"observe), or as listed.",
			},
			"timeout": merged(leaves[durationType].schema, obj{
				"default":     "30s",
				"description": "How long a plugin may hold a stream before it is answered with 504.",
			}),
			"authentication": obj{
				"enum": []any{"all", "any"}, "default": "all",
				"description": "Where several plugins authenticate: each must find a credential, all of one consumer, or one " +
					"is enough.",
			},
			"consumerHeader": obj{
				"type": "string", "description": "The request header that tells the upstream the consumer's name; none by " +
					"default. What a client sends in it is removed.",
			},
			"consumerSource": obj{
				"type": "object", "additionalProperties": false, "required": []any{"path"},
				"description": "More consumers, from files that are watched.", "properties": obj{
					"path": obj{"type": "string", "description": "A file, or a directory with .json, .yaml and .yml files."},
					"poll": merged(leaves[durationType].schema, obj{
						"default": "1s", "description": "How often the files are looked at.",
					}),
				},
			},
			"generic_secrets": obj{
				"type": "array", "description": "The generic secrets of Envoy's that the plugins may ask for.", "items": obj{
					"type": "object", "additionalProperties": false, "required": []any{"name"}, "properties": obj{
						"name": obj{"type": "string", "minLength": 1, "description": "The secret's name."},
						"sds_config": obj{
							"type": "object", "description": "Where Envoy gets it from: a config.core.v3.ConfigSource. Without it " +
								"it is a static secret of Envoy's bootstrap.",
						},
					},
				},
			},
			"consumers": obj{"type": "array", "description": "Who may call.", "items": obj{
				"type": "object", "additionalProperties": false, "required": []any{"name"}, "properties": obj{
					"name": obj{"type": "string", "minLength": 1},
					"labels": obj{
						"type": "object", "additionalProperties": obj{"type": "string"},
						"description": "What is known of the consumer, for authorization.",
					},
					"groups": obj{
						"type": "array", "items": obj{"type": "string"}, "description": "The groups that the consumer is in.",
					},
					"attributes": obj{"type": "object", "description": "Whatever else is known of the consumer."},
					"credentials": obj{
						"type": "object", "additionalProperties": obj{"type": "object"},
						"description": "What the consumer proves itself with, by the name of the plugin that asks for it.",
					},
					"plugins": obj{
						"type": "array", "items": obj{"$ref": "#/$defs/consumerEntry"},
						"description": "Merged over the chain's plugins for requests of the consumer.",
					},
				},
			}},
		},
	})
}

func merged(a, b obj) obj { return MergeData(a, b) }

// hoist puts the schema of reg's configuration, with the definitions it refers to, into defs, and returns it.
func hoist(reg *filter.Registration, defs obj) (obj, error) {
	text, err := Schema(reg)
	if err != nil {
		return nil, err
	}
	var s obj
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	rebase(s, reg.Name)
	if own, ok := s["$defs"].(obj); ok {
		for name, d := range own {
			defs[reg.Name+"."+name] = d
		}
	}
	for _, k := range []string{"$schema", "$id", "$defs", "title"} {
		delete(s, k)
	}
	defs[reg.Name] = s
	return s, nil
}

// rebase changes references within the schema of one plugin to where hoist puts what they mean.
func rebase(v any, name string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			rebase(e, name)
		}
	case obj:
		for k, e := range v {
			ref, ok := e.(string)
			switch {
			case k == "default" || k == "examples" || k == "enum" || k == "const":
			case k == "$ref" && ok && ref == "#":
				v[k] = "#/$defs/" + escape(name)
			case k == "$ref" && ok:
				v[k] = strings.Replace(ref, "#/$defs/", "#/$defs/"+escape(name)+".", 1)
			default:
				rebase(e, name)
			}
		}
	}
}

// escape writes a plugin's name for a JSON pointer in a URI fragment.
func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "%", "%25", " ", "%20").Replace(name)
}
