package dynmod

import (
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

func TestDocument(t *testing.T) {
	want := map[string]any{"plugins": []any{map[string]any{"name": "hello"}}}
	s, err := structpb.NewStruct(want)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := proto.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string]string{
		"JSON":              `{"plugins":[{"name":"hello"}]}`,
		"YAML":              "plugins:\n- name: hello\n",
		"YAML after a line": "\n\nplugins:\n- name: hello\n",
		"wire format":       string(wire),
	} {
		if got, err := document([]byte(raw)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	for name, raw := range map[string]string{
		"truncated wire": string(wire[:len(wire)-1]), "not UTF-8": "{\"a\":\"\xff\"}", "broken": `{"plugins":`,
	} {
		if doc, err := document([]byte(raw)); err == nil {
			t.Errorf("%s: accepted as %v", name, doc)
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte(`{"plugins":[]}`))
	f.Add([]byte("\n\x05\n\x01a\x12\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if doc, err := document(raw); err != nil && doc != nil {
			t.Error("both a document and an error")
		}
	})
}

func TestTable(t *testing.T) {
	var all table[string]
	a, b := all.add("a"), all.add("b")
	if a == 0 || a == b || all.get(a) != "a" || all.get(b) != "b" || all.get(99) != "" {
		t.Errorf("a is %d, b is %d", a, b)
	}
	if all.remove(a) != "a" || all.get(a) != "" || all.remove(a) != "" || all.get(b) != "b" {
		t.Error("removal")
	}
	if c := all.add("c"); c == a || c == b {
		t.Error("an id is used again")
	}
}

func TestAttributesAreUnique(t *testing.T) {
	if len(attributeIDs) != len(attributes) || strings.Join(attributes[:2], " ") != "request.path request.url_path" {
		t.Error(attributes)
	}
}
