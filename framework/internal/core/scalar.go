package core

import "reflect"

// Scalar returns a value as what dynamic metadata of connections can hold: a string, a bool or a float64. It is false for
// other kinds.
func Scalar(value any) (any, bool) {
	switch v := reflect.ValueOf(value); {
	case v.Kind() == reflect.String:
		return v.String(), true
	case v.Kind() == reflect.Bool:
		return v.Bool(), true
	case v.CanInt():
		return float64(v.Int()), true
	case v.CanUint() && v.Kind() != reflect.Uintptr:
		return float64(v.Uint()), true
	case v.CanFloat():
		return v.Float(), true
	}
	return nil, false
}
