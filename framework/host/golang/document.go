package golang

import (
	"fmt"
	"strings"

	typev3 "github.com/cncf/xds/go/xds/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"mosn.io/moe/framework/config"
)

// document decodes what Envoy hands over as plugin_config: the wire format of an Any with a TypedStruct, a Struct, or
// the text of a document in a StringValue or BytesValue. Without a plugin_config it is nil.
func document(raw []byte) (any, error) {
	var a anypb.Any
	if err := proto.Unmarshal(raw, &a); err != nil {
		return nil, fmt.Errorf("plugin_config: not a google.protobuf.Any: %w", err)
	}
	kind := a.GetTypeUrl()
	kind = kind[strings.LastIndexByte(kind, '/')+1:]
	switch kind {
	case "":
		return nil, nil
	case "google.protobuf.Struct":
		return structure(&a, &structpb.Struct{}, func(s *structpb.Struct) *structpb.Struct { return s })
	case "xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct": // which have one wire format
		return structure(&a, &typev3.TypedStruct{}, (*typev3.TypedStruct).GetValue)
	case "google.protobuf.StringValue", "google.protobuf.BytesValue": // and so have these
		var v wrapperspb.BytesValue
		if err := proto.Unmarshal(a.GetValue(), &v); err != nil {
			return nil, broken(kind, err)
		}
		doc, err := config.Parse(v.GetValue())
		if err != nil {
			return nil, fmt.Errorf("plugin_config: %w", err)
		}
		return doc, nil
	}
	return nil, fmt.Errorf("plugin_config: a %s cannot be read; give an xds.type.v3.TypedStruct, a "+
		"google.protobuf.Struct, or a google.protobuf.StringValue with JSON or YAML", kind)
}

func structure[M proto.Message](a *anypb.Any, m M, value func(M) *structpb.Struct) (any, error) {
	if err := proto.Unmarshal(a.GetValue(), m); err != nil {
		return nil, broken(string(m.ProtoReflect().Descriptor().FullName()), err)
	}
	return value(m).AsMap(), nil
}

func broken(kind string, err error) error {
	return fmt.Errorf("plugin_config: not a valid %s: %w", kind, err)
}
