package envoytest

import "encoding/base64"

// DynamicModule writes Envoy's configuration for what is in a dynamic module: lib + its name + .so. Envoy never closes
// it.
type DynamicModule string

// The test module, and the bridge.
const (
	MoE          DynamicModule = "moe"
	GolangBridge DynamicModule = "golang_bridge"
)

// Env is the environment in which Envoy finds modules in the folder dir. godebug is their GODEBUG,
// which is empty unless given, whatever the test's own is.
func (DynamicModule) Env(dir, godebug string) []string {
	return []string{"ENVOY_DYNAMIC_MODULES_SEARCH_PATH=" + dir, "GODEBUG=" + godebug}
}

// HTTPFilter returns an HTTP filter that is called name in its chain, and filter in the module. config is a message in
// its JSON form, with its @type.
func (d DynamicModule) HTTPFilter(name, filter string, config M) M {
	return M{"name": name, "typed_config": d.with("filters.http.dynamic_modules.v3.DynamicModuleFilter", M{
		"filter_name": filter, "filter_config": config,
	})}
}

// PerRoute returns the configuration of a route, for its typed_per_filter_config.
func (d DynamicModule) PerRoute(filter string, config M) M {
	return d.with("filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute", M{
		"filter_name": filter, "filter_config": config,
	})
}

// AccessLog returns an access logger; its configuration may be nil.
func (d DynamicModule) AccessLog(name, logger string, config M) M {
	fields := M{"logger_name": logger}
	if config != nil {
		fields["logger_config"] = config
	}
	return M{"name": name, "typed_config": d.with("access_loggers.dynamic_modules.v3.DynamicModuleAccessLog", fields)}
}

// CertValidator returns the custom_validator_config of a validation context; the validator's configuration may be nil.
func (d DynamicModule) CertValidator(validator string, config M) M {
	fields := M{"validator_name": validator}
	if config != nil {
		fields["validator_config"] = config
	}
	return M{"name": "envoy.tls.cert_validator.dynamic_modules", "typed_config": d.with(
		"transport_sockets.tls.cert_validator.dynamic_modules.v3.DynamicModuleCertValidatorConfig", fields)}
}

// NetworkFilter returns a network filter, called as in the module; its configuration may be nil.
func (d DynamicModule) NetworkFilter(filter string, config M) M {
	fields := M{"filter_name": filter}
	if config != nil {
		fields["filter_config"] = config
	}
	return M{"name": filter, "typed_config": d.with("filters.network.dynamic_modules.v3.DynamicModuleNetworkFilter", fields)}
}

// ListenerFilter returns a listener filter, called as in the module; its configuration may be nil.
func (d DynamicModule) ListenerFilter(filter string, config M) M {
	fields := M{"filter_name": filter}
	if config != nil {
		fields["filter_config"] = config
	}
	return M{"name": filter, "typed_config": d.with("filters.listener.dynamic_modules.v3.DynamicModuleListenerFilter", fields)}
}

// Bootstrap returns a bootstrap extension; its configuration may be nil.
func (d DynamicModule) Bootstrap(extension string, config M) M {
	fields := M{"extension_name": extension}
	if config != nil {
		fields["extension_config"] = config
	}
	return M{"name": "envoy.bootstrap.dynamic_modules", "typed_config": d.with(
		"bootstrap.dynamic_modules.v3.DynamicModuleBootstrapExtension", fields)}
}

// UDPFilter returns a UDP listener filter, called as in the module; its configuration may be nil.
func (d DynamicModule) UDPFilter(filter string, config M) M {
	fields := M{"filter_name": filter}
	if config != nil {
		fields["filter_config"] = config
	}
	return M{"name": filter, "typed_config": d.with("filters.udp.dynamic_modules.v3.DynamicModuleUdpListenerFilter", fields)}
}

func (d DynamicModule) with(extension string, config M) M {
	config["@type"] = "type.googleapis.com/envoy.extensions." + extension
	config["dynamic_module_config"] = M{"name": string(d), "do_not_close": true}
	return config
}

// Messages that have a document in them.
const (
	Struct      = "google.protobuf.Struct"
	TypedStruct = "xds.type.v3.TypedStruct"
)

// Document wraps a document in a message: its bytes as BytesValue, its text as StringValue, another as an object, a
// [Struct] or [TypedStruct].
func Document(object string, doc any) M {
	switch of := doc.(type) {
	case []byte:
		object, doc = "google.protobuf.BytesValue", base64.StdEncoding.EncodeToString(of)
	case string:
		object = "google.protobuf.StringValue"
	}
	return M{"@type": "type.googleapis.com/" + object, "value": doc}
}
