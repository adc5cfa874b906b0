package doccheck

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"

	"mosn.io/moe/framework/config"
	_ "mosn.io/moe/pkg/istio/envoytypes"
)

// TestEnvoyConfiguration parses what the documents show of Envoy's configuration, as far as it says its type, and finds
// fields that Envoy has deprecated.
func TestEnvoyConfiguration(t *testing.T) {
	checked := 0
	for _, b := range blocks(t, "yaml", "json") {
		raw, err := config.Parse([]byte(b.text))
		if err != nil {
			continue // TestYAML says so
		}
		typed(raw, func(url string, v map[string]any) {
			checked++
			mt, err := protoregistry.GlobalTypes.FindMessageByURL(url)
			if err != nil {
				t.Errorf("%v: no message of the type %s: %v", b, url, err)
				return
			}
			text, err := json.Marshal(v)
			if err != nil {
				t.Errorf("%v: %s: json.Marshal: %v", b, url, err)
				return
			}
			m := mt.New().Interface()
			if err := protojson.Unmarshal(text, m); err != nil {
				t.Errorf("%v: parse it as %s: %v", b, url, err)
				return
			}
			for _, field := range deprecated(m.ProtoReflect()) {
				t.Errorf("%v: Envoy has deprecated %s", b, field)
			}
		})
	}
	if checked < 5 {
		t.Errorf("checked %d messages, want at least 5", checked)
	}
}

// typed calls f for the outermost objects in v that have a type of Envoy's.
func typed(v any, f func(url string, v map[string]any)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			typed(e, f)
		}
	case map[string]any:
		if url, ok := v["@type"].(string); ok && strings.Contains(url, "/envoy.") {
			rest := map[string]any{}
			for k, e := range v {
				if k != "@type" {
					rest[k] = e
				}
			}
			f(url, rest)
			return
		}
		for _, e := range v {
			typed(e, f)
		}
	}
}

// deprecated returns the fields of m and of what it contains that are set and deprecated.
func deprecated(m protoreflect.Message) (names []string) {
	if a, ok := m.Interface().(*anypb.Any); ok {
		if inner, err := a.UnmarshalNew(); err == nil {
			return deprecated(inner.ProtoReflect())
		}
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if o, ok := fd.Options().(*descriptorpb.FieldOptions); ok && o.GetDeprecated() {
			names = append(names, string(fd.FullName()))
		}
		switch {
		case fd.IsList() && fd.Message() != nil:
			for i := range v.List().Len() {
				names = append(names, deprecated(v.List().Get(i).Message())...)
			}
		case fd.IsMap() && fd.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				names = append(names, deprecated(v.Message())...)
				return true
			})
		case !fd.IsList() && !fd.IsMap() && fd.Message() != nil:
			names = append(names, deprecated(v.Message())...)
		}
		return true
	})
	return names
}
