package main

// logVariants lists ways to write a line of JSON for each request. All go to a file that nobody reads.
func logVariants() []variant {
	const path = "/dev/null"
	return []variant{
		{name: "log-native", what: "Envoy's file access log, JSON", logs: []any{nativeLog(path)}},
		{
			name: "log-moe", what: "MoE, access logger accesslog", module: "moe", base: "log-native",
			logs: []any{moduleLog("moe", "accesslog", map[string]any{"output": path})},
		},
		{
			name: "log-plugin", what: "MoE, plugin accesslog", module: "moe", base: "log-native",
			filters: []filterConfig{chainFilter([]any{
				map[string]any{"name": "accesslog", "config": map[string]any{"output": path}},
			})},
		},
	}
}

// nativeLog has the members that a line of accesslog has, and as headers those that the load generator sends and Envoy
// answers.
func nativeLog(path string) map[string]any {
	return filter("file", typeURL+"envoy.extensions.access_loggers.file.v3.FileAccessLog", map[string]any{
		"path": path,
		"log_format": map[string]any{"json_format": map[string]any{
			"time": "%START_TIME%", "event": "%ACCESS_LOG_TYPE%", "method": "%REQ(:METHOD)%", "scheme": "%REQ(:SCHEME)%",
			"host": "%REQ(:AUTHORITY)%", "path": "%REQ(:PATH)%", "status": "%RESPONSE_CODE%", "duration_ms": "%DURATION%",
			"first_byte_ms": "%RESPONSE_DURATION%", "flags": "%RESPONSE_FLAGS%", "protocol": "%PROTOCOL%",
			"request_id": "%REQ(X-REQUEST-ID)%", "details": "%RESPONSE_CODE_DETAILS%", "route": "%ROUTE_NAME%",
			"cluster": "%UPSTREAM_CLUSTER%", "downstream": "%DOWNSTREAM_REMOTE_ADDRESS%",
			"downstream_local": "%DOWNSTREAM_LOCAL_ADDRESS%", "upstream": "%UPSTREAM_HOST%",
			"request": map[string]any{"bytes": "%BYTES_RECEIVED%", "headers": map[string]any{
				"user-agent": "%REQ(USER-AGENT)%", "x-bench": "%REQ(X-BENCH)%", "x-forwarded-proto": "%REQ(X-FORWARDED-PROTO)%",
			}},
			"response": map[string]any{"bytes": "%BYTES_SENT%", "headers": map[string]any{
				"content-length": "%RESP(CONTENT-LENGTH)%", "content-type": "%RESP(CONTENT-TYPE)%", "date": "%RESP(DATE)%",
				"server": "%RESP(SERVER)%",
			}},
		}},
	})
}

func moduleLog(module, name string, config map[string]any) map[string]any {
	return filter(module, typeURL+"envoy.extensions.access_loggers.dynamic_modules.v3.DynamicModuleAccessLog", map[string]any{
		"dynamic_module_config": map[string]any{"name": module, "do_not_close": true},
		"logger_name":           name, "logger_config": object(config),
	})
}
