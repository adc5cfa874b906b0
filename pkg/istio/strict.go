package istio

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
)

// strict holds generic data against a message's definition. protojson does so, too, but it stops at the first mistake
// and tells its place in a text that the user has never seen.
type strict struct {
	fail func(path, format string, args ...any)
}

// wellKnown are messages that are not written as objects of their fields.
func wellKnown(d protoreflect.MessageDescriptor) bool {
	return d.ParentFile().Package() == "google.protobuf" && d.Name() != "Any" && d.Name() != "Empty"
}

func (s *strict) message(path string, v any, d protoreflect.MessageDescriptor) {
	if v == nil {
		return
	}
	if wellKnown(d) {
		s.leaf(path, v, d)
		return
	}
	m, ok := v.(map[string]any)
	if !ok {
		s.fail(path, "expected an object: %s", d.FullName())
		return
	}
	if d.FullName() == "google.protobuf.Any" {
		s.any(path, m)
		return
	}
	set := map[protoreflect.Name]string{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		at := config.Key(path, k)
		f := d.Fields().ByJSONName(k)
		if f == nil {
			f = d.Fields().ByName(protoreflect.Name(k))
		}
		if f == nil {
			s.fail(at, "%s", config.Unknown("field", k, fieldNames(d)))
			continue
		}
		name := f.Name()
		if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
			name = o.Name()
		}
		if other, ok := set[name]; ok && m[k] != nil {
			s.fail(at, "only one of %s and %s may be given", other, k)
		} else if m[k] != nil {
			set[name] = k
		}
		s.field(at, m[k], f)
	}
	s.typedStruct(path, m, d)
	s.chain(path, m, d)
}

func fieldNames(d protoreflect.MessageDescriptor) (names []string) {
	for i := range d.Fields().Len() {
		names = append(names, string(d.Fields().Get(i).Name()))
	}
	return names
}

func (s *strict) field(path string, v any, f protoreflect.FieldDescriptor) {
	switch {
	case v == nil:
	case f.IsMap():
		m, ok := v.(map[string]any)
		if !ok {
			s.fail(path, "expected an object")
			return
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			s.single(config.Key(path, k), m[k], f.MapValue())
		}
	case f.IsList():
		l, ok := v.([]any)
		if !ok {
			s.fail(path, "expected a list")
			return
		}
		for i, e := range l {
			if e == nil && f.Message() != nil && f.Message().FullName() != "google.protobuf.Value" {
				s.fail(config.Index(path, i), "expected an object, got null")
				continue
			}
			s.single(config.Index(path, i), e, f)
		}
	default:
		s.single(path, v, f)
	}
}

func (s *strict) single(path string, v any, f protoreflect.FieldDescriptor) {
	if f.Message() != nil {
		s.message(path, v, f.Message())
		return
	}
	// A scalar is what protojson takes for the field, as an element where it is repeated.
	var doc any = map[string]any{string(f.Name()): v}
	parent := f.ContainingMessage()
	if f.IsList() {
		doc = map[string]any{string(f.Name()): []any{v}}
	}
	if err := try(doc, parent); err != nil {
		msg := "expected " + f.Kind().String()
		if e := f.Enum(); e != nil {
			var names []string
			for i := range e.Values().Len() {
				names = append(names, string(e.Values().Get(i).Name()))
			}
			text, _ := v.(string)
			msg = config.Unknown("value of "+string(e.Name()), text, names)
		}
		s.fail(path, "%s", msg)
	}
}

// leaf is a well-known message, such as a duration.
func (s *strict) leaf(path string, v any, d protoreflect.MessageDescriptor) {
	if err := try(v, d); err != nil {
		s.fail(path, "expected a google.protobuf.%s: %s", d.Name(), protoError(err))
	}
}

func try(v any, d protoreflect.MessageDescriptor) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName()); err == nil {
		return protojson.Unmarshal(text, t.New().Interface())
	}
	return protojson.Unmarshal(text, dynamicpb.NewMessage(d))
}

// any looks into what is packed.
func (s *strict) any(path string, m map[string]any) {
	url, ok := m["@type"].(string)
	if !ok {
		s.fail(path, `"@type" is required: the URL of the message's type`)
		return
	}
	t := s.lookup(path+`["@type"]`, url)
	if t == nil {
		return
	}
	rest := maps.Clone(m)
	delete(rest, "@type")
	d := t.Descriptor()
	if !wellKnown(d) {
		s.message(path, rest, d)
		return
	}
	for k := range rest {
		if k != "value" {
			s.fail(config.Key(path, k), `unknown field; what a %s is stands in "value"`, d.Name())
		}
	}
	s.leaf(config.Key(path, "value"), rest["value"], d)
}

func (s *strict) lookup(path, url string) protoreflect.MessageType {
	t, err := protoregistry.GlobalTypes.FindMessageByURL(url)
	if err == nil {
		return t
	}
	hint := "; check the spelling"
	if strings.Contains(url, ".v2.") {
		hint = "; types of Envoy's API v2 are gone"
	} else if i := strings.LastIndexByte(url, '.'); i >= 0 {
		var near []string
		protoregistry.GlobalTypes.RangeMessages(func(t protoreflect.MessageType) bool {
			if string(t.Descriptor().Name()) == url[i+1:] {
				near = append(near, string(t.Descriptor().FullName()))
			}
			return len(near) < 5
		})
		if slices.Sort(near); len(near) > 0 {
			hint = "; there is " + strings.Join(near, ", ")
		}
	}
	s.fail(path, "no message type of Envoy's has this URL%s", hint)
	return nil
}

// typedStruct looks into a message that is written as xds.type.v3.TypedStruct: its type is told by a text.
func (s *strict) typedStruct(path string, m map[string]any, d protoreflect.MessageDescriptor) {
	if name := d.FullName(); name != "xds.type.v3.TypedStruct" && name != "udpa.type.v1.TypedStruct" {
		return
	}
	url := str(m["type_url"])
	if url == "" {
		url = str(m["typeUrl"])
	}
	// A type that is none of Envoy's is for an extension's own use.
	if !strings.Contains(url, "/envoy.") {
		return
	}
	if t := s.lookup(path+".type_url", url); t != nil && m["value"] != nil {
		s.message(path+".value", m["value"], t.Descriptor())
	}
}

// chain has the plugins of MoE look at their own configuration.
func (s *strict) chain(path string, m map[string]any, d protoreflect.MessageDescriptor) {
	var check func(doc any) error
	key, wrapped := "filter_config", "filter_name"
	switch d.FullName() {
	case "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
		"envoy.extensions.filters.http.golang.v3alpha.Config":
		check = func(doc any) error { return assembly.Validate(assembly.ChainName, doc, ^filter.Capability(0)) }
	default:
		return
	}
	if d.Name() == "Config" {
		key, wrapped = "plugin_config", "plugin_name"
	}
	if m[wrapped] != assembly.ChainName || dig(m, key, "@type") != "type.googleapis.com/google.protobuf.Struct" {
		return
	}
	doc, _ := dig(m, key, "value").(map[string]any)
	if doc[genericSecrets] != nil && d.Name() == "Config" {
		s.fail(path+"."+key+".value.generic_secrets", "belongs into generic_secrets of the filter itself, beside plugin_name")
	}
	es, _ := check(doc).(config.Errors)
	standing, absent := standIns(doc, es)
	if len(absent) > 0 {
		es, _ = check(standing).(config.Errors)
	}
	for _, e := range es {
		if !absent[e.Path] {
			s.fail(config.Errors{e}.In(path + "." + key + ".value")[0].Path, "%s", e.Msg)
		}
	}
}
