package certvalidator

/*
#include <stdlib.h>
#include "abi.h"

static void set_error_details(void *call, char *p, size_t n) { CB(cert_validator_set_error_details)(call, (mbuf){p, n}); }

static bool set_filter_state(void *call, char *key, size_t key_n, char *value, size_t value_n) {
  return CB(cert_validator_set_filter_state)(call, (mbuf){key, key_n}, (mbuf){value, value_n});
}

static bool get_filter_state(void *call, char *key, size_t n, ebuf *value) {
  return CB(cert_validator_get_filter_state)(call, (mbuf){key, n}, value);
}
*/
import "C"

import (
	"unsafe"

	"mosn.io/moe/framework/certvalidator"
)

// call is one call of Envoy's for a verdict. It is used on the thread that Envoy calls on, and until the verdict.
type call struct {
	envoy unsafe.Pointer
	// shared is whether Envoy has one memory for what is said in all calls of a configuration, on all threads, as in 1.38:
	// details would be mixed up and filter state would be another connection's, or memory that two threads write.
	shared bool
}

// lend lends s to C until the function that it returns is called.
func lend(s string) (*C.char, C.size_t, func()) {
	p := C.CString(s)
	return p, C.size_t(len(s)), func() { C.free(unsafe.Pointer(p)) }
}

func (c call) refuse(reason string) {
	p, n, free := lend(reason)
	defer free()
	C.set_error_details(c.envoy, p, n)
}

// FilterState is certvalidator.Source's.
func (c call) FilterState(key string) (string, error) {
	if c.shared {
		return "", certvalidator.ErrUnsupported
	}
	p, n, free := lend(key)
	defer free()
	var value C.ebuf
	if !C.get_filter_state(c.envoy, p, n, &value) {
		return "", certvalidator.ErrNotFound
	}
	return C.GoStringN(value.ptr, C.int(value.length)), nil
}

// SetFilterState is certvalidator.Source's. Envoy says that it has set what it has not, so it is asked again.
func (c call) SetFilterState(key, value string) error {
	if c.shared {
		return certvalidator.ErrUnsupported
	}
	if _, err := c.FilterState(key); err == nil {
		return certvalidator.ErrFilterStateTaken
	}
	k, kn, freeKey := lend(key)
	defer freeKey()
	v, vn, freeValue := lend(value)
	defer freeValue()
	if !C.set_filter_state(c.envoy, k, kn, v, vn) {
		return certvalidator.ErrUnsupported
	}
	if got, err := c.FilterState(key); err != nil || got != value {
		return certvalidator.ErrFilterStateTaken
	}
	return nil
}
