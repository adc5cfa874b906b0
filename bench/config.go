package main

import "fmt"

// Types of Envoy's configuration, by their last name.
const (
	typeURL       = "type.googleapis.com/"
	httpFilters   = typeURL + "envoy.extensions.filters.http."
	manager       = typeURL + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
	routerType    = httpFilters + "router.v3.Router"
	moduleType    = httpFilters + "dynamic_modules.v3.DynamicModuleFilter"
	mutationType  = httpFilters + "header_mutation.v3.HeaderMutation"
	luaType       = httpFilters + "lua.v3.Lua"
	stringType    = typeURL + "google.protobuf.StringValue"
	structType    = typeURL + "google.protobuf.Struct"
	appendReplace = "OVERWRITE_IF_EXISTS_OR_ADD"
)

func text(s string) map[string]any { return map[string]any{"@type": stringType, "value": s} }

func object(m map[string]any) map[string]any { return map[string]any{"@type": structType, "value": m} }

func filter(name, typ string, config map[string]any) filterConfig {
	config["@type"] = typ
	return filterConfig{"name": name, "typed_config": config}
}

func moduleFilter(module, name string, config map[string]any) filterConfig {
	return filter(module, moduleType, map[string]any{
		"dynamic_module_config": map[string]any{"name": module, "do_not_close": true},
		"filter_name":           name,
		"filter_config":         config,
	})
}

func nativeFilter(request, response string) filterConfig {
	set := func(key, value string) []any {
		return []any{map[string]any{"append": map[string]any{
			"header": map[string]any{"key": key, "value": value}, "append_action": appendReplace,
		}}}
	}
	return filter("header_mutation", mutationType, map[string]any{"mutations": map[string]any{
		"request_mutations":  set(request, "%REQ("+input+")%"),
		"response_mutations": set(response, "1"),
	}})
}

func luaFilter(request, response string) filterConfig {
	code := fmt.Sprintf(`
function envoy_on_request(handle)
  local headers = handle:headers()
  headers:replace(%q, headers:get(%q) or "")
end
function envoy_on_response(handle)
  handle:headers():replace(%q, "1")
end
`, request, input, response)
	return filter("lua", luaType, map[string]any{"default_source_code": map[string]any{"inline_string": code}})
}

// Paths of the one virtual host.
const (
	pathLoad  = "/"      // answered by Envoy itself, or by the upstream
	pathCheck = "/check" // answers with the request's headers in x-seen-N
	pathEcho  = "/echo"  // goes to the upstream
)

// listener is the listener's name.
const listener = "bench"

// bootstrap is the whole configuration of an Envoy. upstream is the port behind pathEcho, or 0; with forward, pathLoad
// goes there too.
func bootstrap(v variant, s setHeaders, upstream int, forward bool) map[string]any {
	direct := map[string]any{"status": 200, "body": map[string]any{"inline_string": "ok\n"}}
	toUpstream := map[string]any{"cluster": "upstream"}
	load := map[string]any{"match": map[string]any{"path": pathLoad}, "direct_response": direct}
	if v.forward {
		load["response_headers_to_add"] = []any{map[string]any{"header": map[string]any{
			"key": "cache-control", "value": "max-age=3600",
		}}}
	}
	if forward {
		delete(load, "direct_response")
		load["route"] = toUpstream
	}
	var seen []any
	for i := range v.headers {
		request, _ := s.names(i)
		seen = append(seen, map[string]any{"header": map[string]any{
			"key": fmt.Sprintf("x-seen-%d", i), "value": "%REQ(" + request + ")%",
		}})
	}
	check := map[string]any{"match": map[string]any{"path": pathCheck}, "direct_response": direct}
	if seen != nil {
		check["response_headers_to_add"] = seen
	}
	routes := []any{load, check}
	static := map[string]any{}
	if upstream != 0 {
		routes = append(routes, map[string]any{"match": map[string]any{"path": pathEcho}, "route": toUpstream})
		static["clusters"] = []any{cluster(upstream)}
	}
	filters := append([]filterConfig{}, v.filters...)
	filters = append(filters, filter("router", routerType, map[string]any{"suppress_envoy_headers": true}))
	static["listeners"] = []any{map[string]any{
		"name":    listener,
		"address": address(0),
		"filter_chains": []any{map[string]any{"filters": []any{
			filter("http", manager, map[string]any{
				"stat_prefix":         "bench",
				"generate_request_id": false,
				"http_filters":        filters,
				"access_log":          v.logs,
				"route_config": map[string]any{"virtual_hosts": []any{
					map[string]any{"name": "bench", "domains": []any{"*"}, "routes": routes},
				}},
			}),
		}}},
	}}
	return map[string]any{
		"admin":                map[string]any{"address": address(0)},
		"static_resources":     static,
		"stats_flush_interval": "299s", // the longest there is: flushing is not a filter's work
	}
}

// address is 127.0.0.1:port; with port 0 the kernel chooses one.
func address(port int) map[string]any {
	return map[string]any{"socket_address": map[string]any{"address": "127.0.0.1", "port_value": port}}
}

func cluster(port int) map[string]any {
	return map[string]any{
		"name": "upstream", "type": "STATIC", "connect_timeout": "5s",
		"load_assignment": map[string]any{"cluster_name": "upstream", "endpoints": []any{
			map[string]any{"lb_endpoints": []any{
				map[string]any{"endpoint": map[string]any{"address": address(port)}},
			}},
		}},
	}
}
