package mosn

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// configurations are what MOSN and Envoy are compared by. The filters' JSON is as in mosn_config.json.
var configurations = sync.OnceValue(func() []configuration {
	return slices.Concat(ipAccess, headerToMetadata, payloadLimit, gzipped, faults, rewriting, others, jwtAuthn(), rbac,
		proxyWasm())
})

// from are requests that say in x-real-ip where they come from.
func from(ips ...string) (all []request) {
	for _, ip := range ips {
		r := request{name: "from " + ip, path: "/echo?h=x-a:1"}
		if ip != "" {
			r.header = []string{"x-real-ip", ip, "cookie", "session=secret", "authorization", "Bearer secret"}
		}
		all = append(all, r)
	}
	return all
}

var ipAccess = []configuration{
	{
		name: "ip_access: deny some",
		filters: `[{"type": "ip_access", "config": {"default_action": "allow", "header": "x-real-ip",
			"ips": [{"action": "deny", "addrs": ["9.9.9.9", "10.0.0.0/8"]}]}}]`,
		requests: from("9.9.9.9", "8.8.8.8", "10.1.2.3", "11.0.0.1", "not an address", "", "9.9.9.9:80"),
	},
	{
		name: "ip_access: allow some",
		filters: `[{"type": "ip_access", "config": {"default_action": "deny", "header": "x-real-ip",
			"ips": [{"action": "allow", "addrs": ["192.168.0.0/16", "::1"]}]}}]`,
		requests: from("192.168.3.4", "8.8.8.8", "::1", "::2", ""),
	},
	{
		name: "ip_access: by the connection",
		filters: `[{"type": "ip_access", "config": {"default_action": "deny",
			"ips": [{"action": "allow", "addrs": ["127.0.0.1"]}]}}]`,
		requests: from("", "8.8.8.8"),
	},
	{
		name: "ip_access: the connection denied",
		filters: `[{"type": "ip_access", "config": {"default_action": "allow",
			"ips": [{"action": "deny", "addrs": ["127.0.0.0/8"]}]}}]`,
		requests: from("", "8.8.8.8"),
	},
}

var headerToMetadata = []configuration{{
	name: "header_to_metadata",
	filters: `[{"type": "header_to_metadata", "config": {"request_rules": [
		{"header": "x-version", "on_header_present": {"key": "version"}, "remove": true},
		{"header": "x-stage", "on_header_missing": {"key": "stage", "value": "prod"}},
		{"header": "x-fixed", "on_header_present": {"key": "fixed", "value": "1"}, "remove": true}]}}]`,
	requests: []request{
		{name: "none", path: "/echo"},
		{name: "removed", path: "/echo", header: []string{"x-version", "v1", "x-other", "1"}},
		{name: "kept", path: "/echo", header: []string{"x-stage", "test"}},
		{name: "two", path: "/echo", header: []string{"x-version", "v1", "x-fixed", "2"}},
		{name: "with a body", path: "/echo", method: "POST", body: "text", header: []string{"x-version", "v1"}},
	},
}}

// bodies are requests with bodies of these lengths.
func bodies(path string, lengths ...int) (all []request) {
	for _, n := range lengths {
		all = append(all, request{
			name: fmt.Sprintf("%s with %d bytes", path, n), path: path, method: "POST", body: strings.Repeat("x", n),
			header: []string{"content-type", "text/plain"},
		})
	}
	return all
}

var payloadLimit = []configuration{
	{
		name:     "payload_limit",
		filters:  `[{"type": "payload_limit", "config": {"max_entity_size ": 10, "http_status": 413}}]`,
		requests: append(bodies("/body/ok", 1, 9, 10, 11, 5000), request{name: "no body", path: "/body/ok"}),
	},
	{
		name:     "payload_limit: no limit",
		filters:  `[{"type": "payload_limit", "config": {"max_entity_size ": 0, "http_status": 413}}]`,
		requests: bodies("/body/ok", 1, 5000),
	},
	{
		name:    "payload_limit: routes",
		filters: `[{"type": "payload_limit", "config": {"max_entity_size ": 10, "http_status": 413}}]`,
		routes: []route{
			{"/body/small", `{"payload_limit": {"max_entity_size ": 3, "http_status": 400}}`},
			{"/body/large", `{"payload_limit": {"max_entity_size ": 100, "http_status": 403}}`},
		},
		requests: append(append(bodies("/body/small", 3, 4), bodies("/body/large", 50, 101)...), bodies("/body/else", 10, 11)...),
	},
}

// accepting are requests with these accept-encoding fields.
func accepting(name, path string, encodings ...string) (all []request) {
	for _, e := range encodings {
		all = append(all, request{name: name + " " + e, path: path, header: []string{"accept-encoding", e}})
	}
	return all
}

var longPath = "/body/" + strings.Repeat("abcdefgh", 100)

// gzipConfig compresses texts of 30 bytes and more.
const gzipConfig = `[{"type": "gzip", "config": {"gzip_level": 6, "content_length": 30, "content_types": ["text/plain"]}}]`

// lengthOfBody is what MOSN's content-length should be: over HTTP/2 its gzip leaves that of the text.
func lengthOfBody(o *outcome) { o.Header["Content-Length"] = []string{strconv.Itoa(len(o.Body))} }

// notCompressed reports what MOSN makes of some responses over HTTP/1.
func notCompressed(o *outcome) bool { return o.Header["Content-Encoding"] == nil }

// compressed are requests whose responses are compressed.
func compressed(requests []request) []request {
	for i := range requests {
		requests[i].again = notCompressed
	}
	return mended(lengthOfBody, requests)
}

var gzipped = []configuration{
	{name: "gzip", filters: gzipConfig, requests: compressed(accepting("long", longPath, "gzip"))},
	{name: "gzip: not asked for", filters: gzipConfig, requests: accepting("long", longPath, "br", "identity")},
	{name: "gzip: two encodings", filters: gzipConfig, requests: compressed(accepting("long", longPath, "gzip, deflate"))},
	{name: "gzip: another form", filters: gzipConfig, requests: compressed(accepting("long", longPath, "gzip,deflate"))},
	{name: "gzip: short", filters: gzipConfig, requests: accepting("short", "/body/short", "gzip", "gzip, deflate")},
}

// asHTTP1 are requests with which Envoy does over HTTP/2 what MOSN does over HTTP/1 only.
func asHTTP1(requests []request) []request {
	for i := range requests {
		requests[i].asHTTP1 = true
	}
	return requests
}

// mended are requests for which MOSN's outcome is put right before it is compared.
func mended(mend func(o *outcome), requests []request) []request {
	for i := range requests {
		requests[i].mend = mend
	}
	return requests
}

var faults = []configuration{
	{
		name:    "fault: abort",
		filters: `[{"type": "fault", "config": {"abort": {"status": 503, "percentage": 100}}}]`,
		requests: []request{
			{name: "get", path: "/echo", header: []string{"cookie", "c=1"}}, {name: "post", method: "POST", path: "/echo", body: "text"},
		},
	},
	{
		name: "fault: by a header",
		filters: `[{"type": "fault", "config": {"abort": {"status": 429, "percentage": 100},
			"headers": [{"name": "x-fault", "value": "yes"}]}}]`,
		requests: []request{
			{name: "with it", path: "/echo", header: []string{"x-fault", "yes"}},
			{name: "another value", path: "/echo", header: []string{"x-fault", "no"}},
			{name: "without", path: "/echo"},
		},
	},
	{
		name: "fault: by the cluster",
		filters: `[{"type": "fault", "config": {"upstream_cluster": "servers", "abort": {"status": 500, "percentage": 100}}},
			{"type": "fault", "config": {"upstream_cluster": "elsewhere", "abort": {"status": 501, "percentage": 100}}}]`,
		requests: []request{{name: "get", path: "/echo"}},
	},
	{
		name:     "fault: another cluster",
		filters:  `[{"type": "fault", "config": {"upstream_cluster": "elsewhere", "abort": {"status": 501, "percentage": 100}}}]`,
		requests: []request{{name: "get", path: "/echo"}},
	},
	{
		name:     "fault: delay",
		filters:  `[{"type": "fault", "config": {"delay": {"fixed_delay": "20ms", "percentage": 100}}}]`,
		requests: []request{{name: "get", path: "/echo"}, {name: "post", method: "POST", path: "/echo", body: "text"}},
	},
	{
		name:    "fault: routes",
		filters: `[{"type": "fault", "config": {}}]`,
		routes:  []route{{"/body/", `{"fault": {"abort": {"status": 418, "percentage": 100}}}`}},
		requests: []request{
			{name: "the route", path: "/body/x"}, {name: "another", path: "/echo"},
		},
	},
}

var rewriting = []configuration{{
	name: "dsl",
	filters: `[{"type": "dsl", "config": {
		"before_router_by_dsl": "conditional((request.method == \"POST\") && (request.headers[\"dsl\"] == \"on\"), ctx.rewrite_request_url(\"/body/rewritten\"), ctx.add_request_header(\"x-dsl\", \"before\"))",
		"send_filter_by_dsl": "conditional(response.headers[\"x-a\"] == \"1\", ctx.add_response_header(\"x-sent\", \"one\"), ctx.add_response_header(\"x-sent\", \"other\"))"}}]`,
	requests: []request{
		// MOSN's functions for response headers do nothing before the response is sent.
		{name: "get", path: "/echo?h=x-a:1", mend: func(o *outcome) { o.Header["X-Sent"] = []string{"one"} }},
		{name: "get another", path: "/echo"},
		{name: "post", method: "POST", path: "/echo", body: "text"},
	},
}}

var others = []configuration{
	{
		name: "flowControlFilter",
		filters: `[{"type": "flowControlFilter", "config": {"global_switch": true, "limit_key_type": "PATH",
			"action": {"status": 509, "body": "limited"},
			"rules": [{"resource": "/body/limited", "threshold": 0, "statIntervalInMs": 1000}]}}]`,
		requests: []request{
			{name: "limited", path: "/body/limited", asHTTP1: true, header: []string{"cookie", "c=1"}},
			{name: "free", path: "/body/free"},
		},
	},
	{
		name: "fault_tolerance",
		filters: `[{"type": "fault_tolerance", "config": {"enabled": true, "exceptionTypes": [500], "timeWindow": 10000,
			"leastWindowCount": 10, "exceptionRateMultiple": 5, "maxIpCount": 1, "maxIpRatio": 0.5, "recoverTime": 15000}}]`,
		requests: []request{
			{name: "good", path: "/echo"}, {name: "bad", path: "/echo?status=500"}, {name: "none", path: "/echo?status=404"},
		},
	},
	{
		name:    "required_headers of docs/examples",
		filters: `[{"type": "required_headers", "config": {"x-tenant": "blue"}}]`,
		requests: []request{
			{name: "as required", path: "/echo", header: []string{"x-tenant", "blue"}},
			{name: "another value", path: "/echo", header: []string{"x-tenant", "red"}},
			{name: "none", path: "/echo", method: "POST", body: "text", header: []string{"cookie", "c=1"}},
		},
	},
	{
		name: "several",
		filters: `[{"type": "ip_access", "config": {"default_action": "allow", "header": "x-real-ip",
				"ips": [{"action": "deny", "addrs": ["9.9.9.9"]}]}},
			{"type": "header_to_metadata", "config": {"request_rules": [
				{"header": "x-version", "on_header_present": {"key": "version"}, "remove": true}]}},
			{"type": "payload_limit", "config": {"max_entity_size ": 4, "http_status": 413}},
			{"type": "gzip", "config": {"gzip_level": 1, "content_length": 10, "content_types": ["text/plain"]}}]`,
		requests: []request{
			{name: "denied", path: "/echo", header: []string{"x-real-ip", "9.9.9.9"}},
			{name: "too long", path: "/echo", method: "POST", body: "12345"},
			{
				name: "long enough", path: longPath, header: []string{"x-version", "1", "accept-encoding", "gzip"},
				mend: lengthOfBody, again: notCompressed,
			},
			{name: "post", path: "/echo", method: "POST", body: "1234", header: []string{"x-version", "1"}},
			{name: "head", method: "HEAD", path: "/echo"},
			{name: "put", method: "PUT", path: "/echo?h=x-a:1&h=x-b:2", body: "1"},
			{name: "delete", method: "DELETE", path: "/echo"},
			{name: "query", path: "/echo?a=b&c=%20d"},
			{name: "escapes", path: "/a%20b/%E4%B8%AD?q=%2F"},
			{name: "many fields", path: "/echo", header: []string{"x-m", "1", "x-m", "2", "accept", "*/*"}},
		},
	},
}
