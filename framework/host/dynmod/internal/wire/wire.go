// Package wire reads the forms in which Envoy hands configurations to dynamic modules.
package wire

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"mosn.io/moe/framework/config"
)

// Parse decodes what Envoy hands over as a configuration: JSON for a Struct, the text itself for a StringValue or
// BytesValue, and, for a per-route Struct on Envoy 1.38, the Struct's wire format.
func Parse(raw []byte) (any, error) {
	if doc, ok := wireStruct(raw); ok {
		return doc, nil
	}
	doc, err := config.Parse(raw)
	if err != nil {
		return nil, err
	}
	return doc, nil
}

// wireStruct decodes a google.protobuf.Struct. Its first byte is that of field 1, a newline in text; no JSON and no
// YAML mapping that starts with one is a valid message as well, because the next byte would have to be its length.
func wireStruct(raw []byte) (any, bool) {
	if len(raw) == 0 || raw[0] != '\n' {
		return nil, false
	}
	var s structpb.Struct
	if proto.Unmarshal(raw, &s) != nil || len(s.ProtoReflect().GetUnknown()) > 0 {
		return nil, false
	}
	return s.AsMap(), true
}
