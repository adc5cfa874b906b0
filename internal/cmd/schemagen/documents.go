package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/internal/doccomments"
	"mosn.io/moe/internal/moefile"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

type object = map[string]any

// generateDocuments makes what comes of the structs of a chain's document, of moe.yaml and of FilterPolicy (JSON schemas,
// the CRD manifest, the reference), and the list of the types of Envoy that EnvoyFilters may hold; see generate.
func generateDocuments(write bool) (changed []string, err error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	docs := commentsOf(root)
	for _, f := range []struct {
		name string
		make func(*doccomments.Comments) ([]byte, error)
	}{
		{"framework/document/schema.json", chainSchema},
		{"internal/moefile/schema.json", moefileSchema},
		{"pkg/istio/v1alpha1/schema.json", policySchema},
		{"pkg/istio/v1alpha1/crd.yaml", policyCRD},
		{"docs/istio-reference.md", policyReference},
		{"pkg/istio/envoytypes/types.go", envoyTypes},
	} {
		text, err := f.make(docs)
		if err == nil {
			err = docs.Err
		}
		if err != nil {
			return changed, fmt.Errorf("%s: %w", f.name, err)
		}
		path := filepath.Join(root, filepath.FromSlash(f.name))
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
			continue
		}
		changed = append(changed, path)
		if write {
			if err := os.WriteFile(path, text, 0o644); err != nil {
				return changed, err
			}
		}
	}
	return changed, nil
}

func chainSchema(c *doccomments.Comments) ([]byte, error) {
	return config.Reflect("MoE chain", reflect.TypeFor[document.Document](), c.Of)
}

func moefileSchema(c *doccomments.Comments) ([]byte, error) { return moefile.Reflect(c.Of) }

// reflected returns the schema as the struct has it.
func reflected(c *doccomments.Comments) (object, error) {
	text, err := config.Reflect(v1alpha1.Kind, reflect.TypeFor[v1alpha1.FilterPolicy](), c.Of)
	if err != nil {
		return nil, err
	}
	var s object
	return s, json.Unmarshal(text, &s)
}

func policySchema(c *doccomments.Comments) ([]byte, error) {
	s, err := reflected(c)
	if err != nil {
		return nil, err
	}
	// Kubernetes adds to metadata, and a status is its, too.
	delete(s["$defs"].(object)["Metadata"].(object), "additionalProperties")
	s["properties"].(object)["status"] = object{}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err = e.Encode(s)
	return b.Bytes(), err
}

func policyCRD(c *doccomments.Comments) ([]byte, error) {
	s, err := reflected(c)
	if err != nil {
		return nil, err
	}
	spec := structural(s["properties"].(object)["spec"], s["$defs"].(object)).(object)
	spec["x-kubernetes-validations"] = []any{object{
		"rule": "!(has(self.selector) && has(self.targetRefs))", "message": "a policy has a selector or targetRefs, not both",
	}}
	singular := strings.ToLower(v1alpha1.Kind)
	return yaml.Marshal(object{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": object{"name": "filterpolicies." + v1alpha1.Group},
		"spec": object{
			"group": v1alpha1.Group, "scope": "Namespaced",
			"names": object{
				"kind": v1alpha1.Kind, "listKind": v1alpha1.Kind + "List", "plural": "filterpolicies", "singular": singular,
				"categories": []any{"moe"},
			},
			"versions": []any{object{
				"name": v1alpha1.Version, "served": true, "storage": true,
				"additionalPrinterColumns": []any{
					object{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
				},
				"schema": object{"openAPIV3Schema": object{
					"type": "object", "required": []any{"spec"}, "description": s["description"],
					"properties": object{
						"apiVersion": object{"type": "string"}, "kind": object{"type": "string"},
						"metadata": object{"type": "object"}, "spec": spec,
					},
				}},
			}},
		},
	})
}

// structural makes of a JSON Schema what the API server of Kubernetes asks of a CRD's: no references, no closed objects
// (it prunes fields that it does not know), none of the words that it refuses, and no defaults, which it would write
// into the objects.
func structural(v any, defs object) any {
	s, ok := v.(object)
	if !ok {
		return v
	}
	if ref, ok := s["$ref"].(string); ok {
		target := structural(defs[strings.TrimPrefix(ref, "#/$defs/")], defs).(object)
		if d, ok := s["description"]; ok {
			target["description"] = d
		}
		return target
	}
	out := object{}
	for k, e := range s {
		switch k {
		case "properties":
			properties := object{}
			for name, p := range e.(object) {
				properties[name] = structural(p, defs)
			}
			out[k] = properties
		case "items":
			out[k] = structural(e, defs)
		case "additionalProperties":
			if m, ok := e.(object); ok && len(m) > 0 {
				out[k] = structural(e, defs)
			} else if ok {
				out["x-kubernetes-preserve-unknown-fields"] = true
			}
		case "uniqueItems":
			out["x-kubernetes-list-type"] = "set"
		case "default", "examples", "exclusiveMinimum", "exclusiveMaximum":
		default:
			out[k] = e
		}
	}
	if kinds, ok := out["type"].([]any); ok {
		delete(out, "type")
		if slices.Contains(kinds, any("integer")) && slices.Contains(kinds, any("string")) {
			out["x-kubernetes-int-or-string"] = true
		}
	}
	if out["type"] == nil && out["x-kubernetes-int-or-string"] == nil {
		delete(out, "anyOf")
		delete(out, "oneOf")
		out["x-kubernetes-preserve-unknown-fields"] = true
	}
	return out
}

func policyReference(c *doccomments.Comments) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Reference: %s\n\n", v1alpha1.Kind)
	b.WriteString("<!-- Written by `go run ./internal/cmd/schemagen` from the types in pkg/istio/v1alpha1. -->\n\n")
	b.WriteString("[MoE in Istio](istio.md) says what policies are for and how they act. `moe istio crd` prints the\n" +
		"CustomResourceDefinition; [schema.json](../pkg/istio/v1alpha1/schema.json) is the JSON schema, for editors.\n")
	seen := map[reflect.Type]bool{}
	var table func(t reflect.Type)
	table = func(t reflect.Type) {
		if seen[t] {
			return
		}
		seen[t] = true
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| field | type | default | meaning |\n|---|---|---|---|\n", t.Name(), oneLine(c.Of(t, "")))
		var below []reflect.Type
		for _, f := range fields(t) {
			def := cmp.Or(f.Tag.Get("default"), f.Tag.Get("absent"))
			if def == "" && strings.Contains(f.Tag.Get("validate"), "required") {
				def = "required"
			}
			kind, named := typeName(f.Type)
			if enum := f.Tag.Get("enum"); enum != "" && named == nil {
				kind = strings.ReplaceAll(kind, "string", "one of "+strings.Trim(strings.ReplaceAll(enum, ",", ", "), ", "))
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Tag.Get("json"), kind, def, oneLine(c.Of(f.owner, f.Name)))
			if named != nil {
				below = append(below, named)
			}
		}
		for _, t := range below {
			table(t)
		}
	}
	table(reflect.TypeFor[v1alpha1.FilterPolicy]())
	return b.Bytes(), nil
}

// structField is a field of a struct, with the struct that declares it.
type structField struct {
	reflect.StructField
	owner reflect.Type
}

// fields returns the fields of struct t, those of embedded structs in the place of these.
func fields(t reflect.Type) (all []structField) {
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous {
			all = append(all, fields(f.Type)...)
		} else {
			all = append(all, structField{f, t})
		}
	}
	return all
}

// typeName names a type for people, and returns the struct that it is about.
func typeName(t reflect.Type) (string, reflect.Type) {
	switch {
	case t.String() == "time.Duration":
		return "duration", nil
	case t.String() == "time.Time":
		return "time", nil
	case t.String() == "netip.Prefix":
		return "CIDR", nil
	case t.String() == "config.SecretRef":
		return "secret", nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Slice:
		kind, named := typeName(t.Elem())
		return "list of " + kind, named
	case reflect.Map:
		kind, named := typeName(t.Elem())
		if kind == "any" {
			return "object", nil
		}
		return "map of " + kind, named
	case reflect.Struct:
		return fmt.Sprintf("[%s](#%s)", t.Name(), strings.ToLower(t.Name())), t
	case reflect.Bool:
		return "boolean", nil
	case reflect.Interface:
		return "any", nil
	case reflect.Float64:
		return "number", nil
	}
	return t.Kind().String(), nil
}

func oneLine(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
}
