package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Encode returns generic data that [Decode] reads as v, a struct or a pointer to one. Zero fields are left out; a list or
// map that is empty but not nil stays, because it replaces that of a parent. A struct with a field that has no plain
// form, such as a secret, is an error. The result shares maps and lists of generic data with v.
func Encode(v any) (map[string]any, error) {
	rv := reflect.Indirect(reflect.ValueOf(v))
	if rv.Kind() != reflect.Struct {
		return nil, fmt.Errorf("config: Encode of %T, which is not a struct", v)
	}
	m, err := encode(rv)
	if err != nil {
		return nil, err
	}
	return m.(map[string]any), nil
}

func encode(v reflect.Value) (any, error) {
	t := v.Type()
	if t == durationType {
		return shortDuration(v.Interface().(time.Duration)), nil
	}
	if ref, ok := v.Interface().(SecretRef); ok {
		return ref.Data(), nil
	}
	if text, ok := v.Interface().(encoding.TextMarshaler); ok && t != secretType && readerOf(t) != nil {
		b, err := text.MarshalText()
		return string(b), err
	}
	if readerOf(t) != nil {
		return nil, fmt.Errorf("config: Encode of %v, which has no plain form", t)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return encode(v.Elem())
	case reflect.Interface:
		return v.Interface(), nil
	case reflect.Struct:
		return encodeStruct(v)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Interface {
			return v.Interface(), nil
		}
		l := make([]any, v.Len())
		for i := range l {
			e, err := encode(v.Index(i))
			if err != nil {
				return nil, err
			}
			l[i] = e
		}
		return l, nil
	case reflect.Map:
		if m, ok := v.Interface().(map[string]any); ok {
			return m, nil
		}
		m := make(map[string]any, v.Len())
		for _, k := range v.MapKeys() {
			e, err := encode(v.MapIndex(k))
			if err != nil {
				return nil, err
			}
			m[k.String()] = e
		}
		return m, nil
	case reflect.String:
		return v.String(), nil
	case reflect.Bool:
		return v.Bool(), nil
	}
	switch {
	case v.CanInt():
		return v.Int(), nil
	case v.CanUint():
		return v.Uint(), nil
	case v.CanFloat():
		return v.Float(), nil
	}
	return nil, fmt.Errorf("config: Encode of %v, which has no plain form", t)
}

func encodeStruct(v reflect.Value) (any, error) {
	m := map[string]any{}
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		if f.raw {
			fv = fv.MapIndex(reflect.ValueOf(f.name))
		}
		if !fv.IsValid() || fv.IsZero() {
			continue
		}
		e, err := encode(fv)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		m[f.name] = e
	}
	return m, nil
}

// shortDuration writes 1m, not 1m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
