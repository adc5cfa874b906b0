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
- name: public
  plugins: [{id: keyauth, disabled: true}, {id: headermutation, config: {response: {set: {x-who: public}}}}]
  envoyFilters:
  - name: envoy.filters.http.rbac
    config:
      rbac:
        rules:
          action: DENY
          policies: {all: {permissions: [{header: {name: x-other, present_match: true}}], principals: [{any: true}]}}
- name: api
  envoyFilters:
  - {name: envoy.filters.http.rbac, disabled: true}
  - id: last
    config: {mutations: {response_mutations: [{append: {header: {key: x-native, value: api}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]}}
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
		sees(host+"a route's configuration refuses", "/public", 403, "", "", "x-other", "any")
		sees(host+"a route's configuration in place of the filter's", "/public", 200, "x-who", "public", "x-please-stop", "please")
		sees(host+"disabled by a route", "/api", 200, "x-who", "alice", "x-api-key", "a", "x-please-stop", "please")
		sees(host+"a filter after, by a route", "/api", 200, "x-native", "api", "x-api-key", "a")
	}
	check("")
	m.policies(policy("istio-system", "base", toGateway+"insert: {position: afterAuthn}\ndelivery: inline\n"+between))
	sees("elsewhere", "/", 200, "x-who", "alice", "x-api-key", "a")
	sees("elsewhere: refused between", "/", 403, "", "", "x-api-key", "a", "x-please-stop", "please")
	check("hosts: [{extProc: {address: \"" + m.extproc().addr + "\"}}]\n")
	m.policies()
	sees("removed", "/", 200, "x-native", "", "x-please-stop", "please")
}

// TestWaypointNatives has routes of a waypoint disable and configure filters of Envoy's own, which Istio's patches of routes do
// not reach there.
func TestWaypointNatives(t *testing.T) {
	m := newMesh(t, ambient)
	d := m.start(binaries(t)[0], waypointNode).hbone(cartHTTP)
	sees := func(what, path string, status int, name, value string, header ...string) {
		t.Helper()
		m.eventually(what, func() error { return d.sees("any.host", path, status, name, value, header...) })
	}
	filters := toWP + "plugins: [" + marks("x-moe", "wp") + "]\n" + `
envoyFilters:
- name: envoy.filters.http.rbac
  config:
    rules:
      action: DENY
      policies: {all: {permissions: [{header: {name: x-stop, present_match: true}}], principals: [{any: true}]}}
- {name: envoy.filters.http.fault, stage: traffic, position: after, config: {abort: {http_status: 410, percentage: {numerator: 0}}}}
`
	all := policy("default", "all", filters)
	m.policies(all)
	sees("a filter of the waypoint", "/api/x", 403, "", "", "x-stop", "any")
	sees("and the plugins", "/api/x", 200, "x-moe", "wp")

	m.policies(policy("default", "all", filters+"routes: [{name: api, envoyFilters: [{name: envoy.filters.http.rbac, disabled: true}]}]\n"))
	sees("disabled by a route", "/api/x", 200, "x-moe", "wp", "x-stop", "any")
	for _, path := range append([]string{"/"}, besideAPI...) {
		sees("disabled by another route", path, 403, "", "", "x-stop", "any")
	}

	m.policies(all, policy("default", "api", toWP+`routes:
- name: api
  plugins: [`+marks("x-moe", "api")+`]
  envoyFilters:
  - {name: envoy.filters.http.fault, config: {abort: {http_status: 418, percentage: {numerator: 100}}}}
`))
	sees("configured by a route", "/api/x", 418, "", "")
	sees("not disabled any more", "/api/x", 403, "", "", "x-stop", "any")
	for _, path := range append([]string{"/"}, besideAPI...) {
		sees("configured by another route", path, 200, "x-moe", "wp")
	}
	m.policies()
	sees("removed", "/api/x", 200, "x-moe", "", "x-stop", "any")
}
