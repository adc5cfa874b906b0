package config

import "reflect"

// Raw is embedded in a struct that has all the fields of T without decoding them: it takes those members of the struct's
// object as they are written, for whoever decodes them as a T later. To errors about unknown fields, and to [Reflect],
// the fields of T are fields of the struct.
type Raw[T any] map[string]any

func (Raw[T]) members() reflect.Type { return reflect.TypeFor[T]() }
