package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/mitchellh/mapstructure"
)

// Decoder decodes generic data, as [Parse] returns it, into a struct. The zero value is ready.
type Decoder struct {
	Path    string // where the data is in its document: every error's path begins with it
	Plugin  string // whose configuration it is, for errors
	Partial bool   // what is required may come from elsewhere: no `validate` tags and no Validate

	Reader *SecretReader // of secrets; nil reads each when it is decoded

	secrets []string
}

// Decode decodes raw into the struct that into points to, and validates it; see [Decoder.Decode].
func Decode(raw, into any) error { return (&Decoder{}).Decode(raw, into) }

// Secrets returns the plain secrets that were decoded, for [Redact].
func (d *Decoder) Secrets() []string { return d.secrets }

// Decode sets defaults, decodes raw strictly into what into points to, checks `validate` tags and, if nothing is wrong
// so far, calls Validate if into has it. The tags of a field whose value has the wrong type are not checked. A null is as if it were not written. It collects all errors that it can and returns nil or [Errors].
// What raw holds is not changed and not kept.
func (d *Decoder) Decode(raw, into any) error {
	r := &run{Decoder: d}
	if raw == nil {
		raw = map[string]any{}
	}
	r.decode(node{v: raw, path: d.Path}, reflect.ValueOf(into))
	if !d.Partial {
		r.validate(into)
	}
	return r.errs.Of(d.Plugin).Redact(d.secrets).Err()
}

// run is one decoding. mapstructure walks the data and the types; at every value it calls hook, which knows the path
// because each value of the data is wrapped in a node, and does what mapstructure would do too leniently.
type run struct {
	*Decoder
	errs   Errors
	unruly []string // paths of fields whose rules are not checked, as their values are wrong already, or misspelt
}

// node is a value of the data that has not been decoded yet.
type node struct {
	v    any
	path string
	enum []string // the texts allowed here and below
}

// mapKey is a key of a map, likewise.
type mapKey struct{ s, path string }

// errReported stands for an error that is in errs already.
var errReported = errors.New("reported")

func (r *run) fail(path, format string, args ...any) error {
	if len(r.errs) < maxErrors {
		r.errs = append(r.errs, Error{Path: path, Msg: fmt.Sprintf(format, args...)})
	}
	return errReported
}

// decode decodes n into what pointer points to.
func (r *run) decode(n node, pointer reflect.Value) {
	m, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result:     pointer.Interface(),
		TagName:    "json",
		Squash:     true,
		MatchName:  func(key, name string) bool { return key == name },
		DecodeHook: mapstructure.DecodeHookFuncValue(r.hook),
	})
	if err == nil {
		err = m.Decode(n)
	}
	if err == nil {
		return
	}
	all := []string{err.Error()}
	if list := (*mapstructure.Error)(nil); errors.As(err, &list) {
		all = list.Errors
	}
	for _, msg := range all {
		if !strings.HasSuffix(msg, ": "+errReported.Error()) { // its text has the value in it
			r.fail(n.path, "does not fit type %v of the plugin", pointer.Type().Elem())
			return
		}
	}
}

func (r *run) hook(from, to reflect.Value) (any, error) {
	switch n := from.Interface().(type) {
	case node:
		return r.value(n, to)
	case mapKey:
		return r.key(n, to)
	}
	return from.Interface(), nil
}

// value returns what mapstructure is to put into to: a value of to's type, or nodes one level down.
func (r *run) value(n node, to reflect.Value) (any, error) {
	t := to.Type()
	if t.Kind() == reflect.Pointer {
		return n, nil // mapstructure comes back with what it points to
	}
	if read := readerOf(t); read != nil {
		v, err := read(r, n)
		if err != nil {
			return nil, r.fail(n.path, "%v", err)
		}
		return v, r.checkEnum(n)
	}
	switch t.Kind() {
	case reflect.Struct:
		return r.object(n, to)
	case reflect.Map:
		m, ok := n.v.(map[string]any)
		if !ok {
			return nil, r.expected(n, "an object")
		}
		to.SetZero() // no key of a default stays
		nodes := make(map[mapKey]node, len(m))
		for k, v := range m {
			path := Key(n.path, k)
			nodes[mapKey{k, path}] = node{v, path, n.enum}
		}
		return nodes, nil
	case reflect.Slice, reflect.Array:
		l, ok := n.v.([]any)
		if !ok {
			return nil, r.expected(n, "a list")
		}
		if t.Kind() == reflect.Array && len(l) != t.Len() {
			return nil, r.fail(n.path, "expected a list of %d, got one of %d", t.Len(), len(l))
		}
		to.SetZero()
		nodes := make([]node, len(l))
		for i, v := range l {
			nodes[i] = node{v, Index(n.path, i), n.enum}
		}
		return nodes, nil
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return Clone(n.v), nil
		}
	default:
		v, err := basic(n.v, t)
		if err != nil {
			return nil, r.fail(n.path, "%v", err)
		}
		return v, r.checkEnum(n)
	}
	return nil, r.fail(n.path, "the plugin's field has type %v, which no configuration can hold", t)
}

func (r *run) expected(n node, what string) error {
	return r.fail(n.path, "expected %s, got %s", what, kind(n.v))
}

func (r *run) key(k mapKey, to reflect.Value) (any, error) {
	if read := readerOf(to.Type()); read != nil {
		v, err := read(r, node{v: k.s})
		if err != nil {
			return nil, r.fail(k.path, "the key: %v", err)
		}
		return v, nil
	}
	var raw any = k.s
	switch to.Kind() {
	case reflect.Interface:
		return k.s, nil
	case reflect.String:
	default:
		if n, err := number(k.s); err == nil {
			raw = n
			if _, ok := n.(float64); !ok && fmt.Sprint(n) != k.s { // 1 and 01 would be one key
				return nil, r.fail(k.path, "the key: expected a whole number as usually written")
			}
		}
	}
	v, err := basic(raw, to.Type())
	if err != nil {
		return nil, r.fail(k.path, "the key: %v", err)
	}
	return v, nil
}

// object sets the defaults of a struct and returns the nodes of its fields.
func (r *run) object(n node, to reflect.Value) (any, error) {
	t := to.Type()
	m, ok := n.v.(map[string]any)
	if !ok {
		return nil, r.expected(n, "an object")
	}
	r.setDefaults(n.path, to)
	nodes := make(map[string]node, len(m))
	for k, v := range m {
		path := Key(n.path, k)
		f := fieldNamed(t, k)
		switch {
		case f == nil:
			r.unknown(path, k, t)
		case v == nil:
		case f.raw:
			raw := to.FieldByIndex(f.index)
			if raw.IsNil() {
				raw.Set(reflect.MakeMap(raw.Type()))
			}
			raw.SetMapIndex(reflect.ValueOf(k), reflect.ValueOf(Clone(v)))
		default:
			nodes[k] = node{v, path, f.enum()}
		}
	}
	return nodes, nil
}

func (r *run) unknown(path, name string, t reflect.Type) {
	if len(r.errs) >= maxErrors {
		return
	}
	names := Names(t)
	r.fail(path, "%s", Unknown("field", name, names))
	if near := nearest(name, names); near != "" {
		r.unruly = append(r.unruly, Key(strings.TrimSuffix(path, Key("", name)), near))
	}
}

// Unknown is the message for a name that is not one of names; what says what it should name.
func Unknown(what, name string, names []string) string {
	s := "unknown " + what
	if near := Suggest(name, names); near != "" {
		return s + near
	}
	names = slices.Sorted(slices.Values(names))
	switch n := len(names); {
	case n == 0:
		return s + "; there is none"
	case n <= 12:
		return s + "; expected " + list(names)
	}
	return s
}

func (r *run) checkEnum(n node) error {
	if n.enum == nil {
		return nil
	}
	text := fmt.Sprint(n.v)
	if slices.Contains(n.enum, text) {
		return nil
	}
	got := kind(n.v)
	if _, ok := n.v.(string); ok && text != "" {
		got = "another string"
	}
	return r.fail(n.path, "expected %s, got %s%s", list(n.enum), got, Suggest(text, n.enum))
}

// Clone copies generic data, so that what a plugin does to its copy stays there.
func Clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := maps.Clone(v)
		for k, e := range m {
			m[k] = Clone(e)
		}
		return m
	case []any:
		l := slices.Clone(v)
		for i, e := range l {
			l[i] = Clone(e)
		}
		return l
	}
	return v
}
