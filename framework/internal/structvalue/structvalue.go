// Package structvalue makes protobuf's generic values of Go's.
package structvalue

import (
	"fmt"
	"reflect"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	"mosn.io/moe/framework/internal/core"
)

// Of takes what structpb takes, and all kinds of numbers, lists and maps. Text that is not UTF-8 is repaired. What
// cannot be a value is core.ErrUnsupported.
func Of(value any) (*structpb.Value, error) { return valueOf(reflect.ValueOf(value)) }

func valueOf(v reflect.Value) (*structpb.Value, error) {
	for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch {
	case !v.IsValid():
		return structpb.NewNullValue(), nil
	case v.Kind() == reflect.String:
		return structpb.NewStringValue(strings.ToValidUTF8(v.String(), "\uFFFD")), nil
	case v.Kind() == reflect.Bool:
		return structpb.NewBoolValue(v.Bool()), nil
	case v.CanInt():
		return structpb.NewNumberValue(float64(v.Int())), nil
	case v.CanUint():
		return structpb.NewNumberValue(float64(v.Uint())), nil
	case v.CanFloat():
		return structpb.NewNumberValue(v.Float()), nil
	case v.Kind() == reflect.Slice:
		l := &structpb.ListValue{}
		for i := range v.Len() {
			e, err := valueOf(v.Index(i))
			if err != nil {
				return nil, err
			}
			l.Values = append(l.Values, e)
		}
		return structpb.NewListValue(l), nil
	case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String:
		m := &structpb.Struct{Fields: map[string]*structpb.Value{}}
		for _, k := range v.MapKeys() {
			e, err := valueOf(v.MapIndex(k))
			if err != nil {
				return nil, err
			}
			m.Fields[strings.ToValidUTF8(k.String(), "\uFFFD")] = e
		}
		return structpb.NewStructValue(m), nil
	}
	return nil, fmt.Errorf("a %v: %w", v.Type(), core.ErrUnsupported)
}
