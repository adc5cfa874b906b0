// Package config turns the text of a configuration into plugins' structs: it parses JSON and YAML, decodes strictly
// with defaults, validates, merges a route's configuration over its filter's, and describes it all as JSON Schema.
//
// A plugin's struct says what it takes by its tags:
//
//	json:"name"      the field's name; "-" leaves it out of the configuration
//	default:"5s"     what an absent field is; lists and objects as JSON, a list of plain values also as "a,b"
//	absent:"5s"      what an absent field means to its reader, for the schema; decoding leaves the field zero
//	validate:"…"     checks of github.com/go-playground/validator, applied to the elements of lists and maps unasked
//	enum:"a,b"       the texts that a string, or each string of a list or map, may be
//	merge:"append"   a route's list comes after its parent's instead of replacing it
//
// Besides Go's basic types, slices, maps, structs and pointers to them, a field may be a time.Duration, extension.Size,
// extension.Secret, *url.URL, *regexp.Regexp, netip.Addr, netip.AddrPort, netip.Prefix, anything that is an
// encoding.TextUnmarshaler, or any. Embedded structs are part of the struct around them, and so are the fields of an
// embedded [Raw].
//
// Errors never quote a value, because any value may be a secret in the wrong place; they say where it is, what it
// should be and what kind it is of.
package config

import (
	"reflect"
	"strings"
	"sync"
)

// field is a field of a struct that can be configured.
type field struct {
	name   string // in the configuration
	index  []int
	typ    reflect.Type
	tag    reflect.StructTag
	goName string
	owner  reflect.Type // the struct that declares it: t, or one embedded in it
	raw    bool         // index is that of the Raw which takes it
}

func (f *field) def() (string, bool) { return f.tag.Lookup("default") }

func (f *field) enum() []string {
	if e := f.tag.Get("enum"); e != "" {
		return strings.Split(e, ",")
	}
	return nil
}

func (f *field) required() bool {
	for check := range strings.SplitSeq(f.tag.Get("validate"), ",") {
		if check == "dive" {
			return false
		}
		if check == "required" {
			return true
		}
	}
	return false
}

var fieldCache sync.Map // of []field by reflect.Type

// fieldsOf returns the fields of struct t, those of embedded structs included.
func fieldsOf(t reflect.Type) []field {
	if f, ok := fieldCache.Load(t); ok {
		return f.([]field)
	}
	var fields []field
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Anonymous && sf.Type.Kind() == reflect.Struct {
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				fields = append(fields, f)
			}
			continue
		}
		if r, ok := reflect.Zero(sf.Type).Interface().(interface{ members() reflect.Type }); ok && sf.Anonymous {
			for _, f := range fieldsOf(r.members()) {
				f.index, f.raw = sf.Index, true
				fields = append(fields, f)
			}
			continue
		}
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if !sf.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = sf.Name
		}
		fields = append(fields, field{name: name, index: sf.Index, typ: sf.Type, tag: sf.Tag, goName: sf.Name, owner: t})
	}
	fieldCache.Store(t, fields)
	return fields
}

// Names returns the names that the fields of struct t have in a configuration, in their order.
func Names(t reflect.Type) []string {
	var names []string
	for _, f := range fieldsOf(t) {
		names = append(names, f.name)
	}
	return names
}

func fieldNamed(t reflect.Type, name string) *field {
	fields := fieldsOf(t)
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}

// elem takes the pointers off t.
func elem(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}
