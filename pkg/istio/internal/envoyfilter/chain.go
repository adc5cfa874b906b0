package envoyfilter

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/standin"
)

// chain has the plugins of MoE look at their own configuration.
func (v *validator) chain(path string, m map[string]any, d protoreflect.MessageDescriptor) {
	key, wrapped := "filter_config", "filter_name"
	switch d.FullName() {
	case "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
		"envoy.extensions.filters.http.golang.v3alpha.Config":
	default:
		return
	}
	if d.Name() == "Config" {
		key, wrapped = "plugin_config", "plugin_name"
	}
	if m[wrapped] != assembly.ChainName || manifest.Dig(m, key, "@type") != "type.googleapis.com/google.protobuf.Struct" {
		return
	}
	doc, _ := manifest.Dig(m, key, "value").(map[string]any)
	if doc[document.GenericSecretsField] != nil && d.Name() == "Config" {
		v.fail(path+"."+key+".value.generic_secrets", "belongs in generic_secrets of the filter itself, beside plugin_name")
	}
	_, es := standin.Validate(doc, func(doc map[string]any) error {
		return assembly.Validate(assembly.ChainName, doc, ^filter.Capability(0))
	})
	for _, e := range es {
		v.fail(config.Errors{e}.In(path + "." + key + ".value")[0].Path, "%s", e.Msg)
	}
}
