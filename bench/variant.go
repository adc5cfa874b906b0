package main

import (
	"fmt"
	"regexp"
	"slices"
)

// A variant is one way to do the work: an Envoy of its own with these filters.
type variant struct {
	name    string
	what    string
	module  string // the dynamic module it needs: a key of modules, or ""
	library string // the library for the Golang filter, likewise
	filters []filterConfig
	logs    []any // Envoy's access_log
	headers int   // how many request and how many response headers it sets

	consumers int      // how many the plugin keyauth knows; the filter is made with the file that lists them
	godebug   []string // settings of a Go runtime that it cannot do without
	base      string   // the variant that it is compared with; "" is none
	fields    []string // of the request, besides those of every variant
	refuses   bool     // a request without them
	forward   bool     // responses come from an upstream, also without -upstream, and may be stored
}

// filterConfig is one entry of Envoy's http_filters.
type filterConfig = map[string]any

const (
	none  = "none" // the variant that others are compared with
	input = "x-bench"
	value = "0123456789abcdef" // of the request header that every variant reads
)

// setHeaders names the headers that the i-th filter of a variant sets. With distinct names, ten filters leave ten
// headers behind; otherwise each replaces what the one before it has set.
type setHeaders struct{ distinct bool }

// Names are of several lengths, as in life: where two have the same, comparing them costs more.
var headerNames = [10][2]string{
	{"x-user-id", "x-served-by"},
	{"x-tenant", "x-cache-status"},
	{"x-plan", "x-ratelimit-limit"},
	{"x-request-start", "x-ratelimit-remaining"},
	{"x-client-version", "x-trace"},
	{"x-experiment", "x-build"},
	{"x-region", "x-frame-options"},
	{"x-consumer-group", "x-content-type-options"},
	{"x-auth-scope", "x-robots-tag"},
	{"x-session-age", "x-zone"},
}

func (s setHeaders) names(i int) (request, response string) {
	if !s.distinct {
		i = 0
	}
	return headerNames[i][0], headerNames[i][1]
}

// left is how many headers n filters leave behind.
func (s setHeaders) left(n int) int {
	if !s.distinct {
		return min(n, 1)
	}
	return n
}

// variants lists what is measured.
func variants(s setHeaders) []variant {
	needs := []string{"cgocheck=0"} // the SDK hands Go memory to C
	all := []variant{
		{name: none, what: "no filter"},
		{
			name: "c-nop", what: "bare C module, nothing to do", module: "bare",
			filters: []filterConfig{moduleFilter("bare", "nop", text(""))},
		},
		{name: "c-one", what: "bare C module", module: "bare", headers: 1, filters: repeat(1, s, bareFilter)},
		{name: "c-ten", what: "ten bare C modules", module: "bare", headers: 10, filters: repeat(10, s, bareFilter)},
		{name: "native-one", what: "Envoy's header_mutation", headers: 1, filters: repeat(1, s, nativeFilter)},
		{name: "native-ten", what: "ten header_mutation", headers: 10, filters: repeat(10, s, nativeFilter)},
		{
			name: "sdk-nop", what: "upstream's Go SDK, nothing to do", module: "upstreamsdk", godebug: needs,
			filters: []filterConfig{moduleFilter("upstreamsdk", "nop", text(""))},
		},
		{
			name: "sdk-one", what: "upstream's Go SDK", module: "upstreamsdk", godebug: needs, headers: 1,
			filters: repeat(1, s, sdkFilter),
		},
		{
			name: "sdk-ten", what: "ten of upstream's Go SDK", module: "upstreamsdk", godebug: needs, headers: 10,
			filters: repeat(10, s, sdkFilter),
		},
		{name: "lua-one", what: "Lua", headers: 1, filters: repeat(1, s, luaFilter)},
		{name: "lua-ten", what: "ten Lua", headers: 10, filters: repeat(10, s, luaFilter)},
		{
			name: "moe-nop", what: "MoE, a chain of ten with nothing to do", module: "moe",
			filters: []filterConfig{chainFilter(plugins(10, "benchnop", nil))},
		},
		{
			name: "moe-one", what: "MoE, one plugin", module: "moe", headers: 1,
			filters: []filterConfig{chainFilter(plugins(1, "benchone", s.pluginConfig))},
		},
		{
			name: "moe-ten", what: "MoE, a chain of ten", module: "moe", headers: 10,
			filters: []filterConfig{chainFilter(plugins(10, "benchone", s.pluginConfig))},
		},
		{
			name: "moe-one-constant", what: "MoE, one plugin, its response header told ahead", module: "moe", headers: 1,
			filters: []filterConfig{chainFilter(plugins(1, "benchconstant", s.pluginConfig))},
		},
		{
			name: "moe-ten-constant", what: "MoE, a chain of ten, likewise", module: "moe", headers: 10,
			filters: []filterConfig{chainFilter(plugins(10, "benchconstant", s.pluginConfig))},
		},
		{
			name: "moe-ten-filters", what: "MoE, ten filters of one plugin", module: "moe", headers: 10,
			filters: repeat(10, s, moeFilter),
		},
		{
			name: "sdk-async", what: "upstream's Go SDK, goroutine and scheduler", module: "upstreamsdk", godebug: needs,
			filters: []filterConfig{moduleFilter("upstreamsdk", "async", text(""))},
		},
		{
			name: "moe-async", what: "MoE, filter.Go", module: "moe",
			filters: []filterConfig{chainFilter(plugins(1, "benchasync", nil))},
		},
		{
			name: "golang-nop", what: "bridge, upstream's Golang SDK, nothing to do", module: bridge, library: "golangsdk",
			godebug: needs, filters: []filterConfig{golangFilter("golangsdk", "nop", map[string]any{})},
		},
		{
			name: "golang-one", what: "bridge, upstream's Golang SDK", module: bridge, library: "golangsdk",
			godebug: needs, headers: 1, filters: repeat(1, s, golangSDKFilter),
		},
		{
			name: "golang-ten", what: "bridge, ten of upstream's Golang SDK", module: bridge, library: "golangsdk",
			godebug: needs, headers: 10, filters: repeat(10, s, golangSDKFilter),
		},
		{
			name: "moe-golang-nop", what: "bridge, MoE, a chain of ten with nothing to do", module: bridge, library: "moe",
			filters: []filterConfig{golangChain(plugins(10, "benchnop", nil))},
		},
		{
			name: "moe-golang-one", what: "bridge, MoE, one plugin", module: bridge, library: "moe", headers: 1,
			filters: []filterConfig{golangChain(plugins(1, "benchone", s.pluginConfig))},
		},
		{
			name: "moe-golang-ten", what: "bridge, MoE, a chain of ten", module: bridge, library: "moe", headers: 10,
			filters: []filterConfig{golangChain(plugins(10, "benchone", s.pluginConfig))},
		},
		{name: "keyauth-10", what: "MoE, keyauth with 10 consumers", module: "moe", consumers: 10},
		{name: "keyauth-100k", what: "MoE, keyauth with 100,000 consumers", module: "moe", consumers: 100_000},
	}
	for i := range all {
		all[i].headers = s.left(all[i].headers)
	}
	return slices.Concat(all, jwtVariants(), logVariants(), trafficVariants())
}

// memoryVariants lists what 10 KiB bodies are echoed through.
func memoryVariants() []variant {
	return []variant{
		{name: none, what: "no filter"},
		{
			name: "moe-body", what: "MoE, a plugin that sees every chunk", module: "moe",
			filters: []filterConfig{chainFilter(plugins(1, "benchbody", nil))},
		},
		{
			name: "moe-wait", what: "MoE, a plugin that waits for the body", module: "moe",
			filters: []filterConfig{chainFilter(plugins(1, "benchwait", nil))},
		},
	}
}

// choose returns the variants that match, those that they are compared with, and always the one without a filter.
func choose(all []variant, match *regexp.Regexp) []variant {
	bases := map[string]bool{none: true}
	for _, v := range all {
		if match.MatchString(v.name) {
			bases[v.base] = true
		}
	}
	var out []variant
	for _, v := range all {
		if bases[v.name] || match.MatchString(v.name) {
			out = append(out, v)
		}
	}
	return out
}

func repeat(n int, s setHeaders, f func(request, response string) filterConfig) []filterConfig {
	out := make([]filterConfig, n)
	for i := range out {
		out[i] = f(s.names(i))
	}
	return out
}

func bareFilter(request, response string) filterConfig {
	return moduleFilter("bare", "one", text(request+" "+response))
}

func sdkFilter(request, response string) filterConfig {
	return moduleFilter("upstreamsdk", "one", text(request+" "+response))
}

func moeFilter(request, response string) filterConfig {
	return moduleFilter("moe", "benchone", object(map[string]any{"request": request, "response": response}))
}

func chainFilter(plugins []any) filterConfig {
	return moduleFilter("moe", "moe", object(map[string]any{"plugins": plugins}))
}

// bridge is the dynamic module that runs Golang filters.
const bridge = "golang_bridge"

// librariesHere stands in a configuration for the folder with the libraries.
const librariesHere = "LIBRARIES-HERE"

func golangFilter(library, plugin string, config map[string]any) filterConfig {
	return moduleFilter(bridge, plugin, object(map[string]any{
		"library_id": library, "library_path": librariesHere + "/lib" + library + ".so", "plugin_name": plugin,
		"plugin_config": map[string]any{"@type": typeURL + "xds.type.v3.TypedStruct", "value": config},
	}))
}

func golangSDKFilter(request, response string) filterConfig {
	return golangFilter("golangsdk", "one", map[string]any{"request": request, "response": response})
}

func golangChain(plugins []any) filterConfig {
	return golangFilter("moe", "moe", map[string]any{"plugins": plugins})
}

func (s setHeaders) pluginConfig(i int) map[string]any {
	request, response := s.names(i)
	return map[string]any{"request": request, "response": response}
}

// plugins is the list of a chain that uses one plugin n times.
func plugins(n int, name string, config func(i int) map[string]any) []any {
	var out []any
	for i := range n {
		p := map[string]any{"name": name, "id": fmt.Sprintf("%s-%d", name, i)}
		if config != nil {
			p["config"] = config(i)
		}
		out = append(out, p)
	}
	return out
}
