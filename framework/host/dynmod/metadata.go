package dynmod

/*
#include "moe.h"
*/
import "C"

import (
	"fmt"
	"math"
	"reflect"

	"mosn.io/moe/framework/internal/core"
)

// Metadata reads a scalar, or a list of scalars, of Envoy's dynamic metadata; the ABI offers no structs to read.
func (h *handle) Metadata(namespace, key string) (value any, err error) {
	err = h.lookup(func(s *stream) bool {
		m := &scratch{}
		defer m.free()
		var ok bool
		value, ok = s.metadata(m.buf(namespace), m.buf(key))
		return ok
	})
	return value, err
}

func (s *stream) metadata(ns, key C.mbuf) (any, bool) {
	var text C.ebuf
	var number C.double
	var truth C.bool
	var n C.size_t
	const dynamic = C.envoy_dynamic_module_type_metadata_source_Dynamic
	switch {
	case bool(C.envoy_dynamic_module_callback_http_get_metadata_string(s.c.envoy, dynamic, ns, key, &text)):
		return goBuffer(text), true
	case bool(C.envoy_dynamic_module_callback_http_get_metadata_number(s.c.envoy, dynamic, ns, key, &number)):
		return float64(number), true
	case bool(C.envoy_dynamic_module_callback_http_get_metadata_bool(s.c.envoy, dynamic, ns, key, &truth)):
		return bool(truth), true
	case !bool(C.envoy_dynamic_module_callback_http_get_metadata_list_size(s.c.envoy, dynamic, ns, key, &n)):
		return nil, false
	}
	list := make([]any, n)
	for i := range list {
		at := C.size_t(i)
		switch {
		case bool(C.envoy_dynamic_module_callback_http_get_metadata_list_string(s.c.envoy, dynamic, ns, key, at, &text)):
			list[i] = goBuffer(text)
		case bool(C.envoy_dynamic_module_callback_http_get_metadata_list_number(s.c.envoy, dynamic, ns, key, at, &number)):
			list[i] = float64(number)
		case bool(C.envoy_dynamic_module_callback_http_get_metadata_list_bool(s.c.envoy, dynamic, ns, key, at, &truth)):
			list[i] = bool(truth)
		}
	}
	return list, true
}

// SetMetadata sets a string, bool or number, or appends a list of those to a list that is there.
func (h *handle) SetMetadata(namespace, key string, value any) error {
	switch v := reflect.ValueOf(value); {
	case scalar(v.Kind()):
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			if e := reflect.ValueOf(v.Index(i).Interface()); !scalar(e.Kind()) {
				return fmt.Errorf("metadata %s/%s: a list of %v: %w", namespace, key, e.Kind(), core.ErrUnsupported)
			}
		}
	default:
		return fmt.Errorf("metadata %s/%s: a %T: %w", namespace, key, value, core.ErrUnsupported)
	}
	return h.later(func(s *stream) {
		m := &scratch{}
		defer m.free()
		s.setMetadata(m, m.buf(namespace), m.buf(key), reflect.ValueOf(value))
	})
}

func scalar(k reflect.Kind) bool {
	return k == reflect.String || k == reflect.Bool || reflect.Int <= k && k <= reflect.Float64 && k != reflect.Uintptr
}

func number(v reflect.Value) C.double {
	switch {
	case v.CanInt():
		return C.double(v.Int())
	case v.CanUint():
		return C.double(v.Uint())
	case v.CanFloat():
		return C.double(v.Float())
	}
	return C.double(math.NaN())
}

func (s *stream) setMetadata(m *scratch, ns, key C.mbuf, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		C.envoy_dynamic_module_callback_http_set_dynamic_metadata_string(s.c.envoy, ns, key, m.buf(v.String()))
	case reflect.Bool:
		C.envoy_dynamic_module_callback_http_set_dynamic_metadata_bool(s.c.envoy, ns, key, C.bool(v.Bool()))
	case reflect.Slice:
		for i := range v.Len() {
			switch e := reflect.ValueOf(v.Index(i).Interface()); e.Kind() {
			case reflect.String:
				C.envoy_dynamic_module_callback_http_add_dynamic_metadata_list_string(s.c.envoy, ns, key, m.buf(e.String()))
			case reflect.Bool:
				C.envoy_dynamic_module_callback_http_add_dynamic_metadata_list_bool(s.c.envoy, ns, key, C.bool(e.Bool()))
			default:
				C.envoy_dynamic_module_callback_http_add_dynamic_metadata_list_number(s.c.envoy, ns, key, number(e))
			}
		}
	default:
		C.envoy_dynamic_module_callback_http_set_dynamic_metadata_number(s.c.envoy, ns, key, number(v))
	}
}
