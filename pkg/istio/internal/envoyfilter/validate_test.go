package envoyfilter

import (
	"errors"
	"strings"
	"testing"

	_ "mosn.io/moe/plugins/hello"

	"mosn.io/moe/pkg/istio/internal/manifest"
)

const head = `apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: theirs, namespace: shop}
spec:
`

// onHTTP is a patch of HTTP_FILTER with a filter's typed_config.
func onHTTP(typed string) string {
	return head + `  priority: 1
  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: GATEWAY, listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}}
    patch:
      operation: INSERT_FIRST
      value:
        name: x
        typed_config:
` + "          " + strings.ReplaceAll(strings.TrimSpace(typed), "\n", "\n          ") + "\n"
}

func patchOf(fields string) string {
	return head + "  priority: 1\n  configPatches:\n  - " + strings.ReplaceAll(strings.TrimSpace(fields), "\n", "\n    ") + "\n"
}

// TestValidate wants one error, or one warning, for every EnvoyFilter; none where nothing is wanted.
func TestValidate(t *testing.T) {
	const rbac = `"@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC` + "\n"
	const value = "patch: {operation: ADD, value: {name: x, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}"
	for name, c := range map[string]struct{ text, want, warning string }{
		"good":                 {text: onHTTP(rbac + "rules: {action: DENY}")},
		"camel case":           {text: onHTTP(rbac + "shadowRulesStatPrefix: x")},
		"unknown field":        {onHTTP(rbac + "rulez: {}"), `:15:11: spec.configPatches[0].patch.value.typed_config.rulez: unknown field; did you mean "rules"?`, ""},
		"unknown field, deep":  {onHTTP(rbac + "rules:\n  policies:\n    a: {permission: []}"), ":17:19: spec.configPatches[0].patch.value.typed_config.rules.policies.a.permission: unknown field", ""},
		"wrong type":           {onHTTP(rbac + "shadow_rules_stat_prefix: 7"), ":15:11: spec.configPatches[0].patch.value.typed_config.shadow_rules_stat_prefix: expected string", ""},
		"bad enum":             {onHTTP(rbac + "rules: {action: FORBID}"), ":15:19: spec.configPatches[0].patch.value.typed_config.rules.action: unknown value of Action; expected", ""},
		"list for an object":   {onHTTP(rbac + "rules: []"), ":15:11: spec.configPatches[0].patch.value.typed_config.rules: expected an object: envoy.config.rbac.v3.RBAC", ""},
		"unknown type":         {onHTTP(`"@type": type.googleapis.com/envoy.extensions.filters.http.rback.v3.RBAC`), `:14:11: spec.configPatches[0].patch.value.typed_config["@type"]: no message type of Envoy's has this URL; there is envoy`, ""},
		"old type":             {onHTTP(`"@type": type.googleapis.com/envoy.config.filter.http.rbac.v2.RBAC`), "types of Envoy's API v2 are gone", ""},
		"no type":              {onHTTP("rules: {}"), `"@type" is required`, ""},
		"what Envoy refuses":   {onHTTP("\"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor\nmessage_timeout: -5s"), ":11:7: spec.configPatches[0].patch.value: Envoy would refuse it: ", ""},
		"bad duration":         {onHTTP("\"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor\nmessage_timeout: 5 s"), "message_timeout: expected a google.protobuf.Duration", ""},
		"typed struct":         {text: onHTTP("\"@type\": type.googleapis.com/xds.type.v3.TypedStruct\ntype_url: type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC\nvalue: {rules: {}}")},
		"typed struct, inside": {onHTTP("\"@type\": type.googleapis.com/xds.type.v3.TypedStruct\ntype_url: type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC\nvalue: {rulez: {}}"), ":16:19: spec.configPatches[0].patch.value.typed_config.value.rulez: unknown field", ""},
		"typed struct, type":   {onHTTP("\"@type\": type.googleapis.com/xds.type.v3.TypedStruct\ntype_url: type.googleapis.com/envoy.nothing\nvalue: {}"), "typed_config.type_url: no message type", ""},
		"secrets where the Golang filter has none": {
			onHTTP("\"@type\": type.googleapis.com/envoy.extensions.filters.http.golang.v3alpha.Config\n" +
				"library_id: moe\nlibrary_path: /x\nplugin_name: moe\nplugin_config:\n  '@type': type.googleapis.com/google.protobuf.Struct\n" +
				"  value: {plugins: [{name: hello, config: {value: x}}], generic_secrets: [{name: a}]}"),
			"typed_config.plugin_config.value.generic_secrets: belongs in generic_secrets of the filter itself", "",
		},
		"a plugin's own configuration": {
			onHTTP("\"@type\": type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter\n" +
				"dynamic_module_config: {name: moe}\nfilter_name: moe\nfilter_config:\n  '@type': type.googleapis.com/google.protobuf.Struct\n" +
				"  value: {plugins: [{name: helo}]}"),
			`:19:32: spec.configPatches[0].patch.value.typed_config.filter_config.value.plugins[0].name: unknown plugin "helo"`, "",
		},
		"unknown field of the spec":  {head + "  configPatch: []", ":5:3: spec.configPatch: unknown field", ""},
		"unknown field of the match": {patchOf("applyTo: HTTP_FILTER\nmatch: {contex: GATEWAY}\n" + value), ":8:13: spec.configPatches[0].match.contex: unknown field; did you mean", ""},
		"no applyTo":                 {patchOf(value), ":7:5: spec.configPatches[0].applyTo: is required", ""},
		"no patch":                   {patchOf("applyTo: HTTP_FILTER"), ":7:5: spec.configPatches[0].patch: is required", ""},
		"no operation":               {patchOf("applyTo: HTTP_FILTER\npatch: {value: {}}"), ".patch.operation: is required", ""},
		"no value":                   {patchOf("applyTo: HTTP_FILTER\npatch: {operation: ADD}"), ".patch.value: is required", ""},
		"no configuration":           {patchOf("applyTo: HTTP_FILTER\npatch: {operation: ADD, value: {name: x}}"), ".patch.value.typed_config: is required", ""},
		"another match":              {patchOf("applyTo: HTTP_FILTER\nmatch: {cluster: {name: x}}\n" + value), ".match: HTTP_FILTER matches a listener, nothing else", ""},
		"bad version":                {patchOf("applyTo: HTTP_FILTER\nmatch: {proxy: {proxyVersion: '('}}\n" + value), "proxyVersion: error parsing regexp", ""},
		"no manager above": {
			patchOf("applyTo: HTTP_FILTER\nmatch: {listener: {filterChain: {filter: {name: x, subFilter: {name: y}}}}}\n" + value),
			"filter.name: expected envoy.filters.network.http_connection_manager above a subFilter", "",
		},
		"null":         {head + "  configPatches: [null]", ":5:19: spec.configPatches[0]: expected an object, got null", ""},
		"another kind": {strings.Replace(head, "v1alpha3", "v1", 1) + "  configPatches: []", ":1: apiVersion: expected networking.istio.io/v1alpha3", ""},
		"no priority": {
			head + "  configPatches:\n  - applyTo: CLUSTER\n    match: {cluster: {name: x}}\n    patch: {operation: MERGE, value: {name: x}}",
			"", "no priority",
		},
		"a reference to a Service": {
			head + "  targetRefs: [{kind: Service, name: a}]\n  configPatches:\n  - applyTo: CLUSTER\n    patch: {operation: REMOVE}", "",
			"spec.targetRefs[0]: Istio applies no EnvoyFilter by a reference to a Service",
		},
		"the context WAYPOINT": {
			patchOf("applyTo: CLUSTER\nmatch: {context: WAYPOINT}\npatch: {operation: REMOVE}"), "",
			"spec.configPatches[0].match.context: Istio accepts WAYPOINT and applies nothing of it yet",
		},
		"nothing in it": {head + "  priority: 1", "", "does nothing"},
		"selects all":   {head + "  priority: 1\n  workloadSelector: {}\n  configPatches:\n  - applyTo: CLUSTER\n    patch: {operation: REMOVE}", "", "has no labels"},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := manifest.Parse("in.yaml", []byte(c.text))
			if err != nil {
				t.Fatalf("manifest.Parse: %v", err)
			}
			warnings, err := Validate(in)
			var es manifest.Errors
			errors.As(err, &es)
			if (c.want != "") != (len(es) == 1) || c.want != "" && !strings.Contains(es[0].Error(), c.want) {
				t.Errorf("errors %v; want %s", es, c.want)
			}
			if c.warning != "" && (len(warnings) != 1 || !strings.Contains(warnings[0].Error(), c.warning)) {
				t.Errorf("warnings %v; want %s", warnings, c.warning)
			}
		})
	}
}
