package protocheck

import (
	"cmp"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// Refused holds m, and what is packed in it, against the rules that Envoy's definitions have for values.
func Refused(m protoreflect.Message) (err error) {
	msg := m.Interface()
	if a, ok := msg.(*anypb.Any); ok {
		inner, err := a.UnmarshalNew()
		if err != nil {
			return err
		}
		return Refused(inner.ProtoReflect())
	}
	if c, ok := msg.(interface{ ValidateAll() error }); ok {
		if err := c.ValidateAll(); err != nil {
			return err
		}
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, e protoreflect.Value) bool {
				err = cmp.Or(err, Refused(e.Message()))
				return err == nil
			})
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				err = cmp.Or(err, Refused(v.List().Get(i).Message()))
			}
		case !f.IsMap() && !f.IsList() && f.Message() != nil:
			err = Refused(v.Message())
		}
		return err == nil
	})
	return err
}
