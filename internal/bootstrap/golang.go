package bootstrap

import (
	"fmt"
	"maps"

	typev3 "github.com/cncf/xds/go/xds/type/v3"
	golangv3 "github.com/envoyproxy/go-control-plane/contrib/envoy/extensions/filters/http/golang/v3alpha"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
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
	doc, secrets, err := GenericSecrets(doc)
	if err != nil {
		return nil, err
	}
	packed, err := typedStruct(doc)
	if err != nil {
		return nil, err
	}
	return g.form(&golangv3.Config{
		LibraryId: Name, LibraryPath: g.Library, PluginName: Name, PluginConfig: packed, GenericSecrets: secrets,
	}, func(s *structpb.Struct) proto.Message { return moduleFilter(BridgeName, s) })
}

// GenericSecrets takes the list of secrets out of a document: the Golang filter has a field of its own for it.
func GenericSecrets(doc map[string]any) (map[string]any, []*tlsv3.SdsSecretConfig, error) {
	const key = document.GenericSecretsField
	raw, ok := doc[key]
	if !ok {
		return doc, nil, nil
	}
	list, ok := raw.([]any)
	if !ok && raw != nil {
		return nil, nil, fmt.Errorf("%s: expected a list", key)
	}
	var secrets []*tlsv3.SdsSecretConfig
	for i, e := range list {
		at := config.Index(key, i)
		if _, err := toValue(at, e); err != nil { // it knows the place
			return nil, nil, err
		}
		s, err := sdsSecret(e)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", at, err)
		}
		secrets = append(secrets, s)
	}
	rest := maps.Clone(doc)
	delete(rest, key)
	return rest, secrets, nil
}

func (g *Golang) perRoute(doc map[string]any) (proto.Message, error) {
	packed, err := typedStruct(doc)
	if err != nil {
		return nil, err
	}
	return g.form(&golangv3.ConfigsPerRoute{PluginsConfig: map[string]*golangv3.RouterPlugin{
		Name: {Override: &golangv3.RouterPlugin_Config{Config: packed}},
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
