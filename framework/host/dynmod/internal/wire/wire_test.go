package wire

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

func TestParse(t *testing.T) {
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
			got, err := Parse([]byte(raw))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if diff := cmp.Diff(any(want), got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
	for name, raw := range map[string]string{
		"truncated wire": string(wire[:len(wire)-1]), "not UTF-8": "{\"a\":\"\xff\"}", "broken": `{"plugins":`,
	} {
		t.Run(name, func(t *testing.T) {
			if doc, err := Parse([]byte(raw)); err == nil {
				t.Errorf("%s: accepted as %v", name, doc)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"plugins":[]}`))
	f.Add([]byte("\n\x05\n\x01a\x12\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if doc, err := Parse(raw); err != nil && doc != nil {
			t.Error("both a document and an error")
		}
	})
}
