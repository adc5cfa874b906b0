package mosnconf

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// fold returns raw with the names of fields as t has them. MOSN reads its configuration with encoding/json, which takes
// "Name" for "name"; many of its examples rely on that. The exact name wins over another, as it would be ambiguous
// otherwise; what t does not have stays, and is an error later.
func fold(raw any, t reflect.Type) any {
	switch t.Kind() {
	case reflect.Pointer:
		return fold(raw, t.Elem())
	case reflect.Slice:
		given, ok := raw.([]any)
		if !ok {
			return raw
		}
		out := make([]any, len(given))
		for i := range given {
			out[i] = fold(given[i], t.Elem())
		}
		return out
	case reflect.Struct:
		given, ok := raw.(map[string]any)
		if !ok {
			return raw
		}
		fields := fieldsOf(t)
		out := make(map[string]any, len(given))
		for _, key := range slices.Sorted(maps.Keys(given)) {
			name := key
			if _, exact := fields[key]; !exact {
				name = folded(key, fields, given)
			}
			value := given[key]
			if ft, known := fields[name]; known {
				value = fold(value, ft)
			}
			out[name] = value
		}
		return out
	}
	return raw
}

// folded returns the field that key means, or key.
func folded(key string, fields map[string]reflect.Type, given map[string]any) string {
	for name := range fields {
		if _, both := given[name]; !both && strings.EqualFold(name, key) {
			return name
		}
	}
	return key
}

// fieldsOf returns the types of a struct's fields by their names in JSON, with those of embedded structs.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for sf := range t.Fields() {
		if sf.Anonymous {
			maps.Copy(out, fieldsOf(sf.Type))
			continue
		}
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		out[name] = sf.Type
	}
	return out
}
