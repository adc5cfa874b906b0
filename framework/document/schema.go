package document

import (
	_ "embed"
	"encoding/json"
	"io/fs"
	"strings"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
)

//go:embed schema.json
var reflected []byte

type object = map[string]any

// PluginSchema returns the JSON Schema (draft 2020-12) of a plugin's configuration: the schema.json of its filter.Docs,
// which was generated with the doc comments of the plugin's source, or one from the struct and [Comments].
func PluginSchema(reg *filter.Registration) ([]byte, error) {
	if reg.Docs != nil {
		if b, err := fs.ReadFile(reg.Docs, "schema.json"); err == nil {
			return b, nil
		}
	}
	return config.Reflect(reg.Name, reg.Config, Comments)
}

// Comments returns the doc comments of plugins that have no schema.json. A program that was built with the comments of
// its plugins' sources sets it before it makes a schema; without it, these schemas have no descriptions.
var Comments config.Docs

// Schema returns the JSON Schema of a filter's document, for editors: it checks each entry's config by the schema of its
// plugin, one of regs.
func Schema(regs []*filter.Registration) ([]byte, error) { return Compose(reflected, regs) }

// Compose returns schema, which [config.Reflect] has made of a struct that has the fields of a [Document], with regs for
// the plugins that its entries may name. The plugins at its root must be complete; those of routes and consumers are
// merged over them, so Compose cannot tell what they need.
func Compose(schema []byte, regs []*filter.Registration) ([]byte, error) {
	var s object
	if err := json.Unmarshal(schema, &s); err != nil {
		return nil, err
	}
	defs, properties := member(s, "$defs"), member(s, "properties")
	var names, complete, partial []any
	for _, reg := range regs {
		plugin, err := hoist(reg, defs)
		if err != nil {
			return nil, err
		}
		name := object{"const": reg.Name}
		if d, ok := plugin["description"]; ok {
			name["description"] = d
		}
		names = append(names, name)
		complete = append(complete, completeEntry(reg.Name, plugin))
		if !config.HasMerge(reg.Config) { // else a partial one may look otherwise
			partial = append(partial, entryOf(reg.Name, object{"$ref": "#/$defs/" + escape(reg.Name)}))
		}
	}
	entry, _ := defs["Plugin"].(object)
	byName, byID := object{"required": []any{"name"}}, object{"required": []any{"id"}}
	defs["Plugin"] = refine(entry, names, []any{byName, byID}, partial)
	defs["CompletePlugin"] = refine(entry, names, []any{byName}, complete)
	plugins := member(properties, "plugins")
	plugins["minItems"], plugins["items"] = 1, object{"$ref": "#/$defs/CompletePlugin"}
	s["required"] = []any{"plugins"}
	return config.Indent(s)
}

// member returns the object under a name of o, after adding an empty one if it is missing.
func member(o object, name string) object {
	m, ok := o[name].(object)
	if !ok {
		m = object{}
		o[name] = m
	}
	return m
}

// entryOf says of an entry that names a plugin that its config, if there is one, has that schema.
func entryOf(name string, config object) object {
	return object{
		"if":   object{"properties": object{"name": object{"const": name}}, "required": []any{"name"}},
		"then": object{"properties": object{"config": config}},
	}
}

// completeEntry says what an entry that names a plugin and is not disabled must have. It takes what is required out of
// the plugin's schema: partial configurations refer to that too.
func completeEntry(name string, plugin object) object {
	config := object{"$ref": "#/$defs/" + escape(name)}
	then := object{"properties": object{"config": config}}
	if required, ok := plugin["required"]; ok {
		delete(plugin, "required")
		then = object{
			"required":   []any{"config"},
			"properties": object{"config": object{"allOf": []any{config, object{"required": required}}}},
		}
	}
	return object{
		"if": object{
			"properties": object{"name": object{"const": name}, "disabled": object{"not": object{"const": true}}},
			"required":   []any{"name"},
		},
		"then": then,
	}
}

// refine returns the schema of an entry that names one of names, has one of the sets of required fields, and is checked
// by cases.
func refine(entry object, names, required, cases []any) object {
	refined, properties := object{}, object{}
	for k, v := range entry {
		refined[k] = v
	}
	for k, v := range member(entry, "properties") {
		properties[k] = v
	}
	refined["properties"], refined["anyOf"] = properties, required
	if names != nil {
		name := object{"anyOf": names}
		if d, ok := member(properties, "name")["description"]; ok {
			name["description"] = d
		}
		properties["name"] = name
	}
	if cases != nil {
		refined["allOf"] = cases
	}
	return refined
}

// hoist puts the schema of a plugin's configuration, with the definitions it refers to, into defs, and returns it.
func hoist(reg *filter.Registration, defs object) (object, error) {
	text, err := PluginSchema(reg)
	if err != nil {
		return nil, err
	}
	var s object
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	rebase(s, reg.Name)
	if own, ok := s["$defs"].(object); ok {
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
	case object:
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
