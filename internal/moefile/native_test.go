package moefile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"mosn.io/moe/framework/config"
	_ "mosn.io/moe/pkg/istio/envoytypes"
)

// Each HTTP filter whose messages go-control-plane has can be named without its "@type".
func TestEnvoyFilterNames(t *testing.T) {
	names := map[string]bool{}
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if rest, ok := strings.CutPrefix(string(f.Package()), "envoy.extensions.filters.http."); ok {
			short, _, _ := strings.Cut(rest, ".")
			names["envoy.filters.http."+short] = short != "router"
		}
		return true
	})
	if len(names) < 60 {
		t.Fatalf("got %d filters, want all of go-control-plane's", len(names))
	}
	for name, ours := range names {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(fmt.Appendf(nil, "envoyFilters: [{name: %s}]", name), CheckFile, Dynmod)
			if ours && err != nil && strings.Contains(err.Error(), "@type") {
				t.Errorf("Parse: got error %v, want the filter's message to be found", err)
			}
			if !ours && err == nil {
				t.Error("Parse: got no error for the router, want one")
			}
		})
	}
}

// Plugins may run as listed beside filters that a stage puts before or after all of them.
func TestListedUndivided(t *testing.T) {
	for name, place := range map[string]string{
		"before": "stage: access, position: before", "after": "stage: observe, position: after", "no stage": "position: after",
	} {
		t.Run(name, func(t *testing.T) {
			text := "order: listed\nenvoyFilters: [{name: envoy.filters.http.cors, " + place + "}]\nroutes: [{order: listed}]"
			if _, err := Parse([]byte(text), CheckFile, Dynmod); err != nil {
				t.Errorf("Parse: got error %v, want none", err)
			}
		})
	}
}

// Mistakes in the configuration of Envoy's own filters are found before Envoy is asked, each in its place.
func TestEnvoyFilterErrors(t *testing.T) {
	const limit = "envoyFilters:\n- name: envoy.filters.http.local_ratelimit\n  config:\n    stat_prefix: a\n"
	for _, c := range []struct{ name, text, want string }{
		{
			name: "a field that the filter does not have", text: limit + "    token_bucket: {max_tokens: 1, fill_intervall: 1s}\n",
			want: `f:5:35: envoyFilters[0].config.token_bucket.fill_intervall: unknown field; did you mean "fill_interval"?`,
		},
		{
			name: "a wrong type", text: limit + "    token_bucket: {max_tokens: many, fill_interval: 1s}\n",
			want: "f:5:20: envoyFilters[0].config.token_bucket.max_tokens: expected uint32",
		},
		{
			name: "a rule of Envoy's", text: strings.Replace(limit, "stat_prefix: a", `stat_prefix: ""`, 1),
			want: "f:3:3: envoyFilters[0].config: Envoy would refuse it: invalid",
		},
		{
			name: "an unknown filter", text: "envoyFilters: [{name: envoy.filters.http.local_rate_limit}]",
			want: `f:1:17: envoyFilters[0].name: unknown HTTP filter of Envoy's; did you mean "envoy.filters.http.local_ratelimit"?`,
		},
		{
			name: "an unknown message", text: `envoyFilters: [{name: mine, config: {"@type": type.googleapis.com/a.B}}]`,
			want: `unknown message of Envoy's "type.googleapis.com/a.B"`,
		},
		{
			name: "the router", text: "envoyFilters: [{name: envoy.filters.http.router}]",
			want: "f:1:17: envoyFilters[0].name: the router ends every list of filters already",
		},
		{
			name: "the router by another name",
			text: `envoyFilters: [{name: mine, config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]`,
			want: `f:1:38: envoyFilters[0].config["@type"]: the router ends every list of filters already`,
		},
		{
			name: "a filter twice", text: "envoyFilters: [{name: envoy.filters.http.cors}, {name: envoy.filters.http.cors}]",
			want: "envoyFilters[1].name: duplicate filter; give one of the two an id",
		},
		{
			name: "a route's for no filter", text: limit + "routes: [{envoyFilters: [{name: envoy.filters.http.cors, disabled: true}]}]",
			want: "routes[0].envoyFilters[0].name: unknown filter of envoyFilters",
		},
		{
			name: "a route's message", text: "envoyFilters: [{name: envoy.filters.http.rbac}]\n" +
				"routes:\n- envoyFilters:\n  - name: envoy.filters.http.rbac\n    config: {rules: {}}\n",
			want: "f:5:14: routes[0].envoyFilters[0].config.rules: unknown field",
		},
		{
			name: "a route's entry that says nothing", text: limit +
				"routes: [{envoyFilters: [{name: envoy.filters.http.local_ratelimit}]}]",
			want: "routes[0].envoyFilters[0].config: is required, or disabled: true",
		},
		{
			name: "a filter that routes cannot configure", text: "envoyFilters: [{name: envoy.filters.http.grpc_stats}]\n" +
				"routes:\n- envoyFilters:\n  - name: envoy.filters.http.grpc_stats\n    config: {emit_filter_state: true}\n",
			want: "f:5:5: routes[0].envoyFilters[0].config: envoy.filters.http.grpc_stats has no configuration of a route's own; " +
				"only disabled: true",
		},
		{
			name: "another filter's message", text: "envoyFilters: [{name: envoy.filters.http.cors, config: " +
				`{"@type": type.googleapis.com/envoy.extensions.filters.http.csrf.v3.CsrfPolicy}}]`,
			want: `got envoy.extensions.filters.http.csrf.v3.CsrfPolicy, but envoy.filters.http.cors takes ` +
				`envoy.extensions.filters.http.cors.v3.Cors here`,
		},
		{
			name: "a filter's message on a route", text: "envoyFilters: [{name: envoy.filters.http.rbac}]\n" +
				"routes:\n- envoyFilters:\n  - name: envoy.filters.http.rbac\n" +
				`    config: {"@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC}`,
			want: "envoy.filters.http.rbac takes envoy.extensions.filters.http.rbac.v3.RBACPerRoute here",
		},
		{
			name: "a position", text: "envoyFilters: [{name: envoy.filters.http.cors, position: between}]",
			want: `envoyFilters[0].position: expected "before" or "after"`,
		},
		{
			name: "a stage", text: "envoyFilters: [{name: envoy.filters.http.cors, stage: authentication}]",
			want: `envoyFilters[0].stage: expected`,
		},
		{
			name: "the name of a filter with plugins", text: "envoyFilters:\n- {name: envoy.filters.http.cors, id: moe-authz-observe, stage: authz}",
			want: `f:2:35: envoyFilters[0].id: "moe-authz-observe" is a filter with plugins; choose another id`,
		},
		{
			name: "between plugins that run as listed", text: "order: listed\nplugins: [{name: guard}]\n" +
				"envoyFilters:\n- {name: envoy.filters.http.cors, stage: authz}",
			want: "f:4:35: envoyFilters[0].stage: needs order: stage, because plugins that run as listed cannot be divided by their stages",
		},
		{
			name: "between plugins that run as listed on a route", text: "envoyFilters: [{name: envoy.filters.http.cors, stage: authz}]\n" +
				"routes: [{order: listed}]",
			want: "f:2:11: routes[0].order: envoyFilters stand between plugins, which cannot be divided by their stages if they run as listed",
		},
		{
			name: "stages of a filter's document", text: "stages: [access]",
			want: "f:1:1: stages: is made of envoyFilters; give one of these a stage",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Loader{Name: "f"}.Parse([]byte(c.text))
			var all config.Errors
			if !errors.As(err, &all) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Parse: got error %v, want one with %q", err, c.want)
			}
		})
	}
}

// Routes configure a filter by its message for them, or by the filter's own where Envoy takes that.
func TestEnvoyFiltersOfRoutes(t *testing.T) {
	for _, c := range []struct {
		name string // after envoy.filters.http.
		ok   bool
	}{
		{name: "bandwidth_limit", ok: true},
		{name: "cors", ok: true},
		{name: "csrf", ok: true},
		{name: "fault", ok: true},
		{name: "filter_chain", ok: true},
		{name: "header_mutation", ok: true},
		{name: "header_to_metadata", ok: true},
		{name: "rbac", ok: true},
		{name: "set_metadata", ok: true},
		{name: "adaptive_concurrency"},
		{name: "cdn_loop"},
		{name: "grpc_stats"},
		{name: "health_check"},
		{name: "ip_tagging"},
		{name: "rate_limit_quota"},
		{name: "tap"},
		{name: "thrift_to_metadata"},
	} {
		for _, text := range []string{"config: {}", "disabled: true"} {
			t.Run(c.name+" "+text, func(t *testing.T) {
				name := "envoy.filters.http." + c.name
				_, err := Parse(fmt.Appendf(nil, "envoyFilters: [{name: %s}]\nroutes: [{envoyFilters: [{name: %s, %s}]}]", name, name, text),
					CheckFile, Dynmod)
				refused := err != nil && strings.Contains(err.Error(), "has no configuration of a route's own")
				if want := !c.ok && text != "disabled: true"; refused != want {
					t.Errorf("Parse: got error %v, want it refused: %v", err, want)
				}
			})
		}
	}
}
