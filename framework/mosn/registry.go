package mosn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"mosn.io/api"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/internal/guard"
)

// registry is where MOSN's API keeps the creators of one kind of filter. F is the kind's factory.
type registry[F any] struct {
	kind   string
	types  func() []string
	config func(typ string) reflect.Type // that has been declared, or nil
	make   func(typ string, conf map[string]any) (F, error)
}

var (
	streamFilters = registry[api.StreamFilterChainFactory]{
		kind: "stream filter", types: Types, make: api.CreateStreamFilterChainFactory,
		config: func(typ string) reflect.Type { return declarationOf(typ).config },
	}
	networkFilters = registry[api.NetworkFilterChainFactory]{
		kind: "network filter", types: NetworkTypes, make: api.CreateNetworkFilterChainFactory, config: networkConfigs.of,
	}
	listenerFilters = registry[api.ListenerFilterChainFactory]{
		kind: "listener filter", types: ListenerTypes, make: api.CreateListenerFilterChainFactory, config: listenerConfigs.of,
	}
)

// create has MOSN's registry make the factory of an entry. Its error begins with the rest of the entry's path.
func (r registry[F]) create(typ string, conf map[string]any) (f F, err error) {
	if types := r.types(); !slices.Contains(types, typ) {
		hint := config.Suggest(typ, types)
		if hint == "" {
			hint = "; compiled in are: " + strings.Join(types, ", ")
		}
		return f, fmt.Errorf(".type: no %s is registered under %q%s", r.kind, typ, hint)
	}
	given, err := generic(conf)
	if err != nil {
		return f, fmt.Errorf(".config: %w", err)
	}
	if t := r.config(typ); t != nil {
		if err := checkFields(t, given); err != nil {
			return f, fmt.Errorf(".config: %s: %w", typ, err)
		}
	}
	defer func() {
		if v := recover(); v != nil {
			text, _ := guard.Text(v)
			err = fmt.Errorf(": the factory of %q panicked: %s", typ, text)
		}
	}()
	f, err = r.make(typ, given)
	switch {
	case err != nil:
		return f, fmt.Errorf(".config: %s: %w", typ, err)
	case isNil(f):
		return f, fmt.Errorf(": the creator of %q returned neither a factory nor an error", typ)
	}
	return f, nil
}

// generic returns m as encoding/json would have read it from mosn_config.json: with numbers as float64, and with memory
// of its own.
func generic(m map[string]any) (map[string]any, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, err
	}
	if out == nil { // of null
		out = map[string]any{}
	}
	return out, nil
}

// checkFields reports a field of given that t does not have.
func checkFields(t reflect.Type, given map[string]any) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	text, err := json.Marshal(given)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err = d.Decode(reflect.New(t).Interface())
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s: expected %s, found %s", wrong.Field, wrong.Type, wrong.Value)
	}
	if err == nil {
		return nil
	}
	name, unknown := strings.CutPrefix(err.Error(), "json: unknown field ")
	if !unknown {
		return nil // an error of the type's own UnmarshalJSON: the factory has the better words
	}
	return fmt.Errorf("unknown field %s%s", name, config.Suggest(strings.Trim(name, `"`), fieldNames(t)))
}

// fieldNames returns the names that the fields of a struct have in JSON.
func fieldNames(t reflect.Type) (names []string) {
	if t.Kind() != reflect.Struct {
		return nil
	}
	for sf := range t.Fields() {
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if sf.Anonymous && name == "" {
			ft := sf.Type
			if ft.Kind() == reflect.Pointer {
				ft = ft.Elem()
			}
			names = append(names, fieldNames(ft)...)
		} else if name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// isNil reports whether v is nil or holds a nil pointer.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Interface, reflect.Slice, reflect.Chan:
		return r.IsNil()
	}
	return false
}
