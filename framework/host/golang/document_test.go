package golang

import (
	"encoding/json"
	"strings"
	"testing"

	typev3 "github.com/cncf/xds/go/xds/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func wire(t testing.TB, m proto.Message) []byte {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatalf("anypb.New: %v", err)
	}
	p, err := proto.Marshal(a)
	if err != nil {
		t.Fatalf("proto.Marshal: %v", err)
	}
	return p
}

func TestDocument(t *testing.T) {
	s, err := structpb.NewStruct(map[string]any{"plugins": []any{map[string]any{"name": "hello"}}})
	if err != nil {
		t.Fatalf("structpb.NewStruct: %v", err)
	}
	old := wire(t, &typev3.TypedStruct{Value: s})
	old = []byte(strings.Replace(string(old), "xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct", 1))
	old[1]++ // the name is one byte longer
	const want = `{"plugins":[{"name":"hello"}]}`
	for name, raw := range map[string][]byte{
		"Struct":       wire(t, s),
		"TypedStruct":  wire(t, &typev3.TypedStruct{TypeUrl: "any", Value: s}),
		"an older one": old,
		"JSON":         wire(t, wrapperspb.String(want)),
		"YAML":         wire(t, wrapperspb.Bytes([]byte("plugins:\n- name: hello\n"))),
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := document(raw)
			if err != nil {
				t.Errorf("%s: document: %v", name, err)
				return
			}
			if got, _ := json.Marshal(doc); string(got) != want {
				t.Errorf("%s: got %s", name, got)
			}
		})
	}
	if doc, err := document(nil); doc != nil || err != nil {
		t.Errorf("nothing is %v, %v", doc, err)
	}
}

func TestDocumentRefuses(t *testing.T) {
	text := func(kind string, value string) []byte {
		p, err := proto.Marshal(&anypb.Any{TypeUrl: "type.googleapis.com/" + kind, Value: []byte(value)})
		if err != nil {
			t.Fatalf("proto.Marshal: %v", err)
		}
		return p
	}
	for want, raw := range map[string][]byte{
		"not a google.protobuf.Any":                     []byte("plugins: []"),
		"a google.protobuf.Duration cannot be read":     wire(t, durationpb.New(1)),
		"not a valid google.protobuf.Struct":            text("google.protobuf.Struct", "\xff"),
		"not a valid xds.type.v3.TypedStruct":           text("xds.type.v3.TypedStruct", "\xff"),
		"not a valid google.protobuf.StringValue":       text("google.protobuf.StringValue", "\xff"),
		"plugin_config: ":                               wire(t, wrapperspb.String("{")),
		"a example.Unknown cannot be read; give an xds": text("example.Unknown", ""),
	} {
		t.Run(want, func(t *testing.T) {
			if doc, err := document(raw); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, %v; want %s", doc, err, want)
			}
		})
	}
}

func FuzzDocument(f *testing.F) {
	s, _ := structpb.NewStruct(map[string]any{"plugins": []any{}})
	f.Add(wire(f, s))
	f.Add(wire(f, &typev3.TypedStruct{Value: s}))
	f.Add(wire(f, wrapperspb.String("plugins: []")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if doc, err := document(raw); err != nil && doc != nil {
			t.Error("both a document and an error")
		}
	})
}
