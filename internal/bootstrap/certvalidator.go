package bootstrap

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	modulesv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/cert_validator/dynamic_modules/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// CertValidator is a certificate validator in Go.
type CertValidator struct {
	// Name is the one that it is registered under.
	Name string `json:"name" validate:"required"`
	// Config is its configuration.
	Config map[string]any `json:"config"`
}

// decide has a context ask the validator about the other side. The validator follows its files itself, so that they are no
// secret of Envoy's.
func (v *CertValidator) decide(common *tlsv3.CommonTlsContext) {
	s, err := toStruct(v.Config)
	if err != nil {
		panic(err) // Check has found it to be good
	}
	common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{CustomValidatorConfig: &corev3.TypedExtensionConfig{
			Name: "envoy.tls.cert_validator.dynamic_modules",
			TypedConfig: pack(&modulesv3.DynamicModuleCertValidatorConfig{
				DynamicModuleConfig: module(Name), ValidatorName: v.Name, ValidatorConfig: pack(s),
			}),
		}},
	}
}

// check reports what stands beside a validator that would have no effect, and a configuration that Envoy cannot have.
func (v *CertValidator) check(p *problems, at string, beside ...field) {
	for _, f := range beside {
		p.exclusive(at, field{"validator", true}, f)
	}
	if _, err := toStruct(v.Config); err != nil {
		p.add(at+".validator.config", "%v", err)
	}
}
