package config

import (
	"fmt"
	"reflect"
)

// Complete does for a struct that Go code has filled what [Decode] does for one that it has filled itself: a field that
// is zero gets what its default tag says, in the structs inside it too, whether in lists, in maps or behind pointers;
// then `validate` tags and Validate apply. An intended zero looks like a field that was left out: that
// takes Decode.
func Complete(plugin string, into any) error {
	r := &run{Decoder: &Decoder{Plugin: plugin}}
	r.complete("", reflect.ValueOf(into))
	if len(r.errs) == 0 {
		r.validate(into)
	}
	return r.errs.Of(plugin).Err()
}

func (r *run) complete(path string, v reflect.Value) {
	t := v.Type()
	if readerOf(t) != nil {
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			r.complete(path, v.Elem())
		}
	case reflect.Struct:
		for _, f := range fieldsOf(t) {
			if f.raw {
				continue
			}
			if at, fv := Key(path, f.name), v.FieldByIndex(f.index); fv.IsZero() {
				r.setDefault(at, f, fv)
			} else {
				r.complete(at, fv)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			r.complete(Index(path, i), v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			e := reflect.New(t.Elem()).Elem() // what a map holds cannot be changed in it
			e.Set(v.MapIndex(k))
			r.complete(Key(path, fmt.Sprint(k)), e)
			v.SetMapIndex(k, e)
		}
	}
}
