package config

import (
	"reflect"
	"strings"

	"mosn.io/moe/framework/extension"
)

// setDefaults gives the fields of struct v what their tags say, also in structs inside it. Elements of lists and maps
// and what pointers point to are not there yet; they get theirs when they are decoded.
func (r *run) setDefaults(path string, v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		if !f.raw {
			r.setDefault(Key(path, f.name), f, v.FieldByIndex(f.index))
		}
	}
}

// setDefault does so for one field; v is its value.
func (r *run) setDefault(path string, f field, v reflect.Value) {
	text, ok := f.def()
	switch {
	case ok && elem(f.typ) == secretType:
		r.fail(path, "the plugin's field has a default tag, and a secret must not")
	case ok:
		before := len(r.errs)
		r.decode(node{defaultOf(text, f.typ), path, f.enum()}, v.Addr())
		for i := before; i < len(r.errs); i++ {
			r.errs[i].Msg = "the plugin's default tag is wrong: " + r.errs[i].Msg
		}
	case f.typ.Kind() == reflect.Struct && readerOf(f.typ) == nil:
		r.setDefaults(path, v)
	}
}

var secretType = reflect.TypeFor[extension.Secret]()

// defaultOf returns the generic data that text, of a default tag, stands for in a field of type t.
func defaultOf(text string, t reflect.Type) any {
	t = elem(t)
	if readerOf(t) != nil || t.Kind() == reflect.String {
		return text
	}
	v, ok := jsonData(text)
	if ok && (t.Kind() != reflect.Slice || strings.HasPrefix(text, "[")) {
		return v
	}
	if t.Kind() != reflect.Slice {
		return text
	}
	l := []any{}
	for part := range strings.SplitSeq(text, ",") {
		l = append(l, defaultOf(part, t.Elem()))
	}
	return l
}

func jsonData(text string) (any, bool) {
	n, jsonErr := parseJSON([]byte(text))
	if jsonErr != nil {
		return nil, false
	}
	v, err := Data(n)
	return v, err == nil
}
