// Package certvalidator runs certificate validators of framework/certvalidator in any stock Envoy, through Envoy's C ABI
// for dynamic modules. Import it for its side effect into package main of a shared library, beside package dynmod, whose
// module it becomes a part of:
//
//	import (
//		_ "mosn.io/moe/framework/host/dynmod"
//		_ "mosn.io/moe/framework/host/dynmod/certvalidator"
//	)
//
// Envoy configures such a validator with its registered name as validator_name and its configuration as
// validator_config.
package certvalidator

/*
#cgo CFLAGS: -std=gnu11 -O2 -Wall -Werror -Wno-unused-parameter
#include "abi.h"
*/
import "C"

import (
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"unsafe"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/certvalidator"
	"mosn.io/moe/framework/host/dynmod/internal/dynlog"
	"mosn.io/moe/framework/host/dynmod/internal/kind"
	"mosn.io/moe/framework/host/internal/inproc"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/guard"
)

// validator is one configuration of a certificate validator in Envoy.
type validator struct {
	name  string
	own   *assembly.Extension
	calls guard.Calls
	envoy uintptr // Envoy's configuration, to tell it from a call
}

var validators inproc.Table[*validator]

var validatorKind = &kind.Kind{
	Key: "certvalidator", Words: "certificate validator", Field: "validator", All: kind.Of(certvalidator.Registrations),
}

var internals = certvalidator.Internals(core.Internal{})

// moeCertValidatorNew makes the configuration of a certificate validator and returns its number; 0 has Envoy reject it.
//
//export moeCertValidatorNew
func moeCertValidatorNew(
	envoy C.uintptr_t, name *C.char, nameLen C.size_t, value *C.char, valueLen C.size_t,
) (id C.uint32_t) {
	what := C.GoStringN(name, C.int(nameLen))
	defer inproc.Fence(dynlog.Handler, "framework panic in the certificate validator "+what)
	own, err := validatorKind.Acquire(what, C.GoBytes(unsafe.Pointer(value), C.int(valueLen)))
	if err != nil {
		return 0
	}
	return C.uint32_t(validators.Add(&validator{name: what, own: own, envoy: uintptr(envoy)}, nil))
}

//export moeCertValidatorDestroy
func moeCertValidatorDestroy(id C.uint32_t) {
	defer inproc.Fence(dynlog.Handler, "framework panic while a certificate validator was destroyed")
	if v := validators.Remove(uint32(id)); v != nil {
		inproc.Background(dynlog.Handler, "closing a certificate validator", v.own.Release)
	}
}

// refusal is what Envoy gets for a verdict that is not there.
var refusal = C.moe_validation{
	status:          C.envoy_dynamic_module_type_cert_validator_validation_status_Failed,
	detailed_status: C.envoy_dynamic_module_type_cert_validator_client_validation_status_Failed,
	tls_alert:       C.uint8_t(certvalidator.InternalError), has_tls_alert: true,
}

//export moeCertValidatorVerify
func moeCertValidatorVerify(
	id C.uint32_t, envoy unsafe.Pointer, certs *C.ebuf, n C.size_t, host C.ebuf, isServer C.bool,
) (result C.moe_validation) {
	result = refusal
	defer inproc.Fence(dynlog.Handler, "framework panic in a certificate validator")
	v := validators.Get(uint32(id))
	if v == nil {
		return result
	}
	c := call{envoy: envoy, shared: uintptr(envoy) == v.envoy}
	asked := certvalidator.Asked{
		ServerName: C.GoStringN(host.ptr, C.int(host.length)), IsServer: bool(isServer), Source: c,
	}
	for _, b := range unsafe.Slice(certs, int(n)) {
		asked.Raw = append(asked.Raw, C.GoBytes(unsafe.Pointer(b.ptr), C.int(b.length)))
	}
	verdict, fault := internals.Verify(v.verifier(), &v.calls, asked)
	v.report("Verify", fault)
	return c.answer(v, verdict)
}

// answer tells Envoy a verdict.
func (c call) answer(v *validator, verdict certvalidator.Verdict) C.moe_validation {
	switch {
	case verdict.Validated():
		return C.moe_validation{
			status:          C.envoy_dynamic_module_type_cert_validator_validation_status_Successful,
			detailed_status: C.envoy_dynamic_module_type_cert_validator_client_validation_status_Validated,
		}
	case verdict.Accepted():
		return C.moe_validation{
			status:          C.envoy_dynamic_module_type_cert_validator_validation_status_Successful,
			detailed_status: C.envoy_dynamic_module_type_cert_validator_client_validation_status_NotValidated,
		}
	}
	if c.shared {
		slog.New(dynlog.Handler).Debug("certificate refused", "certificate validator", v.name, "reason", verdict.Reason())
	} else {
		c.refuse(verdict.Reason())
	}
	result := refusal
	result.tls_alert = C.uint8_t(verdict.Alert())
	return result
}

// moeCertValidatorDigest writes what TLS sessions depend on to digest, and reports whether there is anything. If the
// validator fails to say, no session goes on: the digest is one of a kind.
//
//export moeCertValidatorDigest
func moeCertValidatorDigest(id C.uint32_t, digest *C.uint8_t) (any C.bool) {
	defer inproc.Fence(dynlog.Handler, "framework panic while a certificate validator told what sessions depend on")
	into := (*[sha256.Size]byte)(unsafe.Pointer(digest))
	if _, err := rand.Read(into[:]); err != nil {
		panic(err)
	}
	v := validators.Get(uint32(id))
	if v == nil {
		return true
	}
	if _, ok := v.verifier().(certvalidator.SessionBinder); !ok {
		return false
	}
	context, fault := internals.SessionContext(v.verifier(), &v.calls)
	v.report("SessionContext", fault)
	if fault == nil {
		*into = sha256.Sum256(context)
	}
	return true
}

func (v *validator) verifier() certvalidator.Verifier { return v.own.Value().(certvalidator.Verifier) }

// report logs how a method of the validator failed, if it has.
func (v *validator) report(method string, fault *guard.Fault) {
	if fault == nil {
		return
	}
	what := method + " of the certificate validator " + v.name
	value, _ := guard.Text(fault.Value)
	if fault.Stack == nil {
		slog.New(dynlog.Handler).Error(what+" takes too long", "value", value)
		return
	}
	slog.New(dynlog.Handler).Error("panic in "+what, "value", value, "stack", string(fault.Stack))
}
