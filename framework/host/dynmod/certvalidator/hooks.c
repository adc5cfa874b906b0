// Event hooks of certificate validators. A configuration's number is all that Envoy keeps of ours.
#include "_cgo_export.h"
#include "abi.h"

#define NUMBER(config) ((uint32_t)(uintptr_t)(config))

HOOK const void *ON(cert_validator_config_new)(void *envoy, ebuf name, ebuf value) {
  return (const void *)(uintptr_t)moeCertValidatorNew((uintptr_t)envoy, (char *)name.ptr, name.length, (char *)value.ptr,
                                                      value.length);
}

HOOK void ON(cert_validator_config_destroy)(const void *config) { moeCertValidatorDestroy(NUMBER(config)); }

HOOK moe_validation ON(cert_validator_do_verify_cert_chain)(void *call, const void *config, ebuf *certs, size_t n,
                                                            ebuf host, bool is_server) {
  return moeCertValidatorVerify(NUMBER(config), call, certs, n, host, is_server);
}

// SSL_VERIFY_PEER: whether a client needs a certificate is for Envoy's require_client_certificate to say.
HOOK int ON(cert_validator_get_ssl_verify_mode)(const void *config, bool handshaker_provides_certificates) { return 1; }

// Envoy reads the digest when the hook has returned.
HOOK void ON(cert_validator_update_digest)(const void *config, mbuf *out) {
  static _Thread_local uint8_t digest[32];
  if (moeCertValidatorDigest(NUMBER(config), digest))
    *out = (mbuf){(const char *)digest, sizeof digest};
}
