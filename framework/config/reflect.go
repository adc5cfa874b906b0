package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// object is a JSON object whose members stay in order, as a reader of the struct expects them.
type object []member

type member struct {
	key   string
	value any
}

func (o *object) set(key string, value any) { *o = append(*o, member{key, value}) }

// MarshalJSON writes the members in order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, m := range o {
		b.WriteByte("{,"[min(i, 1)])
		key, err := json.Marshal(m.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	if len(o) == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Docs returns the doc comment of struct t, or of its field of that Go name; "" if it is not known.
type Docs func(t reflect.Type, field string) string

// reflector makes a schema of a struct.
type reflector struct {
	docs  Docs
	root  reflect.Type
	defs  object
	names map[reflect.Type]string
}

// Reflect returns the JSON Schema (draft 2020-12) of struct t from its fields and tags, with descriptions from docs,
// which may be nil. A secret has no default there, because it cannot have one.
func Reflect(title string, t reflect.Type, docs Docs) ([]byte, error) {
	if docs == nil {
		docs = func(reflect.Type, string) string { return "" }
	}
	r := &reflector{docs: docs, root: t, names: map[reflect.Type]string{}}
	s := object{{"$schema", Draft}, {"title", title}}
	s = append(s, r.structure(t)...)
	if len(r.defs) > 0 {
		s.set("$defs", r.defs)
	}
	return Indent(s)
}

// Draft identifies the version of JSON Schema that [Reflect] writes.
const Draft = "https://json-schema.org/draft/2020-12/schema"

// Indent writes v as JSON for people: indented, and with <, > and & as they are.
func Indent(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

func (r *reflector) structure(t reflect.Type) (s object) {
	if doc := r.docs(t, ""); doc != "" {
		s.set("description", doc)
	}
	s.set("type", "object")
	var props object
	var required []string
	for _, f := range fieldsOf(t) {
		props.set(f.name, r.field(&f))
		if _, ok := f.def(); f.required() && !ok {
			required = append(required, f.name)
		}
	}
	if props == nil {
		props = object{}
	}
	s.set("properties", props)
	if required != nil {
		s.set("required", required)
	}
	s.set("additionalProperties", false)
	return s
}

func (r *reflector) field(f *field) object {
	var s object
	if doc := r.docs(f.owner, f.goName); doc != "" {
		s.set("description", doc)
	}
	s = append(s, r.of(f.typ, strings.Split(f.tag.Get("validate"), ","), f.enum())...)
	text, ok := f.def()
	if !ok {
		text, ok = f.tag.Lookup("absent")
	}
	if ok && elem(f.typ) != secretType {
		s.set("default", defaultOf(text, f.typ))
	}
	return s
}

// of is the schema of a value of type t that passes checks.
func (r *reflector) of(t reflect.Type, checks, enum []string) object {
	t = elem(t)
	if l, ok := leaves[t]; ok {
		var s object
		for _, k := range sortedKeys(l.schema) {
			s.set(k, l.schema[k])
		}
		return s
	}
	own, below := checks, []string(nil)
	for i, c := range checks {
		if c == "dive" {
			own, below = checks[:i], checks[i+1:]
			break
		}
	}
	if readerOf(t) != nil {
		return object{{"type", "string"}}
	}
	var s object
	switch k := t.Kind(); k {
	case reflect.Bool:
		s.set("type", "boolean")
	case reflect.String:
		s.set("type", "string")
		if enum != nil {
			s.set("enum", enum)
		}
	case reflect.Float32, reflect.Float64:
		s.set("type", "number")
	case reflect.Slice, reflect.Array:
		s.set("type", "array")
		s.set("items", r.of(t.Elem(), below, enum))
		if k == reflect.Array {
			s.set("minItems", t.Len())
			s.set("maxItems", t.Len())
		}
	case reflect.Map:
		s.set("type", "object")
		s.set("additionalProperties", r.of(t.Elem(), below, enum))
	case reflect.Struct:
		return object{{"$ref", r.ref(t)}}
	case reflect.Interface:
		return s
	default:
		s.set("type", "integer")
		if k >= reflect.Uint {
			s.set("minimum", 0)
		} else if t.Bits() < 64 {
			s.set("minimum", -int64(1)<<(t.Bits()-1))
		}
		if t.Bits() < 64 {
			bits := t.Bits()
			if k < reflect.Uint {
				bits--
			}
			s.set("maximum", int64(1)<<bits-1)
		}
	}
	return constrain(s, t, own)
}

// ref returns a reference to the schema of struct t, and sees that there is one.
func (r *reflector) ref(t reflect.Type) string {
	if t == r.root {
		return "#"
	}
	name, ok := r.names[t]
	if !ok {
		name = t.Name()
		if i := strings.IndexByte(name, '['); i >= 0 || name == "" {
			name = "object"
		}
		for n, base := 2, name; r.taken(name); n++ {
			name = base + strconv.Itoa(n)
		}
		r.names[t] = name
		r.defs.set(name, nil) // its place, before those that it needs itself
		at := len(r.defs) - 1
		s := r.structure(t)
		r.defs[at].value = s
	}
	return "#/$defs/" + name
}

func (r *reflector) taken(name string) bool {
	for _, n := range r.names {
		if n == name {
			return true
		}
	}
	return false
}

// constrain adds what checks, of a validate tag, say about a value of type t and a schema can say too.
func constrain(s object, t reflect.Type, checks []string) object {
	if len(checks) > 0 && checks[0] == "omitempty" {
		return s // empty passes, whatever follows
	}
	least, most := "minimum", "maximum"
	switch t.Kind() {
	case reflect.String:
		least, most = "minLength", "maxLength"
	case reflect.Slice, reflect.Array:
		least, most = "minItems", "maxItems"
	case reflect.Map:
		least, most = "minProperties", "maxProperties"
	case reflect.Bool:
		return s
	}
	for _, c := range checks {
		name, param, _ := strings.Cut(c, "=")
		n := json.Number(param)
		_, err := n.Float64()
		number := err == nil
		switch {
		case name == "required" && least == "minLength":
			s.put("minLength", 1)
		case (name == "min" || name == "gte") && number:
			s.put(least, n)
		case (name == "max" || name == "lte") && number:
			s.put(most, n)
		case name == "gt" && number && least == "minimum":
			s.put("exclusiveMinimum", n)
		case name == "lt" && number && least == "minimum":
			s.put("exclusiveMaximum", n)
		case name == "len" && number && least != "minimum":
			s.put(least, n)
			s.put(most, n)
		case name == "oneof" && t.Kind() == reflect.String:
			s.put("enum", strings.Fields(param))
		case name == "unique" && least == "minItems":
			s.put("uniqueItems", true)
		}
	}
	return s
}

// put sets a member, in place of one that is there.
func (o *object) put(key string, value any) {
	for i := range *o {
		if (*o)[i].key == key {
			(*o)[i].value = value
			return
		}
	}
	o.set(key, value)
}
