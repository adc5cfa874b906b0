package istio

import (
	"testing"

	_ "mosn.io/moe/pkg/istio/envoytypes" // for the filters in policies
)

// between is a policy with filters of Envoy's own before, between and after plugins. The plugin behind tells the client the
// consumer that the one in front has found.
const between = `
plugins:
- name: keyauth
- {name: headermutation, config: {response: {set: {x-who: "%CONSUMER%"}}}}
consumers: [{name: alice, credentials: {keyauth: {key: a}}}]
envoyFilters:
- name: envoy.filters.http.header_mutation
  config: {mutations: {request_mutations: [{append: {header: {key: x-stop, value: "%REQ(x-please-stop)%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]}}
- name: envoy.filters.http.rbac
  stage: authz
  config:
    rules:
      action: DENY
      policies: {all: {permissions: [{header: {name: x-stop, string_match: {exact: please}}}], principals: [{any: true}]}}
- name: envoy.filters.http.header_mutation
  id: last
  position: after
  config: {mutations: {response_mutations: [{append: {header: {key: x-native, value: last}}}]}}
routes:
- {name: public, plugins: [{id: keyauth, disabled: true}, {id: headermutation, config: {response: {set: {x-who: public}}}}]}
`

// TestNatives has filters of Envoy's own around plugins and between them, and takes them away again.
func TestNatives(t *testing.T) {
	bin := binaries(t)[0]
	m := newMesh(t, world, services)
	d := m.start(bin, gatewayNode).open("0.0.0.0_80", "")
	sees := func(what, path string, status int, name, value string, header ...string) {
		t.Helper()
		m.eventually(what, func() error { return d.sees("www.example.com", path, status, name, value, header...) })
	}
	check := func(host string) {
		t.Helper()
		m.policies(policy("istio-system", "base", toGateway+host+between))
		sees(host+"the consumer is known behind", "/", 200, "x-who", "alice", "x-api-key", "a")
		sees(host+"a filter after", "/", 200, "x-native", "last", "x-api-key", "a")
		sees(host+"refused before", "/", 401, "", "")
		sees(host+"refused between", "/", 403, "x-who", "", "x-api-key", "a", "x-please-stop", "please")
		sees(host+"not refused in front of the filter between", "/", 401, "", "", "x-please-stop", "please")
		sees(host+"a route", "/public", 200, "x-who", "public")
	}
	check("")
	m.policies(policy("istio-system", "base", toGateway+"insert: {position: afterAuthn}\ndelivery: inline\n"+between))
	sees("elsewhere", "/", 200, "x-who", "alice", "x-api-key", "a")
	sees("elsewhere: refused between", "/", 403, "", "", "x-api-key", "a", "x-please-stop", "please")
	check("hosts: [{extProc: {address: \"" + m.extproc().addr + "\"}}]\n")
	m.policies()
	sees("removed", "/", 200, "x-native", "", "x-please-stop", "please")
}
