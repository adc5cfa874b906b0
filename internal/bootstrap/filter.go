package bootstrap

import (
	"fmt"
	"math"
	"unicode/utf8"

	modulev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/dynamic_modules/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/dynamic_modules/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"mosn.io/moe/framework/config"
)

// module is never unloaded: Go cannot be.
func module(name string) *modulev3.DynamicModuleConfig {
	return &modulev3.DynamicModuleConfig{Name: name, DoNotClose: true}
}

// filter is the configuration of an HTTP filter with plugins.
func (o *Options) filter(p *Part) (proto.Message, error) {
	doc := p.Of(o.Filter)
	if o.Golang != nil {
		return o.Golang.filter(doc)
	}
	s, err := toStruct(doc)
	if err != nil {
		return nil, err
	}
	return moduleFilter(Name, s), nil
}

// perRoute is what a route has for that filter.
func (o *Options) perRoute(doc map[string]any) (proto.Message, error) {
	if o.Golang != nil {
		return o.Golang.perRoute(doc)
	}
	s, err := toStruct(doc)
	if err != nil {
		return nil, err
	}
	return modulePerRoute(Name, s), nil
}

func moduleFilter(name string, config *structpb.Struct) *filterv3.DynamicModuleFilter {
	return &filterv3.DynamicModuleFilter{DynamicModuleConfig: module(name), FilterName: Name, FilterConfig: pack(config)}
}

func modulePerRoute(name string, config *structpb.Struct) *filterv3.DynamicModuleFilterPerRoute {
	return &filterv3.DynamicModuleFilterPerRoute{
		DynamicModuleConfig: module(name), FilterName: Name, FilterConfig: pack(config),
	}
}

func toStruct(doc map[string]any) (*structpb.Struct, error) {
	v, err := toValue("", doc)
	if err != nil {
		return nil, err
	}
	return v.GetStructValue(), nil
}

// toValue is structpb.NewValue with the place in the error, and without its silent loss: a Struct has no integers, and
// one of 2^53 or more could arrive as another number.
func toValue(path string, v any) (*structpb.Value, error) {
	switch v := v.(type) {
	case map[string]any:
		s := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(v))}
		for k, e := range v {
			if !utf8.ValidString(k) {
				return nil, fmt.Errorf("%s: a name must be UTF-8", config.Key(path, k))
			}
			f, err := toValue(config.Key(path, k), e)
			if err != nil {
				return nil, err
			}
			s.Fields[k] = f
		}
		return structpb.NewStructValue(s), nil
	case []any:
		l := &structpb.ListValue{Values: make([]*structpb.Value, len(v))}
		for i, e := range v {
			f, err := toValue(config.Index(path, i), e)
			if err != nil {
				return nil, err
			}
			l.Values[i] = f
		}
		return structpb.NewListValue(l), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%s: a number must be finite", path)
		}
	}
	value, err := structpb.NewValue(v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if n, ok := value.Kind.(*structpb.Value_NumberValue); ok && math.Abs(n.NumberValue) >= 1<<53 && isInteger(v) {
		return nil, fmt.Errorf("%s: the integer is 2^53 or more, which Envoy's configuration cannot carry; write it as a "+
			"string", path)
	}
	return value, nil
}

func isInteger(v any) bool {
	switch v.(type) {
	case float32, float64:
		return false
	}
	return true
}
