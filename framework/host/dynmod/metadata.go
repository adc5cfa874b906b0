package dynmod

/*
#include "moe.h"
*/
import "C"

import (
	"fmt"
	"math"
	"reflect"
	"sync"

	"mosn.io/moe/framework/internal/core"
)

// Metadata reads a scalar, or a list of scalars, of Envoy's dynamic metadata; the ABI offers no structs to read.
func (h *handle) Metadata(namespace, key string) (value any, err error) {
	err = h.Lookup(func() bool {
		m := &scratch{}
		defer m.free()
		var ok bool
		value, ok = h.metadata(m, namespace, key)
		return ok
	})
	return value, err
}

// Kinds of metadata, in the order in which they are tried.
const (
	metaText = iota
	metaNumber
	metaTruth
	metaList
	metaKinds
)

// metaSeen remembers the kind that each key has had: Envoy logs an error when it is asked for another, and offers no way
// to learn which it is. It is bounded, as keys may come from requests.
var metaSeen struct {
	mu    sync.Mutex
	kinds map[[2]string]int
}

const maxMetaSeen = 4096

func metaKind(namespace, key string) int {
	metaSeen.mu.Lock()
	defer metaSeen.mu.Unlock()
	return metaSeen.kinds[[2]string{namespace, key}]
}

func rememberMetaKind(namespace, key string, kind int) {
	metaSeen.mu.Lock()
	defer metaSeen.mu.Unlock()
	name := [2]string{namespace, key}
	if metaSeen.kinds[name] == kind {
		return
	}
	if metaSeen.kinds == nil || len(metaSeen.kinds) >= maxMetaSeen {
		metaSeen.kinds = map[[2]string]int{}
	}
	metaSeen.kinds[name] = kind
}

// metadata reads a value, of the kind that it had last if it still has.
func (s *envoyStream) metadata(m *scratch, namespace, key string) (any, bool) {
	first := metaKind(namespace, key)
	ns, k := m.buf(namespace), m.buf(key)
	for i := range metaKinds {
		kind := (first + i) % metaKinds
		if v, ok := s.metadataOf(kind, ns, k); ok {
			rememberMetaKind(namespace, key, kind)
			return v, true
		}
	}
	return nil, false
}

func (s *envoyStream) metadataOf(kind int, ns, key C.mbuf) (any, bool) {
	const dynamic = C.envoy_dynamic_module_type_metadata_source_Dynamic
	switch kind {
	case metaText:
		var text C.ebuf
		ok := C.envoy_dynamic_module_callback_http_get_metadata_string(s.c.envoy, dynamic, ns, key, &text)
		return goBuffer(text), bool(ok)
	case metaNumber:
		var number C.double
		ok := C.envoy_dynamic_module_callback_http_get_metadata_number(s.c.envoy, dynamic, ns, key, &number)
		return float64(number), bool(ok)
	case metaTruth:
		var truth C.bool
		ok := C.envoy_dynamic_module_callback_http_get_metadata_bool(s.c.envoy, dynamic, ns, key, &truth)
		return bool(truth), bool(ok)
	}
	return s.metadataList(ns, key)
}

func (s *envoyStream) metadataList(ns, key C.mbuf) (any, bool) {
	const dynamic = C.envoy_dynamic_module_type_metadata_source_Dynamic
	var text C.ebuf
	var number C.double
	var truth C.bool
	var n C.size_t
	if !C.envoy_dynamic_module_callback_http_get_metadata_list_size(s.c.envoy, dynamic, ns, key, &n) {
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
	return h.Later(func() {
		m := &scratch{}
		defer m.free()
		v := reflect.ValueOf(value)
		h.setMetadata(m, m.buf(namespace), m.buf(key), v)
		rememberMetaKind(namespace, key, kindOfMetadata(v.Kind()))
	}, nil)
}

func kindOfMetadata(k reflect.Kind) int {
	switch k {
	case reflect.String:
		return metaText
	case reflect.Bool:
		return metaTruth
	case reflect.Slice:
		return metaList
	}
	return metaNumber
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

func (s *envoyStream) setMetadata(m *scratch, ns, key C.mbuf, v reflect.Value) {
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
