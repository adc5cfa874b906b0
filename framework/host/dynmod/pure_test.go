package dynmod

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

func TestDocument(t *testing.T) {
	want := map[string]any{"plugins": []any{map[string]any{"name": "hello"}}}
	s, err := structpb.NewStruct(want)
	if err != nil {
		t.Fatalf("structpb.NewStruct: %v", err)
	}
	wire, err := proto.Marshal(s)
	if err != nil {
		t.Fatalf("proto.Marshal: %v", err)
	}
	for name, raw := range map[string]string{
		"JSON":              `{"plugins":[{"name":"hello"}]}`,
		"YAML":              "plugins:\n- name: hello\n",
		"YAML after a line": "\n\nplugins:\n- name: hello\n",
		"wire format":       string(wire),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := document([]byte(raw))
			if err != nil {
				t.Fatalf("document: %v", err)
			}
			if diff := cmp.Diff(any(want), got); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}
		})
	}
	for name, raw := range map[string]string{
		"truncated wire": string(wire[:len(wire)-1]), "not UTF-8": "{\"a\":\"\xff\"}", "broken": `{"plugins":`,
	} {
		t.Run(name, func(t *testing.T) {
			if doc, err := document([]byte(raw)); err == nil {
				t.Errorf("%s: accepted as %v", name, doc)
			}
		})
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

func TestAttributesAreUnique(t *testing.T) {
	if len(attributeIDs) != len(attributes) || strings.Join(attributes[:2], " ") != "request.path request.url_path" {
		t.Errorf("%d names have %d numbers; the first are %v, want request.path and request.url_path", len(attributes),
			len(attributeIDs), attributes[:2])
	}
}
