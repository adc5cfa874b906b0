// The part of Envoy's dynamic-module ABI v0.1.0 that certificate validators use. Names and layouts are Envoy's
// (source/extensions/dynamic_modules/abi/abi.h); abi_test.go compiles this file against that one. See ../abi.h.
#pragma once

#include "../abi.h"

#ifndef MOE_ABI_TYPES_GIVEN

typedef enum {
  envoy_dynamic_module_type_cert_validator_validation_status_Successful = 0,
  envoy_dynamic_module_type_cert_validator_validation_status_Failed = 1,
} envoy_dynamic_module_type_cert_validator_validation_status;

typedef enum {
  envoy_dynamic_module_type_cert_validator_client_validation_status_NotValidated = 0,
  envoy_dynamic_module_type_cert_validator_client_validation_status_NoClientCertificate = 1,
  envoy_dynamic_module_type_cert_validator_client_validation_status_Validated = 2,
  envoy_dynamic_module_type_cert_validator_client_validation_status_Failed = 3,
} envoy_dynamic_module_type_cert_validator_client_validation_status;

typedef struct {
  envoy_dynamic_module_type_cert_validator_validation_status status;
  envoy_dynamic_module_type_cert_validator_client_validation_status detailed_status;
  uint8_t tls_alert;
  bool has_tls_alert;
} envoy_dynamic_module_type_cert_validator_validation_result;

#endif // MOE_ABI_TYPES_GIVEN

typedef envoy_dynamic_module_type_cert_validator_validation_result moe_validation;

// Event hooks.
HOOK const void *ON(cert_validator_config_new)(void *config, ebuf name, ebuf value);
HOOK void ON(cert_validator_config_destroy)(const void *config);
HOOK moe_validation ON(cert_validator_do_verify_cert_chain)(void *call, const void *config, ebuf *certs, size_t n,
                                                            ebuf host, bool is_server);
HOOK int ON(cert_validator_get_ssl_verify_mode)(const void *config, bool handshaker_provides_certificates);
HOOK void ON(cert_validator_update_digest)(const void *config, mbuf *out);

// Callbacks.
CALLBACK void CB(cert_validator_set_error_details)(void *, mbuf);
CALLBACK bool CB(cert_validator_set_filter_state)(void *, mbuf, mbuf);
CALLBACK bool CB(cert_validator_get_filter_state)(void *, mbuf, ebuf *);
