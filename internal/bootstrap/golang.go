package bootstrap

import (
	typev3 "github.com/cncf/xds/go/xds/type/v3"
	golangv3 "github.com/envoyproxy/go-control-plane/contrib/envoy/extensions/filters/http/golang/v3alpha"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// Golang has Envoy reach the plugins by its Golang filter.
type Golang struct {
	Library string // path of libmoe.so, where Envoy finds it
	// Bridge runs the filter in a stock Envoy, which has none: the dynamic module golang_bridge takes its place and its
	// configuration.
	Bridge bool
}

// BridgeName is how the configuration calls the bridge's dynamic module.
const BridgeName = "golang_bridge"

func (g *Golang) filter(doc map[string]any) (proto.Message, error) {
	config, err := typedStruct(doc)
	if err != nil {
		return nil, err
	}
	return g.form(&golangv3.Config{
		LibraryId: Name, LibraryPath: g.Library, PluginName: Name, PluginConfig: config,
	}, func(s *structpb.Struct) proto.Message { return moduleFilter(BridgeName, s) })
}

func (g *Golang) perRoute(doc map[string]any) (proto.Message, error) {
	config, err := typedStruct(doc)
	if err != nil {
		return nil, err
	}
	return g.form(&golangv3.ConfigsPerRoute{PluginsConfig: map[string]*golangv3.RouterPlugin{
		Name: {Override: &golangv3.RouterPlugin_Config{Config: config}},
	}}, func(s *structpb.Struct) proto.Message { return modulePerRoute(BridgeName, s) })
}

func typedStruct(doc map[string]any) (*anypb.Any, error) {
	s, err := toStruct(doc)
	if err != nil {
		return nil, err
	}
	return pack(&typev3.TypedStruct{Value: s}), nil
}

// form is m itself, or what the bridge makes of it.
func (g *Golang) form(m proto.Message, bridge func(*structpb.Struct) proto.Message) (proto.Message, error) {
	if !g.Bridge {
		return m, nil
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var s structpb.Struct
	if err := protojson.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	return bridge(&s), nil
}
