// Package protocheck checks generic data against the definition of a protobuf message. protojson does so, too, but it
// stops at the first mistake, and gives its position in a text that the user has never seen.
package protocheck

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"mosn.io/moe/framework/config"
)

// Checker reports every mistake in data that is to become a message.
type Checker struct {
	// Fail reports a mistake.
	Fail func(path, format string, args ...any)
	// IgnoreUnknown accepts fields that the message does not have.
	IgnoreUnknown bool
	// Visit, if it is not nil, sees every message that is written as an object of its fields.
	Visit func(path string, data map[string]any, d protoreflect.MessageDescriptor)
}

// Decode checks data and decodes it into m. It reports whether there was no mistake.
func (s *Checker) Decode(path string, data map[string]any, m proto.Message) bool {
	text, err := json.Marshal(data)
	options := protojson.UnmarshalOptions{DiscardUnknown: s.IgnoreUnknown}
	if s.IgnoreUnknown && s.Visit == nil && err == nil && options.Unmarshal(text, m) == nil {
		return true // which is quick; the rest finds out what is wrong, and where
	}
	ok := true
	own := *s
	own.Fail = func(path, format string, args ...any) {
		ok = false
		s.Fail(path, format, args...)
	}
	own.message(path, data, m.ProtoReflect().Descriptor())
	if !ok {
		return false
	}
	if err == nil {
		err = options.Unmarshal(text, m)
	}
	if err != nil {
		own.Fail(path, "%s", reason(err))
	}
	return ok
}

// wellKnown reports whether a message is not written as an object of its fields.
func wellKnown(d protoreflect.MessageDescriptor) bool {
	return d.ParentFile().Package() == "google.protobuf" && d.Name() != "Any" && d.Name() != "Empty"
}

func (s *Checker) message(path string, v any, d protoreflect.MessageDescriptor) {
	if v == nil {
		return
	}
	if wellKnown(d) {
		s.leaf(path, v, d)
		return
	}
	m, ok := v.(map[string]any)
	if !ok {
		s.Fail(path, "expected an object: %s", d.FullName())
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
			if !s.IgnoreUnknown {
				s.Fail(at, "%s", config.Unknown("field", k, fieldNames(d)))
			}
			continue
		}
		name := f.Name()
		if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
			name = o.Name()
		}
		if other, ok := set[name]; ok && m[k] != nil {
			s.Fail(at, "only one of %s and %s may be given", other, k)
		} else if m[k] != nil {
			set[name] = k
		}
		s.field(at, m[k], f)
	}
	s.typedStruct(path, m, d)
	if s.Visit != nil {
		s.Visit(path, m, d)
	}
}

func fieldNames(d protoreflect.MessageDescriptor) (names []string) {
	for i := range d.Fields().Len() {
		names = append(names, string(d.Fields().Get(i).Name()))
	}
	return names
}

func (s *Checker) field(path string, v any, f protoreflect.FieldDescriptor) {
	switch {
	case v == nil:
	case f.IsMap():
		m, ok := v.(map[string]any)
		if !ok {
			s.Fail(path, "expected an object")
			return
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			s.single(config.Key(path, k), m[k], f.MapValue())
		}
	case f.IsList():
		l, ok := v.([]any)
		if !ok {
			s.Fail(path, "expected a list")
			return
		}
		for i, e := range l {
			if e == nil && f.Message() != nil && f.Message().FullName() != "google.protobuf.Value" {
				s.Fail(config.Index(path, i), "expected an object, got null")
				continue
			}
			s.single(config.Index(path, i), e, f)
		}
	default:
		s.single(path, v, f)
	}
}

func (s *Checker) single(path string, v any, f protoreflect.FieldDescriptor) {
	if f.Message() != nil {
		s.message(path, v, f.Message())
		return
	}
	// A scalar is correct if protojson accepts it for the field.
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
		s.Fail(path, "%s", msg)
	}
}

// leaf checks a well-known message, such as a duration.
func (s *Checker) leaf(path string, v any, d protoreflect.MessageDescriptor) {
	if err := try(v, d); err != nil {
		s.Fail(path, "expected a google.protobuf.%s: %s", d.Name(), reason(err))
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

// any checks what is packed.
func (s *Checker) any(path string, m map[string]any) {
	url, ok := m["@type"].(string)
	if !ok {
		s.Fail(path, `"@type" is required: the URL of the message's type`)
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
			s.Fail(config.Key(path, k), `unknown field; what a %s is stands in "value"`, d.Name())
		}
	}
	s.leaf(config.Key(path, "value"), rest["value"], d)
}

func (s *Checker) lookup(path, url string) protoreflect.MessageType {
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
	s.Fail(path, "no message type of Envoy's has this URL%s", hint)
	return nil
}

// typedStruct checks what an xds.type.v3.TypedStruct holds, by the type that it names.
func (s *Checker) typedStruct(path string, m map[string]any, d protoreflect.MessageDescriptor) {
	if name := d.FullName(); name != "xds.type.v3.TypedStruct" && name != "udpa.type.v1.TypedStruct" {
		return
	}
	url, _ := m["type_url"].(string)
	if url == "" {
		url, _ = m["typeUrl"].(string)
	}
	// Extensions have types of their own, which nobody else knows.
	if !strings.Contains(url, "/envoy.") {
		return
	}
	if t := s.lookup(path+".type_url", url); t != nil && m["value"] != nil {
		s.message(path+".value", m["value"], t.Descriptor())
	}
}

var protoPrefix = regexp.MustCompile(`^proto:[\s\x{a0}]*(\(line \d+:\d+\):\s*)?`)

// reason is err without its position in a text that nobody has seen.
func reason(err error) string { return protoPrefix.ReplaceAllString(fmt.Sprint(err), "") }
